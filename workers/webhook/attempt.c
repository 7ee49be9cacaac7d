// The record of an attempt holds what the receiver answered, cut and made readable.
#include "workers/webhook/attempt.h"

#include "broker/base/id.h"
#include "broker/base/log.h"
#include "broker/base/utf8.h"
#include "workers/webhook/hook_rules.h"
#include "workers/webhook/secret.h"
#include "workers/webhook/sign.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>

#define ERROR_BODY_MAX 200 // characters of an answer in last_error
#define NOTED_HEADERS 5    // not the signatures: one beside its body would invite guessing

static const char *text(struct arena *arena, Text value)
{
    return arena_copy(arena, value.data, value.len);
}

// Both signatures of one secret. Returns the Standard Webhooks one.
static enum rc sign(const struct attempts *attempts, const struct attempt_request *request,
                    const Hr__SealedSecret *sealed, int64_t seconds, struct arena *arena,
                    char hex[DIGEST_HEX_BYTES], char **standard)
{
    uint8_t secret[SECRET_BYTES_MAX];
    size_t len;
    const struct sign_message message = {request->delivery_id, seconds, request->body.data,
                                         request->body.len};
    enum rc rc = secret_open(attempts->ring, sealed, text(arena, request->hook->tenant),
                             text(arena, request->hook->id), secret, &len);

    if (rc != RC_OK) {
        log_error("attempt.secret", "hook=%.*s reason=\"%s\"", TEXT_ARGS(request->hook->id),
                  rc_text(rc));
        return rc;
    }
    sign_hex(hex, secret, len, request->body.data, request->body.len);
    *standard = sign_standard(arena, secret, len, &message);
    OPENSSL_cleanse(secret, sizeof secret);
    return RC_OK;
}

// The same of the secrets that were replaced and still sign.
static const char *sign_old(const struct attempts *attempts, const struct attempt_request *request,
                            int64_t now_us, struct arena *arena, char **standard)
{
    const Hr__SealedSecret *old[OLD_SECRETS_MAX];
    size_t count = hook_old_secrets(request->hook, now_us, old);
    const char *all = NULL;

    for (size_t i = 0; i < count; i++) {
        char hex[DIGEST_HEX_BYTES];
        char *one;

        if (sign(attempts, request, old[i], now_us / US_PER_SECOND, arena, hex, &one) != RC_OK)
            continue;
        *standard = arena_printf(arena, "%s %s", *standard, one);
        all = all == NULL ? arena_copy(arena, hex, strlen(hex))
                          : arena_printf(arena, "%s, %s", all, hex);
    }
    return all;
}

static void note_headers(Hr__DeliveryRecord *record, struct arena *arena,
                         const struct header *headers)
{
    record->n_request_headers = 0;
    record->request_headers = arena_calloc(arena, NOTED_HEADERS, sizeof(void *));
    for (size_t i = 0; i < NOTED_HEADERS; i++) {
        Hr__SentHeader *sent = wire_new(arena, &hr__sent_header__descriptor);

        sent->has_name = sent->has_value = true;
        sent->name = text_of(headers[i].name);
        sent->value = text_copy(arena, headers[i].value, strlen(headers[i].value));
        record->request_headers[record->n_request_headers++] = sent;
    }
}

enum rc attempt_start(const struct attempts *attempts, const struct attempt_request *request,
                      struct arena *arena)
{
    const Hr__Hook *hook = request->hook;
    int64_t now_us = timestamp_now_us();
    int64_t seconds = now_us / US_PER_SECOND;
    char hex[DIGEST_HEX_BYTES];
    char *standard;
    const char *old_hex;
    enum rc rc = sign(attempts, request, hook->secret, seconds, arena, hex, &standard);

    if (rc != RC_OK)
        return rc;
    old_hex = sign_old(attempts, request, now_us, arena, &standard);
    const char *at = arena_printf(arena, "%" PRId64, seconds);
    // The first NOTED_HEADERS are noted; the last one is sent if there is any.
    const struct header headers[] = {
        {"Content-Type",       "application/json"  },
        {"X-HR-Event",         request->event      },
        {"X-HR-Delivery-ID",   request->delivery_id},
        {"webhook-id",         request->delivery_id},
        {"webhook-timestamp",  at                  },
        {"X-HR-Signature",     hex                 },
        {"webhook-signature",  standard            },
        {"X-HR-Signature-Old", old_hex             },
    };
    const size_t count = sizeof headers / sizeof headers[0];
    const struct sender_request post = {
        .url = text(arena, hook->url),
        .headers = headers,
        .header_count = old_hex != NULL ? count : count - 1,
        .body = request->body.data,
        .len = request->body.len,
        .done = request->done,
        .ctx = request->ctx,
    };

    if (request->record != NULL)
        note_headers(request->record, arena, headers);
    sender_post(attempts->sender, &post);
    return RC_OK;
}

// What is not UTF-8 becomes '?', so that it can be shown.
static Text readable(struct arena *arena, const char *data, size_t len)
{
    Text copy = text_copy(arena, data, len);

    for (size_t i = 0; i < len; i++) {
        uint8_t c = copy.data[i];

        if (c == 0 || (c < ' ' && c != '\n' && c != '\t' && c != '\r'))
            copy.data[i] = '?';
    }
    if (!utf8_is_valid(copy.data, len)) {
        for (size_t i = 0; i < len; i++)
            copy.data[i] = copy.data[i] < 0x80 ? copy.data[i] : '?';
    }
    return copy;
}

static const char *error_text(struct arena *arena, const struct sender_result *result)
{
    Text body;

    if (result->status == 0)
        return arena_copy(arena, result->error, strlen(result->error));
    body = readable(arena, result->body, result->body_len);
    return arena_printf(arena, "HTTP %ld: %.*s", result->status,
                        body.len < ERROR_BODY_MAX ? (int)body.len : ERROR_BODY_MAX, body.data);
}

static void set_status(Hr__Delivery *delivery, struct arena *arena, const char *status)
{
    delivery->has_status = true;
    delivery->status = text_of(status);
    delivery->updated_at = wire_timestamp(arena, timestamp_now_us());
    delivery->next_retry_at = NULL;
}

static double random_part(void)
{
    uint16_t bits;

    random_bytes(&bits, sizeof bits);
    return bits / 65535.0;
}

void attempt_note(const struct attempts *attempts, Hr__DeliveryRecord *record, struct arena *arena,
                  const struct sender_result *result, bool retries)
{
    Hr__Delivery *delivery = record->delivery;
    bool asks = result->status == 429 || result->status == 503;
    int64_t delay_us;

    delivery->has_attempts = true;
    delivery->attempts++;
    delivery->has_last_status_code = result->status != 0;
    delivery->last_status_code = result->status;
    record->has_took_us = true;
    record->took_us = result->took_us;
    record->has_response_head = true;
    record->response_head = readable(arena, result->head, result->head_len);
    record->has_response_body = true;
    record->response_body = readable(arena, result->body, result->body_len);
    if (attempt_succeeded(result)) {
        set_status(delivery, arena, "delivered");
        delivery->delivered_at = delivery->updated_at;
        delivery->has_last_error = false;
        delivery->last_error = (Text){0, NULL};
        return;
    }
    delivery->has_last_error = true;
    delivery->last_error = text_of(error_text(arena, result));
    // Gone says that there is nobody left to try again for.
    if (retries && result->status != 410 &&
        schedule_next(&attempts->schedule, delivery->attempts, random_part(),
                      asks ? result->retry_after_us : 0, &delay_us)) {
        set_status(delivery, arena, "failed");
        delivery->next_retry_at = wire_timestamp(arena, timestamp_now_us() + delay_us);
    } else {
        set_status(delivery, arena, "dead_letter");
    }
}

void attempt_give_up(Hr__DeliveryRecord *record, struct arena *arena, const char *reason)
{
    set_status(record->delivery, arena, "dead_letter");
    record->delivery->has_last_error = true;
    record->delivery->last_error = text_of(reason);
}
