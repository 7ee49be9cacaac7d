// One pass over the text. Nothing of it but letters, digits and what is not ASCII reaches Postgres,
// in quotes: no operator of to_tsquery can be smuggled in, and no text can be a syntax error. A
// word that is several ("INV-2024/77", "ann@example.org") is looked for as a phrase, just as it was
// written down: workers/audit/search_text.c.
#include "workers/query/search_text.h"

#include "broker/base/buf.h"
#include "broker/sql/column.h"

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

// Is there anything but punctuation in it? An operand that has no word in it is dropped by
// Postgres, together with its operator, but says so in its log each time.
static bool has_word(Text text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];

        if (c >= 0x80 || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
            return true;
    }
    return false;
}

static void put(struct buf *out, const struct unit *unit, struct arena *arena)
{
    Text text = text_copy(arena, unit->text.data, unit->text.len);

    column_plain_words(text.data, text.len);
    buf_puts(out, unit->negated ? "!'" : "'");
    buf_append(out, text.data, text.len);
    buf_puts(out, unit->prefix ? "':*" : "'");
}

Text search_text(struct arena *arena, Text typed)
{
    struct scanner scanner = {typed};
    struct buf out = {0};
    struct unit unit;
    bool alternative = false;
    size_t count = 0;
    Text text;

    while (count < SEARCH_UNITS_MAX && next_unit(&scanner, &unit)) {
        if (is_or(&unit)) {
            alternative = count > 0;
            continue;
        }
        if (!has_word(unit.text))
            continue;
        if (count++ > 0)
            buf_puts(&out, alternative ? " | " : " & ");
        put(&out, &unit, arena);
        alternative = false;
    }
    text = text_copy(arena, out.data, out.len);
    buf_fini(&out);
    return text;
}
