// A flight is one delivery on its way: loaded if need be, sent, written down. It holds a place of
// its hook until its record is acknowledged, so that what is sent and not yet written down is never
// more than that.
#include "workers/webhook/dispatcher.h"

#include "broker/base/log.h"
#include "broker/base/metrics.h"
#include "broker/message/json_write.h"
#include "broker/nats/subjects.h"
#include "broker/rail/alarm.h"
#include "workers/webhook/body.h"
#include "workers/webhook/owners.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define AGAIN_MS 500          // before a record that was not taken is written again
#define LOAD_AGAIN_US 1000000 // before one that could not be read is
#define SLOW_US 2000000
#define NOTE_AFTER_US (3600 * 1000000LL)
#define ARENA_BYTES 4096

struct flight {
    struct flight *next;
    struct flight *before;
    struct dispatcher *dispatcher;
    struct queued *delivery; // taken
    struct arena *arena;
    char tenant[TOKEN_MAX + 1];
    char hook_id[UUID_TEXT_BYTES];
    char id[UUID_TEXT_BYTES];
    unsigned partition;
    Hr__DeliveryRecord *record;
    uint64_t expected; // sequence of the record it replaces
    bool succeeded;
    bool again; // its record has to be written again
};

struct dispatcher {
    struct dispatcher_config config;
    struct alarm *alarm; // the next retry
    uv_timer_t timer;    // records to be written again
    struct flight *flights;
    size_t per_partition[PARTITIONS];
    size_t count;
    size_t writes; // of records that are no flights
    bool draining;
    bool closed;
    struct metric *deliveries;
    struct metric *seconds;
    struct metric *lag;
    struct metric *waiting;
};

static const double second_bounds[] = {.001, .0025, .005, .01, .025, .05, .1, .25,
                                       .5,   1,     2.5,  5,   10,   30,  60, 300};

static struct record_name name_of(const struct flight *flight)
{
    return (struct record_name){flight->tenant, flight->hook_id, flight->id};
}

// --- the end of a flight -------------------------------------------------------------------------

static void flight_end(struct flight *flight)
{
    struct dispatcher *dispatcher = flight->dispatcher;

    DL_DELETE2(dispatcher->flights, flight, before, next);
    dispatcher->per_partition[flight->partition]--;
    dispatcher->count--;
    arena_destroy(flight->arena);
    free(flight);
}

// What comes behind it in its packet may wait for as long as it does: that has to be written down.
static void store_followers(struct dispatcher *dispatcher, const struct queued *delivery)
{
    if (delivery->hook == NULL)
        return;
    for (const struct queued *at = delivery->next; at != NULL; at = at->next) {
        if (at->record_seq == 0)
            dispatcher_store(dispatcher, at);
    }
}

static void settle(struct flight *flight, uint64_t sequence)
{
    struct dispatcher *dispatcher = flight->dispatcher;
    struct queued *delivery = flight->delivery;
    const Hr__Delivery *state = flight->record->delivery;
    bool is_final = record_is_final(flight->record);
    int64_t at_us = wire_timestamp_us(state->next_retry_at);
    int64_t attempts = state->attempts;

    flight_end(flight);
    queue_recorded(delivery, sequence);
    if (is_final) {
        dispatcher->config.finished(dispatcher->config.ctx, delivery);
        queue_done(dispatcher->config.queue, delivery);
    } else {
        delivery->attempts = attempts;
        store_followers(dispatcher, delivery);
        queue_retry(dispatcher->config.queue, delivery, at_us > 0 ? at_us : timestamp_now_us());
    }
    dispatcher_pump(dispatcher);
}

// --- writing -------------------------------------------------------------------------------------

static void write_down(struct flight *flight);

// Somebody else has written: what is final counts, and so does our own success.
static void on_other(void *ctx, enum rc rc, Hr__DeliveryRecord *record, uint64_t sequence)
{
    struct flight *flight = ctx;

    if (rc == RC_CLOSED)
        return;
    if (rc != RC_OK) {
        flight->again = true;
        return;
    }
    flight->expected = sequence;
    if (record_is_final(record) ||
        (!flight->succeeded && !record_is_final(flight->record) &&
         record->delivery->attempts >= flight->record->delivery->attempts)) {
        flight->record = record;
        settle(flight, sequence);
    } else {
        write_down(flight);
    }
}

static void on_written(void *ctx, enum rc rc, uint64_t sequence)
{
    struct flight *flight = ctx;
    struct record_name name = name_of(flight);

    if (rc == RC_OK)
        settle(flight, sequence);
    else if (rc == RC_CONFLICT)
        records_load(flight->dispatcher->config.records, &name, flight->arena, on_other, flight);
    else
        flight->again = true; // the timer sees to it
}

static void write_down(struct flight *flight)
{
    struct record_name name = name_of(flight);

    flight->again = false;
    records_put(flight->dispatcher->config.records, &name, flight->record, flight->expected,
                on_written, flight);
}

static void note_gone(struct dispatcher *dispatcher);

static void on_again(uv_timer_t *timer)
{
    struct dispatcher *dispatcher = timer->data;
    struct flight *flight;
    struct flight *next;

    DL_FOREACH_SAFE2(dispatcher->flights, flight, next, next)
    {
        if (flight->again && conn_is_up(run_conn(dispatcher->config.run)))
            write_down(flight);
    }
    note_gone(dispatcher);
    dispatcher_pump(dispatcher); // what might not be sent before may be now
}

// --- how the hook does ---------------------------------------------------------------------------

struct note {
    struct dispatcher *dispatcher;
    struct arena *arena;
    char key[HOOK_KEY_BYTES];
    int64_t failing_since_us; // 0: not any more
    const char *disable;      // why; NULL: it stays active
    uint64_t from;            // of the hook as it was; one made active again since stays active
    bool disabled;            // by this edit
};

static bool edit_hook(void *ctx, Hr__Hook *hook, struct arena *arena)
{
    struct note *note = ctx;

    hook->failing_since =
        note->failing_since_us > 0 ? wire_timestamp(arena, note->failing_since_us) : NULL;
    note->disabled = note->disable != NULL && hook->active && hook->from_sequence == note->from;
    if (note->disabled) {
        hook->active = false;
        hook->has_disabled_reason = true;
        hook->disabled_reason = text_of(note->disable);
        hook->updated_at = wire_timestamp(arena, timestamp_now_us());
    }
    return true;
}

// A live notice; who is not listening finds disabled_reason in the hook.
static void tell_disabled(const struct note *note)
{
    static const struct header headers[] = {
        {HEADER_CONTENT_TYPE, TYPE_JSON}
    };
    Hr__LiveNotice *notice = wire_new(note->arena, &hr__live_notice__descriptor);
    const char *dot = strchr(note->key, '.'); // <tenant>.<hook>
    char subject[SUBJECT_BYTES];
    Text text;

    notice->has_type = true;
    notice->type = text_of("hook.disabled");
    notice->has_hook_id = true;
    notice->hook_id = text_of(dot + 1);
    notice->has_reason = true;
    notice->reason = text_of(note->disable);
    notice->timestamp = wire_timestamp(note->arena, timestamp_now_us());
    text = json_of_message(note->arena, &notice->base);
    subject_notice(subject, arena_copy(note->arena, note->key, (size_t)(dot - note->key)));
    log_warn("hook.disabled", "hook=%s reason=\"%s\"", note->key, note->disable);
    if (conn_publish(run_conn(note->dispatcher->config.run), subject, NULL, headers, 1, text.data,
                     text.len) != RC_OK)
        log_debug("notice.lost", "hook=%s", note->key);
}

static void on_noted(void *ctx, enum rc rc, Hr__Hook *changed)
{
    struct note *note = ctx;
    struct hook *hook = rc != RC_CLOSED && !note->dispatcher->closed
                            ? queue_hook(note->dispatcher->config.queue, note->key)
                            : NULL;

    (void)changed;
    if (hook != NULL)
        hook->noting = false;
    if (rc != RC_OK && rc != RC_CLOSED)
        log_warn("dispatcher.note", "hook=%s reason=\"%s\"", note->key, rc_text(rc));
    else if (rc == RC_OK && note->disabled && !note->dispatcher->closed)
        tell_disabled(note);
    arena_destroy(note->arena);
    free(note);
}

static void note_hook(struct dispatcher *dispatcher, struct hook *hook, int64_t since_us,
                      const char *disable)
{
    struct note *note;

    if (hook->noting)
        return;
    note = calloc(1, sizeof *note);
    if (note == NULL)
        abort();
    hook->noting = true;
    *note = (struct note){.dispatcher = dispatcher,
                          .arena = arena_create(ARENA_BYTES),
                          .failing_since_us = since_us,
                          .disable = disable,
                          .from = hook->config->from_sequence};
    memcpy(note->key, hook->key, sizeof note->key);
    registry_edit(dispatcher->config.registry, hook->key, note->arena, edit_hook, on_noted, note);
}

// Its entry in the bucket becomes inactive a moment after the 410, or later when another note was
// under way: nothing more is sent until then.
static bool is_gone(const struct hook *hook)
{
    return hook->gone && hook->config != NULL && hook->config->from_sequence == hook->gone_from;
}

static void note_gone_hook(struct dispatcher *dispatcher, struct hook *hook)
{
    note_hook(dispatcher, hook, hook->failing_since_us, "It answered 410 Gone");
}

// A 410 that could not be written down at once is written down later.
static void note_gone(struct dispatcher *dispatcher)
{
    for (struct hook *hook = queue_hooks(dispatcher->config.queue); hook != NULL;
         hook = hook->hh.next) {
        if (is_gone(hook) && hook->config->active)
            note_gone_hook(dispatcher, hook);
    }
}

static void judge_hook(struct dispatcher *dispatcher, struct hook *hook,
                       const struct sender_result *result)
{
    int64_t now_us = timestamp_now_us();
    int64_t noted_us = wire_timestamp_us(hook->config->failing_since);

    queue_note(dispatcher->config.queue, hook, attempt_succeeded(result),
               result->took_us > SLOW_US);
    if (attempt_succeeded(result)) {
        hook->failing_since_us = 0;
        if (noted_us > 0)
            note_hook(dispatcher, hook, 0, NULL);
        return;
    }
    if (hook->failing_since_us == 0)
        hook->failing_since_us = noted_us > 0 ? noted_us : now_us;
    if (result->status == 410) {
        hook->gone = hook->config->active;
        hook->gone_from = hook->config->from_sequence;
        note_gone_hook(dispatcher, hook);
    } else if (now_us - hook->failing_since_us > dispatcher->config.disable_after_us) {
        note_hook(dispatcher, hook, hook->failing_since_us, "It has failed for too long");
    } else if (noted_us == 0 && now_us - hook->failing_since_us > NOTE_AFTER_US) {
        note_hook(dispatcher, hook, hook->failing_since_us, NULL);
    }
}

// --- sending -------------------------------------------------------------------------------------

static void count(struct dispatcher *dispatcher, const struct flight *flight,
                  const struct sender_result *result)
{
    const Hr__Delivery *delivery = flight->record->delivery;
    char labels[160];

    (void)snprintf(labels, sizeof labels, "%s\x1f%.*s\x1f%s", flight->hook_id,
                   TEXT_ARGS(delivery->event_type),
                   attempt_succeeded(result) ? "success" : "failed");
    metric_add(dispatcher->deliveries, labels, 1);
    metric_observe(dispatcher->seconds, "", (double)result->took_us / 1e6);
    if (delivery->attempts == 1)
        metric_observe(dispatcher->lag, "",
                       (double)(timestamp_now_us() - result->took_us -
                                wire_timestamp_us(delivery->created_at)) /
                           1e6);
}

static void on_result(void *ctx, const struct sender_result *result)
{
    struct flight *flight = ctx;
    struct dispatcher *dispatcher = flight->dispatcher;
    struct hook *hook = flight->delivery->hook;

    flight->succeeded = attempt_succeeded(result);
    attempt_note(dispatcher->config.attempts, flight->record, flight->arena, result, true);
    count(dispatcher, flight, result);
    log_debug("dispatcher.attempt", "delivery=%s status=%ld us=%" PRId64, flight->id,
              result->status, result->took_us);
    if (hook != NULL)
        judge_hook(dispatcher, hook, result);
    write_down(flight);
}

static void give_up(struct flight *flight, const char *reason)
{
    attempt_give_up(flight->record, flight->arena, reason);
    write_down(flight);
}

static void send_off(struct flight *flight)
{
    struct dispatcher *dispatcher = flight->dispatcher;
    const struct hook *hook = flight->delivery->hook;
    const Hr__Delivery *delivery = flight->record->delivery;
    struct attempt_request request = {
        .delivery_id = flight->id,
        .event = arena_copy(flight->arena, delivery->event_type.data, delivery->event_type.len),
        .body = flight->record->body,
        .record = flight->record,
        .done = on_result,
        .ctx = flight,
    };

    if (hook == NULL || hook->config == NULL || !hook->config->active || is_gone(hook)) {
        if (hook != NULL) {
            give_up(flight, "The webhook is inactive");
            return;
        }
        // Its hook is another worker's now, and so is this.
        struct queued *dropped = flight->delivery;

        flight_end(flight);
        queue_done(dispatcher->config.queue, dropped);
        return;
    }
    request.hook = hook->config;
    flight->record->has_url = true;
    flight->record->url = text_copy(flight->arena, hook->config->url.data, hook->config->url.len);
    if (attempt_start(dispatcher->config.attempts, &request, flight->arena) != RC_OK) {
        struct sender_result failed = {.status = 0};

        (void)snprintf(failed.error, sizeof failed.error, "The webhook's secret cannot be read");
        on_result(flight, &failed);
    }
}

static void on_loaded(void *ctx, enum rc rc, Hr__DeliveryRecord *record, uint64_t sequence)
{
    struct flight *flight = ctx;
    struct dispatcher *dispatcher = flight->dispatcher;
    struct queued *delivery = flight->delivery;

    if (rc == RC_CLOSED)
        return;
    if (rc == RC_OK) {
        flight->record = record;
        flight->expected = sequence;
        if (record_is_final(record))
            settle(flight, sequence);
        else
            send_off(flight);
        return;
    }
    flight_end(flight);
    if (rc == RC_NOT_FOUND || rc == RC_CORRUPT) {
        log_error("dispatcher.lost", "sequence=%" PRIu64 " reason=\"its record is gone\"",
                  delivery->sequence);
        queue_done(dispatcher->config.queue, delivery);
    } else {
        queue_retry(dispatcher->config.queue, delivery, timestamp_now_us() + LOAD_AGAIN_US);
    }
}

// The record of a delivery that has none yet.
static Hr__DeliveryRecord *first_record(struct arena *arena, const struct queued *delivery)
{
    Hr__DeliveryRecord *record = wire_new(arena, &hr__delivery_record__descriptor);
    Hr__Delivery *state = wire_new(arena, &hr__delivery__descriptor);
    char *id = arena_alloc(arena, UUID_TEXT_BYTES);
    char *packet_id = arena_alloc(arena, UUID_TEXT_BYTES);

    uuid_format(id, &delivery->id);
    uuid_format(packet_id, &delivery->packet_id);
    record->delivery = state;
    record->has_sequence = true;
    record->sequence = delivery->sequence;
    record->has_body = true;
    record->body = text_copy(arena, delivery->payload->data, delivery->payload->len);
    state->has_id = state->has_webhook_id = state->has_packet_id = state->has_event_type = true;
    state->id = text_of(id);
    state->webhook_id = text_of(arena_copy(arena, delivery->hook->id, strlen(delivery->hook->id)));
    state->packet_id = text_of(packet_id);
    state->event_type = text_of(delivery->event);
    state->has_status = true;
    state->status = text_of("pending");
    state->has_attempts = true;
    state->created_at = wire_timestamp(arena, delivery->created_us);
    state->updated_at = wire_timestamp(arena, timestamp_now_us());
    return record;
}

static struct flight *flight_create(struct dispatcher *dispatcher, struct queued *delivery)
{
    struct flight *flight = calloc(1, sizeof *flight);
    const struct hook *hook = delivery->hook;

    if (flight == NULL)
        abort();
    flight->dispatcher = dispatcher;
    flight->delivery = delivery;
    flight->arena = arena_create(ARENA_BYTES);
    flight->partition = hook->partition;
    flight->expected = delivery->record_seq;
    memcpy(flight->tenant, hook->tenant->name, sizeof flight->tenant);
    (void)snprintf(flight->hook_id, sizeof flight->hook_id, "%s", hook->id);
    uuid_format(flight->id, &delivery->id);
    DL_APPEND2(dispatcher->flights, flight, before, next);
    dispatcher->per_partition[flight->partition]++;
    dispatcher->count++;
    return flight;
}

void dispatcher_pump(struct dispatcher *dispatcher)
{
    struct queued *delivery;

    if (dispatcher->draining || dispatcher->closed ||
        !dispatcher->config.may_send(dispatcher->config.ctx))
        return;
    queue_wake(dispatcher->config.queue, timestamp_now_us());
    while ((delivery = queue_take(dispatcher->config.queue)) != NULL) {
        struct flight *flight = flight_create(dispatcher, delivery);
        struct record_name name = name_of(flight);

        if (delivery->payload != NULL) {
            flight->record = first_record(flight->arena, delivery);
            flight->record->delivery->attempts = delivery->attempts;
            send_off(flight);
        } else {
            records_load(dispatcher->config.records, &name, flight->arena, on_loaded, flight);
        }
    }
    metric_set(dispatcher->waiting, "", (double)queue_count(dispatcher->config.queue));
    alarm_set(dispatcher->alarm, queue_next_at(dispatcher->config.queue));
}

static void on_alarm(void *ctx)
{
    dispatcher_pump(ctx);
}

// --- records that are no flights -----------------------------------------------------------------

struct storing {
    struct dispatcher *dispatcher;
    struct uuid id;
    struct arena *arena;
    char tenant[TOKEN_MAX + 1];
    char hook_id[UUID_TEXT_BYTES];
    char text[UUID_TEXT_BYTES];
};

static void on_stored(void *ctx, enum rc rc, uint64_t sequence)
{
    struct storing *storing = ctx;
    struct dispatcher *dispatcher = storing->dispatcher;
    struct queued *delivery =
        dispatcher->closed ? NULL : queue_find(dispatcher->config.queue, &storing->id);

    dispatcher->writes--;
    // Otherwise it stays as it is, and holds the checkpoint back until it is sent.
    if (rc == RC_OK && delivery != NULL && delivery->hook != NULL) {
        queue_recorded(delivery, sequence);
        if (delivery->state != DELIVERY_TAKEN)
            queue_lighten(dispatcher->config.queue, delivery);
    }
    arena_destroy(storing->arena);
    free(storing);
}

static struct storing *storing_create(struct dispatcher *dispatcher, const struct queued *delivery)
{
    struct storing *storing = calloc(1, sizeof *storing);

    if (storing == NULL)
        abort();
    storing->dispatcher = dispatcher;
    storing->id = delivery->id;
    storing->arena = arena_create(ARENA_BYTES);
    memcpy(storing->tenant, delivery->hook->tenant->name, sizeof storing->tenant);
    (void)snprintf(storing->hook_id, sizeof storing->hook_id, "%s", delivery->hook->id);
    uuid_format(storing->text, &delivery->id);
    dispatcher->writes++;
    return storing;
}

void dispatcher_store(struct dispatcher *dispatcher, const struct queued *delivery)
{
    struct storing *storing;
    struct record_name name;

    if (delivery->payload == NULL || delivery->record_seq != 0)
        return;
    storing = storing_create(dispatcher, delivery);
    name = (struct record_name){storing->tenant, storing->hook_id, storing->text};
    records_put(dispatcher->config.records, &name, first_record(storing->arena, delivery), 0,
                on_stored, storing);
}

static void on_old(void *ctx, enum rc rc, Hr__DeliveryRecord *record, uint64_t sequence)
{
    struct storing *storing = ctx;
    const struct record_name name = {storing->tenant, storing->hook_id, storing->text};

    if (rc == RC_OK && !record_is_final(record) && !storing->dispatcher->closed)
        records_put(storing->dispatcher->config.records, &name, record, sequence, on_stored,
                    storing);
    else
        on_stored(storing, RC_CONFLICT, 0);
}

void dispatcher_refresh(struct dispatcher *dispatcher, const struct queued *delivery)
{
    struct storing *storing = storing_create(dispatcher, delivery);
    const struct record_name name = {storing->tenant, storing->hook_id, storing->text};

    records_load(dispatcher->config.records, &name, storing->arena, on_old, storing);
}

// --- opening and closing -------------------------------------------------------------------------

struct dispatcher *dispatcher_open(const struct dispatcher_config *config)
{
    struct dispatcher *dispatcher = calloc(1, sizeof *dispatcher);

    if (dispatcher == NULL)
        abort();
    dispatcher->config = *config;
    dispatcher->alarm = alarm_open(run_loop(config->run), on_alarm, dispatcher);
    uv_timer_init(run_loop(config->run), &dispatcher->timer);
    dispatcher->timer.data = dispatcher;
    uv_timer_start(&dispatcher->timer, on_again, AGAIN_MS, AGAIN_MS);
    dispatcher->deliveries =
        metric_create(METRIC_COUNTER, "handoffrail_webhook_deliveries_total",
                      "Attempts to deliver an event", "webhook_id,event_type,result", NULL, 0);
    dispatcher->seconds = metric_create(METRIC_HISTOGRAM, "handoffrail_webhook_attempt_seconds",
                                        "From sending a request to its answer", "", second_bounds,
                                        sizeof second_bounds / sizeof second_bounds[0]);
    dispatcher->lag = metric_create(METRIC_HISTOGRAM, "handoffrail_webhook_lag_seconds",
                                    "From the append of an event to its first attempt", "",
                                    second_bounds, sizeof second_bounds / sizeof second_bounds[0]);
    dispatcher->waiting =
        metric_create(METRIC_GAUGE, "handoffrail_webhook_unfinished",
                      "Deliveries of this worker that are not finished", "", NULL, 0);
    return dispatcher;
}

size_t dispatcher_in_hand(const struct dispatcher *dispatcher, unsigned partition)
{
    return dispatcher->per_partition[partition];
}

size_t dispatcher_count(const struct dispatcher *dispatcher)
{
    return dispatcher->count + dispatcher->writes;
}

void dispatcher_drain(struct dispatcher *dispatcher)
{
    dispatcher->draining = true;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void dispatcher_close(struct dispatcher *dispatcher)
{
    struct flight *next;

    if (dispatcher == NULL)
        return;
    dispatcher->closed = true;
    for (struct flight *flight = dispatcher->flights; flight != NULL; flight = next) {
        next = flight->next;
        queue_done(dispatcher->config.queue, flight->delivery);
        arena_destroy(flight->arena);
        free(flight);
    }
    alarm_close(dispatcher->alarm);
    uv_close((uv_handle_t *)&dispatcher->timer, on_closed);
}
