// What search finds a packet by.
#include "workers/audit/search_text.h"

#include "tests/unit/messages.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct arena *memory;
static Hr__Packet *packet;

static void set_up(void)
{
    memory = arena_create(1024);
    packet = wire_new(memory, &hr__packet__descriptor);
    packet->metadata = wire_new(memory, &hr__metadata__descriptor);
    packet->context = wire_new(memory, &hr__context__descriptor);
}

static void tear_down(void)
{
    arena_destroy(memory);
}

TestSuite(words, .init = set_up, .fini = tear_down);

static struct words words(void)
{
    struct words found;

    words_of(&found, packet, memory);
    return found;
}

static void say(Text content)
{
    Hr__Context *context = packet->context;
    Hr__ConversationEntry **entries =
        arena_calloc(memory, context->n_conversation_state + 1, sizeof *entries);

    if (context->n_conversation_state > 0)
        memcpy(entries, context->conversation_state,
               context->n_conversation_state * sizeof *entries);
    entries[context->n_conversation_state] = wire_new(memory, &hr__conversation_entry__descriptor);
    entries[context->n_conversation_state++]->content = content;
    context->conversation_state = entries;
}

// A text of len bytes made of a piece repeated.
static Text repeated(const char *piece, size_t len)
{
    Text text = {len, arena_alloc(memory, len + 1)};

    for (size_t i = 0; i < len; i++)
        text.data[i] = (uint8_t)piece[i % strlen(piece)];
    return text;
}

Test(words, are_in_three_parts)
{
    Text tags[] = {text_of("red"), text_of("blue")};
    Hr__Decision *decision = wire_new(memory, &hr__decision__descriptor);

    packet->context->summary = text_of("Late refund");
    packet->metadata->tags = tags;
    packet->metadata->n_tags = 2;
    decision->decision = text_of("pay");
    decision->rationale = text_of("it was ours");
    packet->decisions = &decision;
    packet->n_decisions = 1;
    say(text_of("hello"));
    say(text_of("good bye"));
    ASSERT_TEXT(words().title, "Late refund red blue ");
    ASSERT_TEXT(words().reasons, "pay it was ours ");
    ASSERT_TEXT(words().talk, "hello good bye ");
}

Test(words, of_an_empty_packet_are_none)
{
    packet->metadata = NULL;
    packet->context = NULL;
    ASSERT_TEXT(words().title, "");
    ASSERT_TEXT(words().reasons, "");
    ASSERT_TEXT(words().talk, "");
}

Test(words, are_letters_and_digits_and_what_is_not_ascii)
{
    packet->context->summary = text_of("caf\xc3\xa9: INV-2024/77 <ann@example.org>");
    ASSERT_TEXT(words().title, "caf\xc3\xa9  INV 2024 77  ann example org  ");
}

Test(words, are_bounded_without_cutting_a_character)
{
    packet->context->summary = repeated("\xe2\x82\xac", 3 << 20);
    for (int i = 0; i < 6; i++)
        say(repeated("\xf0\x9f\x8e\x89", 1 << 20));
    cr_assert_leq(words().title.len, 16 * 1024 + 1);
    cr_assert_geq(words().title.len, 16 * 1024 - 3);
    cr_assert_leq(words().talk.len, 3 * 128 * 1024); // "emoji1f389 " for each 4 bytes
    cr_assert_geq(words().talk.len, 128 * 1024 - 3);
    for (size_t i = 0; i + 3 <= words().title.len; i += 3)
        cr_assert_eq(memcmp(words().title.data + i, "\xe2\x82\xac", 3), 0);
}

Test(words, have_a_digest_that_changes_with_them_alone)
{
    struct words before;

    packet->context->summary = text_of("a");
    before = words();
    packet->status = HR__STATUS__STATUS_CLAIMED;
    cr_assert_eq(memcmp(before.digest, words().digest, WORDS_DIGEST_BYTES), 0);
    packet->context->summary = text_of("b");
    cr_assert_neq(memcmp(before.digest, words().digest, WORDS_DIGEST_BYTES), 0);
}

Test(words, are_remembered_until_they_change)
{
    struct words_memory *known = words_memory_create();
    struct uuid one = uuid_new();
    struct uuid two = uuid_new();
    struct words first;

    packet->context->summary = text_of("a");
    first = words();
    cr_assert_not(words_known(known, &one, &first));
    words_learn(known, &one, first.digest);
    cr_assert(words_known(known, &one, &first));
    cr_assert_not(words_known(known, &two, &first));
    packet->context->summary = text_of("b");
    first = words();
    cr_assert_not(words_known(known, &one, &first));
    words_learn(known, &one, first.digest);
    words_forget_all(known);
    cr_assert_not(words_known(known, &one, &first));
    words_memory_destroy(known);
}

Test(words, of_parts_are_their_texts)
{
    Hr__ConversationEntry *entry;

    say(text_of("hello"));
    say(text_of(""));
    entry = packet->context->conversation_state[1];
    entry->content_json = wire_json(
        memory, text_of("[{\"type\":\"text\",\"text\":\"an invoice\"},{\"image\":\"AAAA\"}]"));
    say(text_of(""));
    packet->context->conversation_state[2]->content_json = wire_json(memory, text_of("null"));
    ASSERT_TEXT(words().talk, "hello an invoice ");
}
