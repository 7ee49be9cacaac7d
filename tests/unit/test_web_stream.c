// Streams over a Unix socket: bytes that come later, a client that goes away, an end in the middle.
#include "broker/web/web.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { TURNS = 200 };

static uv_loop_t loop;
static struct web *web;
static char path[64];
static char listen_on[80];
static struct web_request *request; // the one that streams
static enum web_more answer;        // to the next read
static int reads;
static int gone;
static int ended;
static bool whole;

static enum web_more on_read(void *ctx, char *out, size_t cap, size_t *len)
{
    enum web_more now = answer;

    (void)ctx;
    cr_assert_gt(cap, 5);
    reads++;
    if (now == WEB_MORE) {
        memcpy(out, "bytes", 5);
        *len = 5;
        answer = WEB_LATER;
    }
    return now;
}

static void on_gone(void *ctx)
{
    (void)ctx;
    gone++;
    web_wake(request);
}

static void on_end(void *ctx, bool is_whole)
{
    (void)ctx;
    ended++;
    whole = is_whole;
}

static void on_request(void *ctx, struct web_request *made)
{
    static const struct web_stream stream = {
        .read = on_read, .gone = on_gone, .end = on_end, .block = 4096};

    (void)ctx;
    request = made;
    web_respond_stream(made, 200, NULL, 0, &stream);
}

static const struct web_config config = {
    .listen = listen_on, .body_max = 1000, .on_request = on_request};

static void set_up(void)
{
    (void)snprintf(path, sizeof path, "/tmp/hr-web-%ld.sock", (long)getpid());
    (void)snprintf(listen_on, sizeof listen_on, "unix:%s", path);
    uv_loop_init(&loop);
    cr_assert_eq(web_open(&web, &loop, &config), RC_OK);
    answer = WEB_LATER;
    reads = gone = ended = 0;
}

static void tear_down(void)
{
    web_close(web);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0, "handles are left on the loop");
}

TestSuite(web_stream, .init = set_up, .fini = tear_down, .timeout = 30);

static int ask(void)
{
    static const char head[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(write(fd, head, sizeof head - 1), (ssize_t)sizeof head - 1);
    return fd;
}

// Lets the server work until *counter is above zero.
static void run_until(const int *counter)
{
    for (int i = 0; i < TURNS && *counter == 0; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        (void)poll(NULL, 0, 1);
    }
    cr_assert_gt(*counter, 0);
}

static void run_a_little(void)
{
    for (int i = 0; i < 20; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        (void)poll(NULL, 0, 1);
    }
}

static const char *received(int fd)
{
    static char text[4096];
    ssize_t len = read(fd, text, sizeof text - 1);

    text[len > 0 ? len : 0] = '\0';
    return text;
}

Test(web_stream, bytes_that_come_later_are_sent_when_woken)
{
    int fd = ask();

    run_until(&reads);
    run_a_little();
    cr_assert_eq(reads, 1, "nobody asks again while the stream waits");
    answer = WEB_MORE;
    web_wake(request);
    run_a_little();
    cr_assert_not_null(strstr(received(fd), "bytes"));
    answer = WEB_END;
    web_wake(request);
    web_wake(request); // once too often does no harm
    run_until(&ended);
    cr_assert(whole);
    cr_assert_not_null(strstr(received(fd), "0\r\n\r\n"));
    cr_assert_eq(gone, 0);
    cr_assert_eq(web_in_hand(web), 0);
    (void)close(fd);
}

Test(web_stream, a_client_that_goes_away_while_nothing_is_sent_is_noticed)
{
    int fd = ask();

    run_until(&reads);
    run_a_little();
    (void)close(fd);
    run_until(&gone);
    run_until(&ended);
    cr_assert_eq(gone, 1);
    cr_assert_eq(reads, 1, "nothing more is read");
    cr_assert(!whole);
    cr_assert_eq(web_in_hand(web), 0);
}

Test(web_stream, a_break_leaves_the_last_chunk_out)
{
    int fd = ask();

    answer = WEB_MORE;
    run_until(&reads);
    run_a_little();
    answer = WEB_BREAK;
    web_wake(request);
    run_until(&ended);
    cr_assert(!whole);
    const char *text = received(fd);
    cr_assert_not_null(strstr(text, "bytes"));
    cr_assert_null(strstr(text, "0\r\n\r\n"));
    (void)close(fd);
}

Test(web_stream, a_server_that_closes_ends_what_waits)
{
    int fd = ask();

    run_until(&reads);
    web_close(web);
    cr_assert_eq(ended, 1);
    cr_assert(!whole);
    (void)close(fd);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(web_open(&web, &loop, &config), RC_OK); // for the end of the test
}
