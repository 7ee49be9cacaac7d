// libcurl's socket interface: it says which sockets to watch and when to call again, libuv watches.
#include "workers/webhook/sender.h"

#include "broker/base/log.h"
#include "broker/base/timestamp.h"
#include "workers/webhook/address.h"
#include "workers/webhook/schedule.h"
#include "workers/webhook/url.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX (64 * 1024) // head and body
#define CONNECTIONS_KEPT 512
#define SPARE_MAX 256
#define CHECKED_OPTION(easy, option, value)                                                        \
    do {                                                                                           \
        if (curl_easy_setopt(easy, option, value) != CURLE_OK)                                     \
            abort();                                                                               \
    } while (false)

struct transfer {
    struct transfer *next; // among those under way, or the spare ones
    struct transfer *before;
    struct sender *sender;
    CURL *easy;
    struct curl_slist *headers;
    sender_done_fn done;
    void *ctx;
    int64_t start_ns;
    size_t answer_bytes;
    bool allowed;  // its host may have any address
    bool blocked;  // it had one that it may not have
    bool too_long; // the rest of the answer was not read
    struct sender_result result;
};

struct watch {
    uv_poll_t poll;
    curl_socket_t socket;
    struct sender *sender;
};

struct sender {
    struct sender_config config;
    CURLM *multi;
    uv_timer_t timer;
    struct transfer *running;
    struct transfer *spare;
    size_t spare_count;
    size_t handles; // that libuv has not closed yet
    bool closing;
};

// --- one exchange --------------------------------------------------------------------------------

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *transfer = ctx;

    if (purpose != CURLSOCKTYPE_IPCXN)
        return CURL_SOCKET_BAD;
    if (!transfer->allowed && address_is_blocked(&address->addr)) {
        transfer->blocked = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// Appends what there is room for.
static void keep(char *to, size_t *len, size_t cap, const char *data, size_t size)
{
    size_t room = cap - *len;
    size_t count = size < room ? size : room;

    memcpy(to + *len, data, count);
    *len += count;
}

static bool is_too_much(struct transfer *transfer, size_t size)
{
    transfer->answer_bytes += size;
    transfer->too_long = transfer->answer_bytes > ANSWER_BYTES_MAX;
    return transfer->too_long;
}

static size_t on_body(char *data, size_t one, size_t size, void *ctx)
{
    struct transfer *transfer = ctx;
    struct sender_result *result = &transfer->result;

    (void)one;
    keep(result->body, &result->body_len, sizeof result->body, data, size);
    return is_too_much(transfer, size) ? 0 : size;
}

static size_t on_head(char *data, size_t one, size_t size, void *ctx)
{
    static const char name[] = "retry-after:";
    const size_t name_len = sizeof name - 1;
    struct transfer *transfer = ctx;
    struct sender_result *result = &transfer->result;

    (void)one;
    if (size > 5 && strncasecmp(data, "HTTP/", 5) == 0)
        result->head_len = 0; // of the last answer: an interim one may have come before
    keep(result->head, &result->head_len, sizeof result->head, data, size);
    if (size > name_len && strncasecmp(data, name, name_len) == 0)
        result->retry_after_us =
            schedule_retry_after(data + name_len, size - name_len, timestamp_now_us());
    return is_too_much(transfer, size) ? 0 : size;
}

static CURL *easy_create(const struct sender_config *config)
{
    CURL *easy = curl_easy_init();

    if (easy == NULL)
        abort();
    CHECKED_OPTION(easy, CURLOPT_NOSIGNAL, 1L);
    CHECKED_OPTION(easy, CURLOPT_POST, 1L);
    CHECKED_OPTION(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    CHECKED_OPTION(easy, CURLOPT_FOLLOWLOCATION, 0L);
    CHECKED_OPTION(easy, CURLOPT_PROXY, "");
    CHECKED_OPTION(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    CHECKED_OPTION(easy, CURLOPT_USERAGENT, "HandoffRail/" HR_VERSION);
    CHECKED_OPTION(easy, CURLOPT_TIMEOUT_MS, (long)config->timeout_ms);
    CHECKED_OPTION(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    CHECKED_OPTION(easy, CURLOPT_WRITEFUNCTION, on_body);
    CHECKED_OPTION(easy, CURLOPT_HEADERFUNCTION, on_head);
    if (config->ca_file[0] != '\0')
        CHECKED_OPTION(easy, CURLOPT_CAINFO, config->ca_file);
    return easy;
}

static struct transfer *transfer_take(struct sender *sender)
{
    struct transfer *transfer = sender->spare;

    if (transfer != NULL) {
        CURL *easy = transfer->easy;

        sender->spare = transfer->next;
        sender->spare_count--;
        memset(transfer, 0, sizeof *transfer);
        transfer->easy = easy;
    } else {
        transfer = calloc(1, sizeof *transfer);
        if (transfer == NULL)
            abort();
        transfer->easy = easy_create(&sender->config);
    }
    transfer->sender = sender;
    transfer->next = sender->running;
    if (transfer->next != NULL)
        transfer->next->before = transfer;
    sender->running = transfer;
    return transfer;
}

static void transfer_free(struct transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    free(transfer);
}

static void transfer_give_back(struct transfer *transfer)
{
    struct sender *sender = transfer->sender;

    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
    if (transfer->before != NULL)
        transfer->before->next = transfer->next;
    else
        sender->running = transfer->next;
    if (transfer->next != NULL)
        transfer->next->before = transfer->before;
    if (sender->spare_count == SPARE_MAX) {
        transfer_free(transfer);
        return;
    }
    transfer->next = sender->spare;
    sender->spare = transfer;
    sender->spare_count++;
}

static void add_header(struct transfer *transfer, const char *name, const char *value)
{
    char line[2048];
    struct curl_slist *list;

    (void)snprintf(line, sizeof line, "%s: %s", name, value);
    list = curl_slist_append(transfer->headers, line);
    if (list == NULL)
        abort();
    transfer->headers = list;
}

void sender_post(struct sender *sender, const struct sender_request *request)
{
    struct transfer *transfer = transfer_take(sender);
    char *host = NULL;

    transfer->done = request->done;
    transfer->ctx = request->ctx;
    transfer->start_ns = clock_now_ns();
    if (url_check(request->url, &host) == NULL) {
        transfer->allowed = address_is_allowed(sender->config.allowed_hosts, host);
        url_host_free(host);
    }
    for (size_t i = 0; i < request->header_count; i++)
        add_header(transfer, request->headers[i].name, request->headers[i].value);
    transfer->headers = curl_slist_append(transfer->headers, "Expect:"); // no waiting for a 100
    CHECKED_OPTION(transfer->easy, CURLOPT_URL, request->url);
    CHECKED_OPTION(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
    CHECKED_OPTION(transfer->easy, CURLOPT_POSTFIELDS, request->body);
    CHECKED_OPTION(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->len);
    CHECKED_OPTION(transfer->easy, CURLOPT_PRIVATE, transfer);
    CHECKED_OPTION(transfer->easy, CURLOPT_OPENSOCKETDATA, transfer);
    CHECKED_OPTION(transfer->easy, CURLOPT_WRITEDATA, transfer);
    CHECKED_OPTION(transfer->easy, CURLOPT_HEADERDATA, transfer);
    if (curl_multi_add_handle(sender->multi, transfer->easy) != CURLM_OK)
        abort();
}

static void finish(struct transfer *transfer, CURLcode code)
{
    struct sender_result *result = &transfer->result;
    sender_done_fn done = transfer->done;
    void *ctx = transfer->ctx;

    result->took_us = (clock_now_ns() - transfer->start_ns) / 1000;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &result->status);
    // An answer too long to be read whole is an answer.
    if (code == CURLE_WRITE_ERROR && transfer->too_long)
        code = CURLE_OK;
    if (transfer->blocked && code != CURLE_OK)
        (void)snprintf(result->error, sizeof result->error,
                       "Webhook URL blocked: its host has an address that is not public");
    else if (code != CURLE_OK)
        (void)snprintf(result->error, sizeof result->error, "%s", curl_easy_strerror(code));
    if (code != CURLE_OK)
        result->status = 0;
    (void)curl_multi_remove_handle(transfer->sender->multi, transfer->easy);
    done(ctx, result);
    transfer_give_back(transfer);
}

// --- libcurl and the loop ------------------------------------------------------------------------

static void read_done(struct sender *sender)
{
    int left;

    for (;;) {
        const CURLMsg *msg = curl_multi_info_read(sender->multi, &left);
        char *transfer = NULL;

        if (msg == NULL)
            return;
        if (msg->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &transfer);
        finish((struct transfer *)(void *)transfer, msg->data.result);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    const struct watch *watch = poll->data;
    struct sender *sender = watch->sender;
    int flags = 0;
    int running;

    if (status < 0)
        flags = CURL_CSELECT_ERR;
    if ((events & UV_READABLE) != 0)
        flags |= CURL_CSELECT_IN;
    if ((events & UV_WRITABLE) != 0)
        flags |= CURL_CSELECT_OUT;
    (void)curl_multi_socket_action(sender->multi, watch->socket, flags, &running);
    read_done(sender);
}

static void on_timeout(uv_timer_t *timer)
{
    struct sender *sender = timer->data;
    int running;

    (void)curl_multi_socket_action(sender->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    read_done(sender);
}

static int on_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct sender *sender = ctx;

    (void)multi;
    if (sender->closing)
        return 0;
    if (timeout_ms < 0)
        uv_timer_stop(&sender->timer);
    else
        uv_timer_start(&sender->timer, on_timeout, (uint64_t)timeout_ms, 0);
    return 0;
}

static void release(struct sender *sender)
{
    if (--sender->handles == 0)
        free(sender);
}

static void on_watch_closed(uv_handle_t *handle)
{
    struct watch *watch = handle->data;

    release(watch->sender);
    free(watch);
}

static void watch_end(struct sender *sender, struct watch *watch)
{
    if (watch == NULL)
        return;
    (void)curl_multi_assign(sender->multi, watch->socket, NULL);
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *ctx, void *known)
{
    struct sender *sender = ctx;
    struct watch *watch = known;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        watch_end(sender, watch);
        return 0;
    }
    if (watch == NULL) {
        watch = calloc(1, sizeof *watch);
        if (watch == NULL)
            abort();
        watch->socket = socket;
        watch->sender = sender;
        watch->poll.data = watch;
        if (uv_poll_init_socket(sender->config.loop, &watch->poll, socket) != 0) {
            free(watch);
            return -1;
        }
        sender->handles++;
        (void)curl_multi_assign(sender->multi, socket, watch);
    }
    if ((what & CURL_POLL_IN) != 0)
        events |= UV_READABLE;
    if ((what & CURL_POLL_OUT) != 0)
        events |= UV_WRITABLE;
    uv_poll_start(&watch->poll, events, on_poll);
    return 0;
}

enum rc sender_open(struct sender **out, const struct sender_config *config)
{
    struct sender *sender;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        log_error("sender.open", "error=\"libcurl cannot be initialised\"");
        return RC_INTERNAL;
    }
    sender = calloc(1, sizeof *sender);
    if (sender == NULL)
        abort();
    sender->config = *config;
    sender->multi = curl_multi_init();
    if (sender->multi == NULL)
        abort();
    (void)curl_multi_setopt(sender->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(sender->multi, CURLMOPT_SOCKETDATA, sender);
    (void)curl_multi_setopt(sender->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(sender->multi, CURLMOPT_TIMERDATA, sender);
    (void)curl_multi_setopt(sender->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    uv_timer_init(config->loop, &sender->timer);
    sender->timer.data = sender;
    sender->handles = 1;
    *out = sender;
    return RC_OK;
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void sender_close(struct sender *sender)
{
    struct transfer *next;

    if (sender == NULL)
        return;
    sender->closing = true;
    for (struct transfer *transfer = sender->running; transfer != NULL; transfer = next) {
        next = transfer->next;
        (void)curl_multi_remove_handle(sender->multi, transfer->easy);
        curl_slist_free_all(transfer->headers);
        transfer_free(transfer);
    }
    for (struct transfer *transfer = sender->spare; transfer != NULL; transfer = next) {
        next = transfer->next;
        transfer_free(transfer);
    }
    (void)curl_multi_cleanup(sender->multi); // closes its connections: on_socket ends their watches
    curl_global_cleanup();
    uv_close((uv_handle_t *)&sender->timer, on_timer_closed);
}
