#include "broker/nats/subjects.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ID "0190b5a2-7c3e-7def-8123-456789abcdef"

Test(subjects, are_what_the_documentation_says)
{
    char subject[SUBJECT_BYTES];
    char stream[STREAM_BYTES];

    subject_packet(subject, "acme", ID);
    cr_assert_str_eq(subject, "hr.v1.packet.0.acme." ID);
    subject_packets(subject, 0);
    cr_assert_str_eq(subject, "hr.v1.packet.0.*.*");
    subject_command(subject, "acme", "k1", "packet", "claim");
    cr_assert_str_eq(subject, "hr.v1.cmd.acme.k1.packet.claim");
    subject_stream(stream, 0);
    cr_assert_str_eq(stream, "HR_PACKETS_0");
    cr_assert_lt(subject_shard("acme", ID), SHARD_COUNT);
}

Test(subjects, of_commands_are_read_back)
{
    char longest[65];
    char subject[SUBJECT_BYTES];
    struct subject_parts parts;

    cr_assert_eq(subject_parse_command(&parts, "hr.v1.cmd.acme.k-1.packet.claim"), RC_OK);
    cr_assert_str_eq(parts.tenant, "acme");
    cr_assert_str_eq(parts.key, "k-1");
    cr_assert_str_eq(parts.noun, "packet");
    cr_assert_str_eq(parts.verb, "claim");
    memset(longest, 'x', 64);
    longest[64] = '\0';
    subject_command(subject, longest, longest, "packet", "history");
    cr_assert_eq(subject_parse_command(&parts, subject), RC_OK);
    cr_assert_str_eq(parts.key, longest);
}

Test(subjects, of_other_kinds_are_no_commands)
{
    static const char *const wrong[] = {
        "",
        "hr.v1.cmd",
        "hr.v1.cmd.",
        "hr.v1.cmd.acme.k.packet",
        "hr.v1.cmd.acme.k.packet.claim.now",
        "hr.v1.cmd.acme.k.packet.claim.",
        "hr.v1.cmd.acme.k.packet.",
        "hr.v1.cmd..k.packet.claim",
        "hr.v1.cmd.acme..packet.claim",
        "hr.v1.cmd.acme.k.*.claim",
        "hr.v1.cmd.acme.k.>",
        "hr.v1.cmd.*.k.packet.claim",
        "hr.v1.cmd.ac me.k.packet.claim",
        "hr.v1.cmd.\xc3\xa4.k.packet.claim",
        "hr.v2.cmd.acme.k.packet.claim",
        "HR.v1.cmd.acme.k.packet.claim",
        "xhr.v1.cmd.acme.k.packet.claim",
        "hr.v1.packet.0.acme.x",
        "$JS.API.INFO",
    };
    struct subject_parts parts;
    char endless[SUBJECT_BYTES * 2];

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_eq(subject_parse_command(&parts, wrong[i]), RC_INVALID, "%s", wrong[i]);
    (void)snprintf(endless, sizeof endless, "hr.v1.cmd.%0*d.k.packet.claim", SUBJECT_BYTES, 1);
    cr_assert_eq(subject_parse_command(&parts, endless), RC_INVALID);
    (void)snprintf(endless, sizeof endless, "hr.v1.cmd.%065d.k.packet.claim", 1);
    cr_assert_eq(subject_parse_command(&parts, endless), RC_INVALID, "a token too long");
}

Test(replies, go_to_the_callers_own_inbox)
{
    static const char *const good[] = {"_INBOX.k1.x", "_INBOX.k1.x.y.z", "_INBOX.k1.22Xab-_",
                                       "_INBOX.k1.$JS"};

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        cr_assert(subject_reply_allowed(good[i], "k1"), "%s", good[i]);
}

Test(replies, go_nowhere_else)
{
    static const char *const wrong[] = {
        "",
        "_INBOX",
        "_INBOX.",
        "_INBOX.k1",
        "_INBOX.k1.",
        "_INBOX.k1.*",
        "_INBOX.k1.>",
        "_INBOX.k1.x.*",
        "_INBOX.k1.x.>",
        "_INBOX.k1.x y",
        "_INBOX.k1.x\r\nPUB hr.v1.packet.0.a.b 0",
        "_INBOX.k1.x\ty",
        "_INBOX.k12.x",
        "_INBOX.k.x",
        "_INBOX.K1.x",
        "_INBOX.k2.x",
        "_INBOX.k2.k1.x",
        "_INBOX..k1.x",
        "_INBOX.*.x",
        "_inbox.k1.x",
        "x_INBOX.k1.x",
        "k1.x",
        "$JS.API.STREAM.DELETE.HR_PACKETS_0",
        "$JS.ACK.x",
        "$KV.HR_KEYS.x",
        "$SYS.REQ.USER.INFO",
        "hr.v1.packet.0.acme.x",
        "hr.v1.cmd.acme.k1.packet.delete",
        "hr.v1.event.acme.x",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_assert_not(subject_reply_allowed(wrong[i], "k1"), "%s", wrong[i]);
    cr_assert_not(subject_reply_allowed("_INBOX.ab.x", "a"));
    cr_assert_not(subject_reply_allowed("_INBOX.a.x", "ab"));
}

// An empty token makes a subject nobody can subscribe to, and some servers close the connection of
// whoever publishes to it.
Test(replies, have_no_empty_token)
{
    cr_assert_not(subject_reply_allowed("_INBOX.k1..", "k1"));
    cr_assert_not(subject_reply_allowed("_INBOX.k1..x", "k1"));
    cr_assert_not(subject_reply_allowed("_INBOX.k1.x.", "k1"));
    cr_assert_not(subject_reply_allowed("_INBOX.k1.x..y", "k1"));
}
