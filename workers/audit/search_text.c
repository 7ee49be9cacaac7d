// The texts, and a small memory of them: a table in which a packet has one place, and the one who
// comes to a place takes it. To have forgotten costs one more text sent, nothing else.
#include "workers/audit/search_text.h"

#include "broker/base/buf.h"
#include "broker/base/digest.h"
#include "broker/message/transcript.h"
#include "broker/sql/cut.h"

#include <stdlib.h>

#define TITLE_MAX (16 * 1024)
#define REASONS_MAX (32 * 1024)
#define TALK_MAX (128 * 1024)
#define PLACES 32768 // a power of two

struct place {
    struct uuid packet_id;
    uint8_t digest[WORDS_DIGEST_BYTES];
};

struct words_memory {
    struct place places[PLACES];
};

// Appends a line, as much of it as there is room for, without cutting a character.
static void add(struct buf *out, Text text, size_t max)
{
    size_t room = out->len < max ? max - out->len : 0;
    size_t len = text.len < room ? text.len : room;

    while (len > 0 && len < text.len && (text.data[len] & 0xC0) == 0x80)
        len--;
    buf_append(out, text.data, len);
    if (len > 0)
        buf_puts(out, "\n");
}

static Text kept(struct buf *text, struct arena *arena)
{
    struct buf words = {0};
    Text copy;

    cut_stored(&words, (Text){text->len, (uint8_t *)text->data});
    copy = text_copy(arena, words.data, words.len);
    buf_fini(text);
    buf_fini(&words);
    return copy;
}

static void add_entry(struct buf *talk, const Hr__ConversationEntry *entry)
{
    struct buf text = {0};

    if (entry->content_json == NULL) {
        add(talk, entry->content, TALK_MAX);
        return;
    }
    if (talk->len >= TALK_MAX)
        return;
    transcript_text(&text, entry->content_json->text);
    add(talk, (Text){text.len, (uint8_t *)text.data}, TALK_MAX);
    buf_fini(&text);
}

void words_of(struct words *words, const Hr__Packet *packet, struct arena *arena)
{
    struct buf title = {0};
    struct buf reasons = {0};
    struct buf talk = {0};
    uint8_t digest[DIGEST_BYTES];

    if (packet->context != NULL)
        add(&title, packet->context->summary, TITLE_MAX);
    for (size_t i = 0; packet->metadata != NULL && i < packet->metadata->n_tags; i++)
        add(&title, packet->metadata->tags[i], TITLE_MAX);
    for (size_t i = 0; i < packet->n_decisions; i++) {
        add(&reasons, packet->decisions[i]->decision, REASONS_MAX);
        add(&reasons, packet->decisions[i]->rationale, REASONS_MAX);
    }
    for (size_t i = 0; packet->context != NULL && i < packet->context->n_conversation_state; i++)
        add_entry(&talk, packet->context->conversation_state[i]);
    words->title = kept(&title, arena);
    words->reasons = kept(&reasons, arena);
    words->talk = kept(&talk, arena);
    digest_of_pieces(digest,
                     (struct piece[]){
                         {words->title.data,   words->title.len  },
                         {words->reasons.data, words->reasons.len},
                         {words->talk.data,    words->talk.len   },
    },
                     3);
    memcpy(words->digest, digest, sizeof words->digest);
}

struct words_memory *words_memory_create(void)
{
    struct words_memory *memory = calloc(1, sizeof *memory);

    if (memory == NULL)
        abort();
    return memory;
}

void words_memory_destroy(struct words_memory *memory)
{
    free(memory);
}

static size_t place_of(const struct uuid *packet_id)
{
    uint64_t hash;

    memcpy(&hash, packet_id->bytes + 8, sizeof hash); // the random half
    return (hash ^ hash >> 32) & (PLACES - 1);
}

bool words_known(const struct words_memory *memory, const struct uuid *packet_id,
                 const struct words *words)
{
    const struct place *place = &memory->places[place_of(packet_id)];

    return memcmp(&place->packet_id, packet_id, sizeof *packet_id) == 0 &&
           memcmp(place->digest, words->digest, sizeof place->digest) == 0;
}

void words_learn(struct words_memory *memory, const struct uuid *packet_id,
                 const uint8_t digest[WORDS_DIGEST_BYTES])
{
    struct place *place = &memory->places[place_of(packet_id)];

    place->packet_id = *packet_id;
    memcpy(place->digest, digest, sizeof place->digest);
}

void words_forget_all(struct words_memory *memory)
{
    memset(memory->places, 0, sizeof memory->places);
}
