// A flight is one delivery on its way: loaded if need be, sent, written down. It holds a place of
// its hook until its record is acknowledged, so that what is sent and not yet written down is never
// more than that.
#include "workers/webhook/courier.h"

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
    struct courier *courier;
    struct parcel *parcel; // taken
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

struct courier {
    struct courier_config config;
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
    struct courier *courier = flight->courier;

    DL_DELETE2(courier->flights, flight, before, next);
    courier->per_partition[flight->partition]--;
    courier->count--;
    arena_destroy(flight->arena);
    free(flight);
}

// What comes behind it in its packet may wait for as long as it does: that has to be written down.
static void store_followers(struct courier *courier, const struct parcel *parcel)
{
    if (parcel->hook == NULL)
        return;
    for (const struct parcel *at = parcel->next; at != NULL; at = at->next) {
        if (at->record_seq == 0)
            courier_store(courier, at);
    }
}

static void settle(struct flight *flight, uint64_t sequence)
{
    struct courier *courier = flight->courier;
    struct parcel *parcel = flight->parcel;
    const Hr__Delivery *state = flight->record->delivery;
    bool is_final = record_is_final(flight->record);
    int64_t at_us = wire_timestamp_us(state->next_retry_at);
    int64_t attempts = state->attempts;

    flight_end(flight);
    queue_recorded(parcel, sequence);
    if (is_final) {
        courier->config.finished(courier->config.ctx, parcel);
        queue_done(courier->config.queue, parcel);
    } else {
        parcel->attempts = attempts;
        store_followers(courier, parcel);
        queue_retry(courier->config.queue, parcel, at_us > 0 ? at_us : timestamp_now_us());
    }
    courier_pump(courier);
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
        records_load(flight->courier->config.records, &name, flight->arena, on_other, flight);
    else
        flight->again = true; // the timer sees to it
}

static void write_down(struct flight *flight)
{
    struct record_name name = name_of(flight);

    flight->again = false;
    records_put(flight->courier->config.records, &name, flight->record, flight->expected,
                on_written, flight);
}

static void note_gone(struct courier *courier);

static void on_again(uv_timer_t *timer)
{
    struct courier *courier = timer->data;
    struct flight *flight;
    struct flight *next;

    DL_FOREACH_SAFE2(courier->flights, flight, next, next)
    {
        if (flight->again && conn_is_up(run_conn(courier->config.run)))
            write_down(flight);
    }
    note_gone(courier);
    courier_pump(courier); // what might not be sent before may be now
}

// --- how the hook does ---------------------------------------------------------------------------

struct note {
    struct courier *courier;
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
    if (conn_publish(run_conn(note->courier->config.run), subject, NULL, headers, 1, text.data,
                     text.len) != RC_OK)
        log_debug("notice.lost", "hook=%s", note->key);
}

static void on_noted(void *ctx, enum rc rc, Hr__Hook *changed)
{
    struct note *note = ctx;
    struct hook *hook = rc != RC_CLOSED && !note->courier->closed
                            ? queue_hook(note->courier->config.queue, note->key)
                            : NULL;

    (void)changed;
    if (hook != NULL)
        hook->noting = false;
    if (rc != RC_OK && rc != RC_CLOSED)
        log_warn("courier.note", "hook=%s reason=\"%s\"", note->key, rc_text(rc));
    else if (rc == RC_OK && note->disabled && !note->courier->closed)
        tell_disabled(note);
    arena_destroy(note->arena);
    free(note);
}

static void note_hook(struct courier *courier, struct hook *hook, int64_t since_us,
                      const char *disable)
{
    struct note *note;

    if (hook->noting)
        return;
    note = calloc(1, sizeof *note);
    if (note == NULL)
        abort();
    hook->noting = true;
    *note = (struct note){.courier = courier,
                          .arena = arena_create(ARENA_BYTES),
                          .failing_since_us = since_us,
                          .disable = disable,
                          .from = hook->config->from_sequence};
    memcpy(note->key, hook->key, sizeof note->key);
    registry_edit(courier->config.registry, hook->key, note->arena, edit_hook, on_noted, note);
}

// Its entry in the bucket becomes inactive a moment after the 410, or later when another note was
// under way: nothing more is sent until then.
static bool is_gone(const struct hook *hook)
{
    return hook->gone && hook->config != NULL && hook->config->from_sequence == hook->gone_from;
}

static void note_gone_hook(struct courier *courier, struct hook *hook)
{
    note_hook(courier, hook, hook->failing_since_us, "It answered 410 Gone");
}

// A 410 that could not be written down at once is written down later.
static void note_gone(struct courier *courier)
{
    for (struct hook *hook = queue_hooks(courier->config.queue); hook != NULL;
         hook = hook->hh.next) {
        if (is_gone(hook) && hook->config->active)
            note_gone_hook(courier, hook);
    }
}

static void judge_hook(struct courier *courier, struct hook *hook,
                       const struct sender_result *result)
{
    int64_t now_us = timestamp_now_us();
    int64_t noted_us = wire_timestamp_us(hook->config->failing_since);

    queue_note(courier->config.queue, hook, attempt_succeeded(result), result->took_us > SLOW_US);
    if (attempt_succeeded(result)) {
        hook->failing_since_us = 0;
        if (noted_us > 0)
            note_hook(courier, hook, 0, NULL);
        return;
    }
    if (hook->failing_since_us == 0)
        hook->failing_since_us = noted_us > 0 ? noted_us : now_us;
    if (result->status == 410) {
        hook->gone = hook->config->active;
        hook->gone_from = hook->config->from_sequence;
        note_gone_hook(courier, hook);
    } else if (now_us - hook->failing_since_us > courier->config.disable_after_us) {
        note_hook(courier, hook, hook->failing_since_us, "It has failed for too long");
    } else if (noted_us == 0 && now_us - hook->failing_since_us > NOTE_AFTER_US) {
        note_hook(courier, hook, hook->failing_since_us, NULL);
    }
}

// --- sending -------------------------------------------------------------------------------------

static void count(struct courier *courier, const struct flight *flight,
                  const struct sender_result *result)
{
    const Hr__Delivery *delivery = flight->record->delivery;
    char labels[160];

    (void)snprintf(labels, sizeof labels, "%s\x1f%.*s\x1f%s", flight->hook_id,
                   TEXT_ARGS(delivery->event_type),
                   attempt_succeeded(result) ? "success" : "failed");
    metric_add(courier->deliveries, labels, 1);
    metric_observe(courier->seconds, "", (double)result->took_us / 1e6);
    if (delivery->attempts == 1)
        metric_observe(courier->lag, "",
                       (double)(timestamp_now_us() - result->took_us -
                                wire_timestamp_us(delivery->created_at)) /
                           1e6);
}

static void on_result(void *ctx, const struct sender_result *result)
{
    struct flight *flight = ctx;
    struct courier *courier = flight->courier;
    struct hook *hook = flight->parcel->hook;

    flight->succeeded = attempt_succeeded(result);
    attempt_note(courier->config.attempts, flight->record, flight->arena, result, true);
    count(courier, flight, result);
    log_debug("courier.attempt", "delivery=%s status=%ld us=%" PRId64, flight->id, result->status,
              result->took_us);
    if (hook != NULL)
        judge_hook(courier, hook, result);
    write_down(flight);
}

static void give_up(struct flight *flight, const char *reason)
{
    attempt_give_up(flight->record, flight->arena, reason);
    write_down(flight);
}

static void send_off(struct flight *flight)
{
    struct courier *courier = flight->courier;
    const struct hook *hook = flight->parcel->hook;
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
        struct parcel *dropped = flight->parcel;

        flight_end(flight);
        queue_done(courier->config.queue, dropped);
        return;
    }
    request.hook = hook->config;
    flight->record->has_url = true;
    flight->record->url = text_copy(flight->arena, hook->config->url.data, hook->config->url.len);
    if (attempt_start(courier->config.attempts, &request, flight->arena) != RC_OK) {
        struct sender_result failed = {.status = 0};

        (void)snprintf(failed.error, sizeof failed.error, "The webhook's secret cannot be read");
        on_result(flight, &failed);
    }
}

static void on_loaded(void *ctx, enum rc rc, Hr__DeliveryRecord *record, uint64_t sequence)
{
    struct flight *flight = ctx;
    struct courier *courier = flight->courier;
    struct parcel *parcel = flight->parcel;

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
        log_error("courier.lost", "sequence=%" PRIu64 " reason=\"its record is gone\"",
                  parcel->sequence);
        queue_done(courier->config.queue, parcel);
    } else {
        queue_retry(courier->config.queue, parcel, timestamp_now_us() + LOAD_AGAIN_US);
    }
}

// The record of a delivery that has none yet.
static Hr__DeliveryRecord *first_record(struct arena *arena, const struct parcel *parcel)
{
    Hr__DeliveryRecord *record = wire_new(arena, &hr__delivery_record__descriptor);
    Hr__Delivery *state = wire_new(arena, &hr__delivery__descriptor);
    char *id = arena_alloc(arena, UUID_TEXT_BYTES);
    char *packet_id = arena_alloc(arena, UUID_TEXT_BYTES);

    uuid_format(id, &parcel->id);
    uuid_format(packet_id, &parcel->packet_id);
    record->delivery = state;
    record->has_sequence = true;
    record->sequence = parcel->sequence;
    record->has_body = true;
    record->body = text_copy(arena, parcel->payload->data, parcel->payload->len);
    state->has_id = state->has_webhook_id = state->has_packet_id = state->has_event_type = true;
    state->id = text_of(id);
    state->webhook_id = text_of(arena_copy(arena, parcel->hook->id, strlen(parcel->hook->id)));
    state->packet_id = text_of(packet_id);
    state->event_type = text_of(parcel->event);
    state->has_status = true;
    state->status = text_of("pending");
    state->has_attempts = true;
    state->created_at = wire_timestamp(arena, parcel->created_us);
    state->updated_at = wire_timestamp(arena, timestamp_now_us());
    return record;
}

static struct flight *flight_create(struct courier *courier, struct parcel *parcel)
{
    struct flight *flight = calloc(1, sizeof *flight);
    const struct hook *hook = parcel->hook;

    if (flight == NULL)
        abort();
    flight->courier = courier;
    flight->parcel = parcel;
    flight->arena = arena_create(ARENA_BYTES);
    flight->partition = hook->partition;
    flight->expected = parcel->record_seq;
    memcpy(flight->tenant, hook->tenant->name, sizeof flight->tenant);
    (void)snprintf(flight->hook_id, sizeof flight->hook_id, "%s", hook->id);
    uuid_format(flight->id, &parcel->id);
    DL_APPEND2(courier->flights, flight, before, next);
    courier->per_partition[flight->partition]++;
    courier->count++;
    return flight;
}

void courier_pump(struct courier *courier)
{
    struct parcel *parcel;

    if (courier->draining || courier->closed || !courier->config.may_send(courier->config.ctx))
        return;
    queue_wake(courier->config.queue, timestamp_now_us());
    while ((parcel = queue_take(courier->config.queue)) != NULL) {
        struct flight *flight = flight_create(courier, parcel);
        struct record_name name = name_of(flight);

        if (parcel->payload != NULL) {
            flight->record = first_record(flight->arena, parcel);
            flight->record->delivery->attempts = parcel->attempts;
            send_off(flight);
        } else {
            records_load(courier->config.records, &name, flight->arena, on_loaded, flight);
        }
    }
    metric_set(courier->waiting, "", (double)queue_count(courier->config.queue));
    alarm_set(courier->alarm, queue_next_at(courier->config.queue));
}

static void on_alarm(void *ctx)
{
    courier_pump(ctx);
}

// --- records that are no flights -----------------------------------------------------------------

struct storing {
    struct courier *courier;
    struct uuid id;
    struct arena *arena;
    char tenant[TOKEN_MAX + 1];
    char hook_id[UUID_TEXT_BYTES];
    char text[UUID_TEXT_BYTES];
};

static void on_stored(void *ctx, enum rc rc, uint64_t sequence)
{
    struct storing *storing = ctx;
    struct courier *courier = storing->courier;
    struct parcel *parcel =
        courier->closed ? NULL : queue_find(courier->config.queue, &storing->id);

    courier->writes--;
    // Otherwise it stays as it is, and holds the checkpoint back until it is sent.
    if (rc == RC_OK && parcel != NULL && parcel->hook != NULL) {
        queue_recorded(parcel, sequence);
        if (parcel->state != PARCEL_TAKEN)
            queue_lighten(courier->config.queue, parcel);
    }
    arena_destroy(storing->arena);
    free(storing);
}

static struct storing *storing_create(struct courier *courier, const struct parcel *parcel)
{
    struct storing *storing = calloc(1, sizeof *storing);

    if (storing == NULL)
        abort();
    storing->courier = courier;
    storing->id = parcel->id;
    storing->arena = arena_create(ARENA_BYTES);
    memcpy(storing->tenant, parcel->hook->tenant->name, sizeof storing->tenant);
    (void)snprintf(storing->hook_id, sizeof storing->hook_id, "%s", parcel->hook->id);
    uuid_format(storing->text, &parcel->id);
    courier->writes++;
    return storing;
}

void courier_store(struct courier *courier, const struct parcel *parcel)
{
    struct storing *storing;
    struct record_name name;

    if (parcel->payload == NULL || parcel->record_seq != 0)
        return;
    storing = storing_create(courier, parcel);
    name = (struct record_name){storing->tenant, storing->hook_id, storing->text};
    records_put(courier->config.records, &name, first_record(storing->arena, parcel), 0, on_stored,
                storing);
}

static void on_old(void *ctx, enum rc rc, Hr__DeliveryRecord *record, uint64_t sequence)
{
    struct storing *storing = ctx;
    const struct record_name name = {storing->tenant, storing->hook_id, storing->text};

    if (rc == RC_OK && !record_is_final(record) && !storing->courier->closed)
        records_put(storing->courier->config.records, &name, record, sequence, on_stored, storing);
    else
        on_stored(storing, RC_CONFLICT, 0);
}

void courier_refresh(struct courier *courier, const struct parcel *parcel)
{
    struct storing *storing = storing_create(courier, parcel);
    const struct record_name name = {storing->tenant, storing->hook_id, storing->text};

    records_load(courier->config.records, &name, storing->arena, on_old, storing);
}

// --- opening and closing -------------------------------------------------------------------------

struct courier *courier_open(const struct courier_config *config)
{
    struct courier *courier = calloc(1, sizeof *courier);

    if (courier == NULL)
        abort();
    courier->config = *config;
    courier->alarm = alarm_open(run_loop(config->run), on_alarm, courier);
    uv_timer_init(run_loop(config->run), &courier->timer);
    courier->timer.data = courier;
    uv_timer_start(&courier->timer, on_again, AGAIN_MS, AGAIN_MS);
    courier->deliveries =
        metric_create(METRIC_COUNTER, "handoffrail_webhook_deliveries_total",
                      "Attempts to deliver an event", "webhook_id,event_type,result", NULL, 0);
    courier->seconds = metric_create(METRIC_HISTOGRAM, "handoffrail_webhook_attempt_seconds",
                                     "From sending a request to its answer", "", second_bounds,
                                     sizeof second_bounds / sizeof second_bounds[0]);
    courier->lag = metric_create(METRIC_HISTOGRAM, "handoffrail_webhook_lag_seconds",
                                 "From the append of an event to its first attempt", "",
                                 second_bounds, sizeof second_bounds / sizeof second_bounds[0]);
    courier->waiting =
        metric_create(METRIC_GAUGE, "handoffrail_webhook_unfinished",
                      "Deliveries of this worker that are not finished", "", NULL, 0);
    return courier;
}

size_t courier_in_hand(const struct courier *courier, unsigned partition)
{
    return courier->per_partition[partition];
}

size_t courier_count(const struct courier *courier)
{
    return courier->count + courier->writes;
}

void courier_drain(struct courier *courier)
{
    courier->draining = true;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void courier_close(struct courier *courier)
{
    struct flight *next;

    if (courier == NULL)
        return;
    courier->closed = true;
    for (struct flight *flight = courier->flights; flight != NULL; flight = next) {
        next = flight->next;
        queue_done(courier->config.queue, flight->parcel);
        arena_destroy(flight->arena);
        free(flight);
    }
    alarm_close(courier->alarm);
    uv_close((uv_handle_t *)&courier->timer, on_closed);
}
