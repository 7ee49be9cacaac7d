// One pass over the text. Nothing of it but letters, digits and what is not ASCII reaches Postgres,
// in quotes: no operator of to_tsquery can be smuggled in, and no text can be a syntax error. A
// word that is several ("INV-2024/77", "ann@example.org") is looked for as a phrase, just as it was
// written down: broker/sql/cut.h.
#include "workers/query/search_text.h"

#include "broker/base/buf.h"
#include "broker/sql/column.h"
#include "broker/sql/cut.h"

#include <strings.h>

struct unit {
    Text text;
    bool negated;
    bool phrase; // was in quotes: OR is a word then
    bool prefix;
};

struct scanner {
    Text rest;
};

static bool is_blank(uint8_t c)
{
    return c <= ' '; // control characters and NUL as well
}

static void skip(struct scanner *scanner, size_t len)
{
    scanner->rest.data += len;
    scanner->rest.len -= len;
}

static void read_phrase(struct scanner *scanner, struct unit *unit)
{
    uint8_t *end;

    skip(scanner, 1);
    end = scanner->rest.len > 0 ? memchr(scanner->rest.data, '"', scanner->rest.len) : NULL;
    unit->phrase = true;
    unit->text = scanner->rest;
    if (end == NULL) { // never closed: up to the end
        skip(scanner, scanner->rest.len);
        return;
    }
    unit->text.len = (size_t)(end - scanner->rest.data);
    skip(scanner, unit->text.len + 1);
}

static void read_word(struct scanner *scanner, struct unit *unit)
{
    size_t len = 0;

    while (len < scanner->rest.len && !is_blank(scanner->rest.data[len]) &&
           scanner->rest.data[len] != '"')
        len++;
    unit->text = (Text){len, scanner->rest.data};
    skip(scanner, len);
    while (unit->text.len > 1 && unit->text.data[unit->text.len - 1] == '*') {
        unit->prefix = true;
        unit->text.len--;
    }
}

static bool next_unit(struct scanner *scanner, struct unit *unit)
{
    *unit = (struct unit){.negated = false};
    while (scanner->rest.len > 0 && is_blank(scanner->rest.data[0]))
        skip(scanner, 1);
    if (scanner->rest.len == 0)
        return false;
    if (scanner->rest.len > 1 && scanner->rest.data[0] == '-' && !is_blank(scanner->rest.data[1])) {
        unit->negated = true;
        skip(scanner, 1);
    }
    if (scanner->rest.data[0] == '"')
        read_phrase(scanner, unit);
    else
        read_word(scanner, unit);
    return true;
}

static bool is_or(const struct unit *unit)
{
    return !unit->phrase && !unit->negated && !unit->prefix && unit->text.len == 2 &&
           strncasecmp((const char *)unit->text.data, "or", 2) == 0;
}

// How many words there are: they have blanks between them. So many as there is room for are kept.
static size_t count_words(struct buf *words, size_t room)
{
    size_t count = 0;
    bool within = false;

    for (size_t i = 0; i < words->len; i++) {
        bool begins = words->data[i] != ' ' && !within;

        within = words->data[i] != ' ';
        if (begins && count == room) {
            words->len = i;
            break;
        }
        count += begins;
    }
    return count;
}

static void put_words(struct buf *out, const struct buf *words, bool prefix)
{
    buf_puts(out, "'");
    buf_append(out, words->data, words->len);
    buf_puts(out, prefix ? "':*" : "'");
}

// Texts that were stored by earlier versions hold a stretch without blanks as one word.
static void put_either(struct buf *out, const struct unit *unit, const struct buf *words,
                       bool is_beginning, struct arena *arena)
{
    Text before = text_copy(arena, unit->text.data, unit->text.len);

    column_plain_words(before.data, before.len);
    buf_puts(out, unit->negated ? "!" : "");
    if (before.len == words->len && memcmp(before.data, words->data, before.len) == 0) {
        put_words(out, words, unit->prefix || is_beginning);
        return;
    }
    buf_puts(out, "(");
    put_words(out, &(struct buf){(char *)before.data, before.len, before.len}, unit->prefix);
    buf_puts(out, " | ");
    put_words(out, words, unit->prefix || is_beginning);
    buf_puts(out, ")");
}

// Appends a unit, behind an operator if it is not the first. Returns how many words it has; of none
// nothing is appended: Postgres drops an operand without a word, together with its operator, but
// says so in its log each time.
static size_t put(struct buf *out, const struct unit *unit, bool alternative, size_t room,
                  struct arena *arena)
{
    struct buf words = {0};
    bool is_beginning = false;
    size_t len;
    size_t count;

    cut_typed(&words, unit->text, &is_beginning);
    len = words.len;
    count = count_words(&words, room);
    if (count > 0) {
        if (out->len > 0)
            buf_puts(out, alternative ? " | " : " & ");
        if (words.len < len) { // cut: of what earlier versions stored no more can be said
            buf_puts(out, unit->negated ? "!" : "");
            put_words(out, &words, unit->prefix);
        } else {
            put_either(out, unit, &words, is_beginning, arena);
        }
    }
    buf_fini(&words);
    return count;
}

Text search_text(struct arena *arena, Text typed)
{
    struct scanner scanner = {typed};
    struct buf out = {0};
    struct unit unit;
    bool alternative = false;
    size_t room = SEARCH_WORDS_MAX;
    Text text;

    while (room > 0 && next_unit(&scanner, &unit)) {
        size_t count;

        if (is_or(&unit)) {
            alternative = out.len > 0;
            continue;
        }
        count = put(&out, &unit, alternative, room, arena);
        alternative = alternative && count == 0;
        room -= count;
    }
    text = text_copy(arena, out.data, out.len);
    buf_fini(&out);
    return text;
}

size_t search_excluded(Text typed)
{
    struct scanner scanner = {typed};
    struct unit unit;
    size_t count = 0;

    while (next_unit(&scanner, &unit))
        count += unit.negated;
    return count;
}
