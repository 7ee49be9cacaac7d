// What the gateway writes, read back, in pieces of every size; and what nobody should write.
#include "broker/message/json_write.h"
#include "broker/seal/seal_wire.h"
#include "clients/cli/audit/export_read.h"
#include "gateway/csv.h"
#include "tests/unit/sealed.h"

#include <criterion/criterion.h>

#define ROWS 6

static struct seal_row rows[ROWS];
static size_t seen;
static struct arena *arena;
static struct buf text;

static void set_up(void)
{
    sealed_fill(rows, ROWS, "acme", 0, 0);
    rows[1].details = text_of("{\"a\":\"x,\\\"y\\\"\r\n\x1a \xc3\xbc\"}");
    rows[2].actor = text_of("=1+1");
    rows[3].actor = text_of("'quoted");
    rows[4].actor = text_of("\"");
    rows[5].type = text_of("");
    seen = 0;
    arena = arena_create(4096);
    buf_reset(&text);
}

static void tear_down(void)
{
    arena_destroy(arena);
    buf_fini(&text);
}

TestSuite(export_read, .init = set_up, .fini = tear_down);

static void on_row(void *ctx, const struct seal_row *row)
{
    struct seal_row want = rows[seen++];
    const uint8_t none[SEAL_BYTES] = {0};
    struct buf scratch = {0};
    uint8_t mac[SEAL_BYTES];
    uint8_t wanted[SEAL_BYTES];

    (void)ctx;
    cr_assert_arr_eq(row->mac, want.mac, SEAL_BYTES);
    // Whatever the hash covers has come through.
    cr_assert_eq(seal_row_mac(mac, row, none, sealed_ring(), &scratch), RC_OK);
    cr_assert_eq(seal_row_mac(wanted, &want, none, sealed_ring(), &scratch), RC_OK);
    cr_assert_arr_eq(mac, wanted, SEAL_BYTES, "row %zu", seen);
    buf_fini(&scratch);
}

static void on_any_row(void *ctx, const struct seal_row *row)
{
    (void)ctx;
    (void)row;
    seen++;
}

static void assert_read_in_pieces(size_t piece)
{
    struct export_reader *reader = export_reader_create(on_row, NULL);

    seen = 0;
    for (size_t at = 0; at < text.len; at += piece) {
        size_t len = text.len - at < piece ? text.len - at : piece;

        cr_assert_eq(export_reader_feed(reader, text.data + at, len), RC_OK, "%s",
                     export_reader_error(reader));
    }
    cr_assert_eq(export_reader_finish(reader), RC_OK);
    cr_assert_eq(seen, ROWS);
    export_reader_destroy(reader);
}

Test(export_read, ndjson_comes_back_as_it_was)
{
    for (size_t i = 0; i < ROWS; i++) {
        Text line = json_of_message(arena, &seal_row_to_wire(arena, &rows[i])->base);

        buf_append(&text, line.data, line.len);
        buf_puts(&text, "\n");
    }
    for (size_t piece = 1; piece < 3000; piece = piece * 3 + 1)
        assert_read_in_pieces(piece);
}

Test(export_read, csv_comes_back_as_it_was)
{
    csv_heading(&text, &hr__audit_row__descriptor);
    for (size_t i = 0; i < ROWS; i++)
        csv_row(&text, &seal_row_to_wire(arena, &rows[i])->base);
    cr_assert_not_null(strstr(buf_text(&text), ",'=1+1,"), "a spreadsheet would compute it");
    for (size_t piece = 1; piece < 3000; piece = piece * 3 + 1)
        assert_read_in_pieces(piece);
}

static enum rc read_all(const char *bytes, size_t len)
{
    struct export_reader *reader = export_reader_create(on_any_row, NULL);
    enum rc rc = export_reader_feed(reader, bytes, len);

    seen = 0;
    if (rc == RC_OK)
        rc = export_reader_finish(reader);
    cr_assert((rc == RC_OK) == (export_reader_error(reader) == NULL));
    if (rc != RC_OK)
        cr_assert_eq(export_reader_feed(reader, "x", 1), RC_INVALID, "once wrong, always wrong");
    export_reader_destroy(reader);
    return rc;
}

Test(export_read, what_is_no_export_is_refused)
{
    static const char *const bad[] = {
        "{}\n",
        "{\"tenant\":\"a\"}\n",
        "{]\n",
        "{\"tenant\":1}\n",
        "{\"tenant\":\"a\"",
        "a,b\r\n1\r\n",
        "a,b\r\n1,2,3\r\n",
        "tenant,tenant\r\n1,2\r\n",
        "tenant,seq\r\na,x\r\n",
        "tenant,seq\r\na,9999999999999999999\r\n",
        "tenant\r\n\"a\"b\r\n",
        "tenant\r\na\"b\r\n",
        "tenant\r\na\rb\r\n",
        "tenant\r\n\"never closed",
        "tenant",
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(read_all(bad[i], strlen(bad[i])), RC_INVALID, "%s", bad[i]);
    cr_assert_eq(read_all("tenant\r\na\0b\r\n", 13), RC_INVALID);
}

Test(export_read, nothing_is_an_export_of_nothing)
{
    cr_assert_eq(read_all("", 0), RC_OK);
    cr_assert_eq(read_all("tenant,seq\r\n\r\n", 14), RC_OK);
}
