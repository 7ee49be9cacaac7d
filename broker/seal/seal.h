// The seal of the audit log: what each row's keyed hash covers, to the byte.
//
// A tenant's rows of one shard are a chain, in the order (epoch, seq, part). Every row has its
// number in the chain, from 1, and
//
//   mac = HMAC-SHA-256(key, content || mac of the row before)     32 zero bytes before the first
//
//   content = "hr.audit.row.1"                       14 bytes
//             epoch shard seq part number at key     7 numbers of 8 bytes, big-endian, two's
//                                                    complement; at: microseconds since 1970
//             event_id packet_id                     16 bytes each
//             tenant type actor key_id details record   6 texts, each behind its length in bytes
//                                                    (8 bytes, big-endian)
//
// Everything is what the columns of packet_events hold. The number tells a row that is missing from
// one that was altered.
//
// A head says how far a chain had come at a moment, so that rows missing at the end are noticed:
//
//   signature = HMAC-SHA-256(HMAC-SHA-256(key, "head"), content)
//
//   content = "hr.audit.head.1"                      15 bytes
//             shard count epoch seq part key at      7 numbers
//             tenant                                 a text
//             mac                                    32 bytes, of the row number count
//
// Pure: the worker that seals and the program that verifies use the same functions.
#ifndef BROKER_SEAL_SEAL_H
#define BROKER_SEAL_SEAL_H

#include "broker/base/buf.h"
#include "broker/base/id.h"
#include "broker/base/keyring.h"
#include "broker/message/text.h"

#define SEAL_BYTES DIGEST_BYTES

// A row of packet_events. The texts are borrowed.
struct seal_row {
    Text tenant;
    int64_t epoch;
    int64_t shard;
    int64_t seq;
    int64_t part;
    int64_t number; // 0: stored before there was a chain, and not sealed
    int64_t at_us;
    struct uuid event_id;
    struct uuid packet_id;
    Text type;
    Text actor;
    Text key_id;
    Text details;
    Text record;
    int key; // number of the key
    uint8_t mac[SEAL_BYTES];
};

struct seal_head {
    Text tenant;
    int64_t shard;
    int64_t count; // rows of the chain
    int64_t epoch; // of the last of them; so are the next three
    int64_t seq;
    int64_t part;
    uint8_t mac[SEAL_BYTES];
    int key; // what the head is signed with
    int64_t at_us;
    uint8_t signature[SEAL_BYTES];
};

// The mac that a row should have behind one with the mac previous; row->mac is not looked at.
// scratch: contents and memory are used. RC_NOT_FOUND: the ring lacks the row's key.
enum rc seal_row_mac(uint8_t mac[SEAL_BYTES], const struct seal_row *row,
                     const uint8_t previous[SEAL_BYTES], const struct keyring *ring,
                     struct buf *scratch) MUST_CHECK;

// The signature that a head should have.
enum rc seal_head_signature(uint8_t signature[SEAL_BYTES], const struct seal_head *head,
                            const struct keyring *ring, struct buf *scratch) MUST_CHECK;

// The id of a row that was derived from another one: the same again whenever it is derived.
struct uuid seal_derived_id(const struct uuid *event_id, const char *type);

#endif
