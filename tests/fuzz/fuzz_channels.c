// What a listener subscribes to and leaves again, in any order and with any names and places: it is
// never told of one event twice.
#include "gateway/live/channels.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEQUENCES 256
#define CHANGES 60 // more ended subscriptions than this are forgotten

struct player {
    const uint8_t *data;
    size_t size;
    struct channels *channels;
    uint64_t position;
    bool told[SEQUENCES];
};

static uint8_t next(struct player *player)
{
    if (player->size == 0)
        return 0;
    player->size--;
    return *player->data++;
}

static Text name(struct player *player)
{
    size_t len = next(player);
    Text text = {len < player->size ? len : player->size, (uint8_t *)(uintptr_t)player->data};

    player->data += text.len;
    player->size -= text.len;
    return text;
}

static void go_on(struct player *player, uint64_t steps)
{
    while (steps-- > 0 && player->position + 1 < SEQUENCES) {
        uint64_t sequence = ++player->position;
        const struct live_event event = {
            .sequence = sequence,
            .status = text_of(sequence % 2 == 0 ? "created" : "failed"),
            .packet_id = text_of("p"),
            .source = text_of("a"),
            .target = text_of("b"),
        };

        if (!channels_want(player->channels, &event))
            continue;
        if (player->told[sequence])
            abort();
        player->told[sequence] = true;
    }
}

static void play(struct player *player)
{
    for (int change = 0; change < CHANGES && player->size > 0; change++) {
        uint8_t what = next(player);
        uint64_t number = next(player);

        if (what % 3 == 0) {
            go_on(player, number);
        } else if (what % 3 == 1) {
            channels_remove(player->channels, name(player), player->position);
        } else {
            uint64_t since = number < player->position ? number : player->position;

            if (channels_add(player->channels, name(player), since, player->position))
                player->position = since;
        }
    }
    go_on(player, SEQUENCES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct player player = {.data = data, .size = size, .channels = channels_create(0)};
    struct arena *arena = arena_create(1024);

    play(&player);
    (void)channels_names(player.channels, arena);
    arena_destroy(arena);
    channels_destroy(player.channels);
    return 0;
}
