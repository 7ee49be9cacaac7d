// Cuts texts into words for search. Postgres' own parser knows no word within a text that is
// written without blanks, and takes no emoji for a word.
#include "broker/sql/cut.h"

#include <stdint.h>
#include <string.h>

#define CHARACTER_BYTES_MAX 4

enum kind {
    KIND_BLANK,
    KIND_NEUTRAL, // digits and what else stays with the word it stands in
    KIND_LATIN,
    KIND_OTHER, // scripts with blanks between their words
    KIND_DENSE, // scripts without, and Korean, which joins particles to words
    KIND_EMOJI,
    KIND_JOINT, // belongs to the emoji before it
};

struct range {
    uint32_t first;
    uint32_t last;
    enum kind kind;
};

// By first; what is in none is KIND_OTHER.
static const struct range ranges[] = {
    {0x0080,  0x00a9,  KIND_NEUTRAL},
    {0x00aa,  0x00aa,  KIND_LATIN  },
    {0x00ab,  0x00b9,  KIND_NEUTRAL},
    {0x00ba,  0x00ba,  KIND_LATIN  },
    {0x00bb,  0x00bf,  KIND_NEUTRAL},
    {0x00c0,  0x02af,  KIND_LATIN  },
    {0x0300,  0x036f,  KIND_NEUTRAL}, // combining marks
    {0x0e00,  0x0eff,  KIND_DENSE  }, // Thai, Lao
    {0x1000,  0x109f,  KIND_DENSE  }, // Myanmar
    {0x1100,  0x11ff,  KIND_DENSE  }, // Hangul
    {0x1780,  0x17ff,  KIND_DENSE  }, // Khmer
    {0x1e00,  0x1eff,  KIND_LATIN  },
    {0x2000,  0x200b,  KIND_BLANK  },
    {0x200c,  0x200d,  KIND_JOINT  },
    {0x200e,  0x206f,  KIND_BLANK  },
    {0x20d0,  0x20ff,  KIND_JOINT  }, // the frame of a key, among others
    {0x231a,  0x231b,  KIND_EMOJI  },
    {0x23e9,  0x23fa,  KIND_EMOJI  },
    {0x25aa,  0x25ab,  KIND_EMOJI  },
    {0x25b6,  0x25b6,  KIND_EMOJI  },
    {0x25c0,  0x25c0,  KIND_EMOJI  },
    {0x25fb,  0x25fe,  KIND_EMOJI  },
    {0x2600,  0x27bf,  KIND_EMOJI  },
    {0x2934,  0x2935,  KIND_EMOJI  },
    {0x2b05,  0x2b07,  KIND_EMOJI  },
    {0x2b1b,  0x2b1c,  KIND_EMOJI  },
    {0x2b50,  0x2b55,  KIND_EMOJI  },
    {0x2e80,  0x2fff,  KIND_DENSE  }, // radicals
    {0x3000,  0x3004,  KIND_BLANK  },
    {0x3005,  0x3007,  KIND_DENSE  }, // marks that stand for a character
    {0x3008,  0x3030,  KIND_BLANK  },
    {0x3031,  0x3035,  KIND_DENSE  },
    {0x3036,  0x3040,  KIND_BLANK  },
    {0x3041,  0x30fa,  KIND_DENSE  }, // kana
    {0x30fb,  0x30fb,  KIND_BLANK  },
    {0x30fc,  0x31ff,  KIND_DENSE  }, // kana, Bopomofo, Hangul
    {0x3400,  0x4dbf,  KIND_DENSE  }, // Han
    {0x4e00,  0x9fff,  KIND_DENSE  },
    {0xa960,  0xa97f,  KIND_DENSE  }, // Hangul
    {0xa9e0,  0xa9ff,  KIND_DENSE  }, // Myanmar
    {0xaa60,  0xaa7f,  KIND_DENSE  },
    {0xac00,  0xd7ff,  KIND_DENSE  }, // Hangul
    {0xf900,  0xfaff,  KIND_DENSE  }, // Han
    {0xfe00,  0xfe0f,  KIND_JOINT  }, // how the character before is to look
    {0xfe30,  0xfe4f,  KIND_BLANK  },
    {0xff01,  0xff0f,  KIND_BLANK  },
    {0xff10,  0xff19,  KIND_NEUTRAL}, // full-width digits
    {0xff1a,  0xff20,  KIND_BLANK  },
    {0xff21,  0xff3a,  KIND_LATIN  },
    {0xff3b,  0xff40,  KIND_BLANK  },
    {0xff41,  0xff5a,  KIND_LATIN  },
    {0xff5b,  0xff65,  KIND_BLANK  },
    {0xff66,  0xffdc,  KIND_DENSE  }, // half-width kana and Hangul
    {0x1aff0, 0x1b16f, KIND_DENSE  }, // kana
    {0x1f000, 0x1f3fa, KIND_EMOJI  },
    {0x1f3fb, 0x1f3ff, KIND_JOINT  }, // colours of skin
    {0x1f400, 0x1faff, KIND_EMOJI  },
    {0x20000, 0x3ffff, KIND_DENSE  }, // Han
    {0xe0020, 0xe007f, KIND_JOINT  }, // the rest of a flag
};

struct character {
    const uint8_t *data;
    size_t len;
    uint32_t code;
    enum kind kind;
};

struct cutter {
    struct buf *out;
    enum kind kind;          // of the word that is being written; KIND_BLANK: none is
    bool was_emoji;          // the character before belongs to one
    struct character before; // in a stretch of KIND_DENSE
    size_t stretch;          // its characters
};

static enum kind kind_beyond_ascii(uint32_t code)
{
    size_t low = 0;
    size_t high = sizeof ranges / sizeof ranges[0];

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (code > ranges[middle].last)
            low = middle + 1;
        else if (code < ranges[middle].first)
            high = middle;
        else
            return ranges[middle].kind;
    }
    return KIND_OTHER;
}

static enum kind kind_of_ascii(uint8_t c)
{
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
        return KIND_LATIN;
    return c >= '0' && c <= '9' ? KIND_NEUTRAL : KIND_BLANK;
}

// What is not UTF-8 is taken byte by byte, as KIND_OTHER.
static struct character next_character(Text rest)
{
    static const uint8_t masks[CHARACTER_BYTES_MAX + 1] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint8_t first = rest.data[0];
    struct character c = {rest.data, 1, first, KIND_OTHER};

    if (first < 0x80) {
        c.kind = kind_of_ascii(first);
        return c;
    }
    if (first >= 0xc2 && first < 0xf5)
        c.len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (c.len == 1 || c.len > rest.len) {
        c.len = 1;
        return c;
    }
    c.code = first & masks[c.len];
    for (size_t i = 1; i < c.len; i++) {
        if ((rest.data[i] & 0xc0) != 0x80) {
            c.len = 1;
            return c;
        }
        c.code = c.code << 6 | (rest.data[i] & 0x3f);
    }
    c.kind = kind_beyond_ascii(c.code);
    return c;
}

// Ends a word that has been begun; what comes next begins another one.
static void end_word(struct cutter *cutter)
{
    if (cutter->kind != KIND_BLANK)
        buf_puts(cutter->out, " ");
    cutter->kind = KIND_BLANK;
}

static void end_stretch(struct cutter *cutter)
{
    if (cutter->stretch > 0) {
        buf_append(cutter->out, cutter->before.data, cutter->before.len);
        buf_puts(cutter->out, " ");
    }
    cutter->stretch = 0;
}

static void add_dense(struct cutter *cutter, const struct character *c)
{
    end_word(cutter);
    if (cutter->stretch++ > 0) {
        buf_append(cutter->out, cutter->before.data, cutter->before.len);
        buf_append(cutter->out, c->data, c->len);
        buf_puts(cutter->out, " ");
    }
    cutter->before = *c;
}

// Postgres takes only letters and digits for words, whatever the locale of the database.
static void add_emoji(struct cutter *cutter, const struct character *c)
{
    end_word(cutter);
    buf_printf(cutter->out, "emoji%x ", (unsigned)c->code);
}

static void add_to_word(struct cutter *cutter, const struct character *c)
{
    bool is_full_width = c->code >= 0xff01 && c->code <= 0xff5e;
    uint8_t narrow = (uint8_t)(c->code - 0xff01 + '!');

    if (c->kind != KIND_NEUTRAL) {
        if (cutter->kind != KIND_NEUTRAL && cutter->kind != c->kind)
            end_word(cutter);
        cutter->kind = c->kind;
    } else if (cutter->kind == KIND_BLANK) {
        cutter->kind = KIND_NEUTRAL;
    }
    buf_append(cutter->out, is_full_width ? &narrow : c->data, is_full_width ? 1 : c->len);
}

static void add(struct cutter *cutter, struct character *c)
{
    if (c->kind == KIND_JOINT && cutter->was_emoji)
        return;
    if (c->kind == KIND_JOINT)
        c->kind = cutter->stretch > 0 ? KIND_DENSE : KIND_NEUTRAL;
    if (c->kind != KIND_DENSE)
        end_stretch(cutter);
    cutter->was_emoji = c->kind == KIND_EMOJI;
    if (c->kind == KIND_DENSE) {
        add_dense(cutter, c);
    } else if (c->kind == KIND_EMOJI) {
        add_emoji(cutter, c);
    } else if (c->kind == KIND_BLANK) {
        buf_puts(cutter->out, " ");
        cutter->kind = KIND_BLANK;
    } else {
        add_to_word(cutter, c);
    }
}

static void cut(struct cutter *cutter, Text text)
{
    while (text.len > 0) {
        struct character c = next_character(text);

        add(cutter, &c);
        text.data += c.len;
        text.len -= c.len;
    }
}

void cut_stored(struct buf *out, Text text)
{
    struct cutter cutter = {.out = out, .kind = KIND_BLANK};

    cut(&cutter, text);
    end_stretch(&cutter);
}

void cut_typed(struct buf *out, Text text, bool *is_beginning)
{
    struct cutter cutter = {.out = out, .kind = KIND_BLANK};

    cut(&cutter, text);
    if (cutter.stretch != 1)
        return;
    *is_beginning = true;
    buf_append(out, cutter.before.data, cutter.before.len);
}
