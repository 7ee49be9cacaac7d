// Heads, targets and bodies of requests, in one piece and cut anywhere.
#include "broker/web/head.h"

#include "broker/base/buf.h"
#include "broker/web/target.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct arena *memory;
static struct body_reader reader;
static struct head head;
static struct head_refusal refusal;

static void set_up(void)
{
    memory = arena_create(4096);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(web_head, .init = set_up, .fini = tear_down);

// Scans text in pieces of this size; returns how it ended and how many bytes belong to the head.
static enum head_end scan_in_pieces(char *text, size_t len, size_t piece, size_t *total)
{
    struct head_scan scan = {0};
    enum head_end end = HEAD_MORE;

    *total = 0;
    while (end == HEAD_MORE && *total < len) {
        size_t used = 0;
        size_t here = len - *total < piece ? len - *total : piece;

        end = head_scan(&scan, text + *total, here, &used);
        *total += used;
    }
    return end;
}

static bool read_head(const char *text)
{
    char *copy = arena_copy(memory, text, strlen(text));
    size_t total;

    if (scan_in_pieces(copy, strlen(text), 1000000, &total) != HEAD_ENDS)
        return false;
    return head_read(&head, &reader, memory, copy, total, &refusal);
}

Test(web_head, ends_at_the_empty_line_however_it_is_cut)
{
    static const char text[] = "\r\nPOST /a?b=c HTTP/1.1\r\nHost: x\r\nA:\t b \r\n\r\nbody";

    for (size_t piece = 1; piece < sizeof text; piece++) {
        char *copy = arena_copy(memory, text, sizeof text - 1);
        size_t total;

        cr_assert_eq(scan_in_pieces(copy, sizeof text - 1, piece, &total), HEAD_ENDS);
        cr_assert_eq(total, sizeof text - 1 - 4);
        cr_assert(head_read(&head, &reader, memory, copy, total, &refusal));
        cr_assert_str_eq(head.method, "POST");
        cr_assert_str_eq(head.target.at, "/a?b=c");
        cr_assert_str_eq(head_find(&head, "a")->at, "b");
        cr_assert_str_eq(head_find(&head, "HOST")->at, "x");
        cr_assert_null(head_find(&head, "b"));
    }
}

Test(web_head, refuses_lines_that_others_would_read_otherwise)
{
    static const char *const bad[] = {
        "GET / HTTP/1.1\nHost: x\r\n\r\n",       "GET / HTTP/1.1\r\nHost: x\n\r\n",
        "GET / HTTP/1.1\rHost: x\r\n\r\n",       "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\x01\r\n\r\n", "GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *copy = arena_copy(memory, bad[i], strlen(bad[i]));
        size_t total;

        cr_assert_eq(scan_in_pieces(copy, strlen(bad[i]), 3, &total), HEAD_BAD, "%s", bad[i]);
    }
}

Test(web_head, a_nul_in_a_value_is_a_blank)
{
    char text[] = "GET / HTTP/1.1\r\nHost: x\r\nK: a\0b\r\n\r\n";
    size_t total;

    cr_assert_eq(scan_in_pieces(text, sizeof text - 1, 5, &total), HEAD_ENDS);
    cr_assert(head_read(&head, &reader, memory, text, total, &refusal));
    cr_assert_str_eq(head_find(&head, "K")->at, "a b");
}

// It would be a blank there, and its line more of the line before.
Test(web_head, a_nul_does_not_begin_a_line)
{
    char text[] = "GET / HTTP/1.1\r\nHost: x\r\nK: a\r\n\0L: 1\r\n\r\n";
    size_t total;

    cr_assert_eq(scan_in_pieces(text, sizeof text - 1, 5, &total), HEAD_BAD);
}

Test(web_head, any_token_is_a_method)
{
    cr_assert(read_head("BREW / HTTP/1.1\r\nHost: x\r\n\r\n"));
    cr_assert_str_eq(head.method, "BREW");
    cr_assert(read_head("get / HTTP/1.1\r\nHost: x\r\n\r\n"));
    cr_assert_str_eq(head.method, "get");
    cr_assert_not(read_head("G(T / HTTP/1.1\r\nHost: x\r\n\r\n"));
    cr_assert_eq(refusal.status, 400);
    cr_assert_not(read_head("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"));
}

Test(web_head, says_whether_the_connection_goes_on)
{
    cr_assert(read_head("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    cr_assert_not(head.closes);
    cr_assert(read_head("GET / HTTP/1.1\r\nHost: x\r\nConnection: a, Close\r\n\r\n"));
    cr_assert(head.closes);
    cr_assert(read_head("GET / HTTP/1.0\r\n\r\n"));
    cr_assert(head.closes);
    cr_assert(read_head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    cr_assert_not(head.closes);
}

static bool take(void *ctx, const char *data, size_t len)
{
    char *out = ctx;

    strncat(out, data, len);
    return strlen(out) < 40;
}

static enum body_state read_body(const char *text, size_t piece, char *out, size_t *total)
{
    enum body_state state = BODY_MORE;
    size_t len = strlen(text);
    char *copy = arena_copy(memory, text, len);

    cr_assert(read_head("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    out[0] = '\0';
    *total = 0;
    while (state == BODY_MORE && *total < len) {
        size_t used = 0;
        size_t here = len - *total < piece ? len - *total : piece;

        state = body_read(&reader, take, out, copy + *total, here, &used);
        *total += used;
    }
    return state;
}

Test(web_head, chunks_are_put_together_however_they_are_cut)
{
    static const char text[] = "3\r\nabc\r\nA;x=y\r\ndefghijklm\r\n0\r\nT: 1\r\n\r\nnext";
    char out[100];
    size_t total;

    for (size_t piece = 1; piece < sizeof text; piece++) {
        cr_assert_eq(read_body(text, piece, out, &total), BODY_ENDS, "%zu", piece);
        cr_assert_str_eq(out, "abcdefghijklm");
        cr_assert_eq(total, sizeof text - 1 - 4);
    }
}

Test(web_head, bad_chunks_and_bodies_that_are_not_wanted_end_the_reading)
{
    static const char *const bad[] = {"3\nabc\n0\n\n",
                                      "3\r\nabcd\r\n",
                                      "-1\r\n",
                                      "x\r\n",
                                      "3 \nabc\r\n",
                                      "\r\n3\r\nabc",
                                      "0\r\nX:\rZ\r\nGET / HTTP/1.1\r\n\r\n",
                                      "0\r\nX: 1\n\r\n",
                                      "0\r\nX: 1\r\n folded\r\n\r\n",
                                      "0\r\nX: \x01\r\n\r\n"};
    char out[100];
    size_t total;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(read_body(bad[i], 2, out, &total), BODY_BAD, "%s", bad[i]);
    cr_assert_eq(read_body("30\r\n0123456789012345678901234567890123456789", 50, out, &total),
                 BODY_FULL);
}

Test(web_head, trailers_have_a_bound)
{
    struct buf text = {0};
    char out[100];
    size_t total;

    buf_append(&text, "0\r\n", 3);
    while (text.len < WEB_HEAD_MAX + 1000)
        buf_append(&text, "T: 1\r\n", 6);
    buf_append(&text, "\r\n", 3);
    cr_assert_eq(read_body(buf_text(&text), 1000, out, &total), BODY_BAD);
    cr_assert(total < WEB_HEAD_MAX + 2000);
    buf_fini(&text);
}

// --- targets -------------------------------------------------------------------------------------

static bool read_target(struct target *target, const char *text)
{
    return target_read(target, memory, (struct span){text, strlen(text)}, &refusal);
}

Test(web_head, a_target_is_decoded_with_its_lengths)
{
    struct target target;

    cr_assert(read_target(&target, "/a%20b%2Fc%00?x=1%00+2&&y&=z&x=%zz%4"));
    cr_assert_str_eq(target.path, "/a b%2Fc%00");
    cr_assert_eq(target.parameter_count, 4);
    cr_assert_eq(target.parameters[0].value_len, 4);
    cr_assert_arr_eq(target.parameters[0].value, "1\0 2", 4);
    cr_assert_str_eq(target.parameters[1].name, "y");
    cr_assert_str_eq(target.parameters[1].value, "");
    cr_assert_eq(target.parameters[2].name_len, 0);
    cr_assert_str_eq(target.parameters[3].value, "%zz%4");
}

Test(web_head, an_absolute_target_is_its_path)
{
    struct target target;

    cr_assert(read_target(&target, "HTTP://host:80/a?b"));
    cr_assert_str_eq(target.path, "/a");
    cr_assert_eq(target.parameter_count, 1);
    cr_assert(read_target(&target, "https://host?b=c"));
    cr_assert_str_eq(target.path, "/");
    cr_assert(read_target(&target, "*"));
    cr_assert_not(read_target(&target, "http://"));
    cr_assert_not(read_target(&target, "host:80"));
    cr_assert_not(read_target(&target, ""));
    cr_assert_eq(refusal.status, 400);
}

Test(web_head, parameters_are_bounded)
{
    struct target target;
    char *text = arena_alloc(memory, 2 * (size_t)WEB_PARAMETERS_MAX + 10);
    size_t len = 0;

    text[len++] = '/';
    text[len++] = '?';
    for (int i = 0; i < WEB_PARAMETERS_MAX; i++) {
        text[len++] = 'a';
        text[len++] = '&';
    }
    text[len - 1] = '\0';
    cr_assert(read_target(&target, text));
    cr_assert_eq(target.parameter_count, WEB_PARAMETERS_MAX);
    memcpy(text + len - 1, "&a", 3);
    cr_assert_not(read_target(&target, text));
    cr_assert_eq(refusal.status, 414);
}
