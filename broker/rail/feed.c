// The packets' stream, last record per packet and then live, unpacked.
#include "broker/rail/feed.h"

#include "broker/base/log.h"
#include "broker/nats/consume.h"
#include "broker/nats/subjects.h"
#include "broker/packet/summary.h"

#include <assert.h>
#include <stdlib.h>

#define WINDOW 4000
#define ARENA_BYTES (64 * 1024)

struct feed {
    struct feed_config config;
    struct consumer_config follow;
    struct consumer *consumer;
    struct arena *arena; // for one record
    char stream[STREAM_BYTES];
    char subject[SUBJECT_BYTES];
    uint64_t position;
    bool current;
};

static void on_message(void *ctx, struct msg *msg, const struct delivery *delivery)
{
    struct feed *feed = ctx;
    struct packet_subject subject;
    struct stored stored;

    Text head = head_of(feed->arena, msg_data(msg), msg_len(msg));

    if (subject_parse_packet(&subject, msg_subject(msg)) != RC_OK ||
        stored_read(&stored, feed->arena, head.data, head.len, delivery->sequence) != RC_OK)
        log_error("feed.corrupt", "subject=%.200s", msg_subject(msg));
    else
        feed->config.on_packet(feed->config.ctx, subject.tenant, subject.packet_id, &stored);
    feed->position = delivery->sequence;
    arena_reset(feed->arena);
    consumer_release(feed->consumer, 1);
}

static void on_current(void *ctx, bool current)
{
    struct feed *feed = ctx;

    feed->current = current;
    if (feed->config.on_current != NULL)
        feed->config.on_current(feed->config.ctx, current);
}

static void on_rewound(void *ctx, uint64_t place)
{
    struct feed *feed = ctx;

    (void)place;
    feed->position = 0;
    if (feed->config.on_reset != NULL)
        feed->config.on_reset(feed->config.ctx);
}

struct feed *feed_open(struct run *run, const struct feed_config *config)
{
    struct feed *feed = calloc(1, sizeof *feed);

    static_assert(SHARD_COUNT == 1, "one stream is followed");
    if (feed == NULL)
        abort();
    feed->config = *config;
    feed->arena = arena_create(ARENA_BYTES);
    subject_stream(feed->stream, 0);
    subject_packets(feed->subject, 0);
    feed->follow = (struct consumer_config){
        .inbox = run_name(run),
        .stream = feed->stream,
        .filter = feed->subject,
        .from = CONSUME_LAST_PER_SUBJECT,
        .window = WINDOW,
        .on_message = on_message,
        .on_current = on_current,
        .on_rewound = on_rewound,
        .ctx = feed,
    };
    feed->consumer = consumer_open(run_requests(run), run_conn(run), run_loop(run), &feed->follow);
    return feed;
}

void feed_close(struct feed *feed)
{
    if (feed == NULL)
        return;
    consumer_close(feed->consumer);
    arena_destroy(feed->arena);
    free(feed);
}

bool feed_is_current(const struct feed *feed)
{
    return feed->current;
}

uint64_t feed_position(const struct feed *feed)
{
    return feed->position;
}
