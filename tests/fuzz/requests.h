// The requests that clients may send: what the first byte of an input chooses from.
#ifndef TESTS_FUZZ_REQUESTS_H
#define TESTS_FUZZ_REQUESTS_H

#include "broker/message/wire.h"

// '0' is the first one, so that a corpus can be written by hand.
static inline const ProtobufCMessageDescriptor *request_chosen_by(uint8_t byte)
{
    static const ProtobufCMessageDescriptor *const requests[] = {
        &hr__create_packet__descriptor,  &hr__update_packet__descriptor,
        &hr__claim_packet__descriptor,   &hr__packet_ref__descriptor,
        &hr__list_packets__descriptor,   &hr__get_history__descriptor,
        &hr__list_audit__descriptor,     &hr__empty__descriptor,
        &hr__chain_packet__descriptor,   &hr__get_context__descriptor,
        &hr__get_version__descriptor,    &hr__get_tree__descriptor,
        &hr__claim_next__descriptor,     &hr__heartbeat_claim__descriptor,
        &hr__release_claim__descriptor,  &hr__decline_packet__descriptor,
        &hr__respond_packet__descriptor, &hr__search_packets__descriptor,
        &hr__list_awaiting__descriptor,  &hr__export_audit__descriptor,
        &hr__batch_create__descriptor,   &hr__batch_claim__descriptor,
        &hr__batch_complete__descriptor, &hr__batch_respond__descriptor,
        &hr__socket_command__descriptor, &hr__follow_packets__descriptor,
        &hr__listen_query__descriptor,   &hr__create_schema__descriptor,
        &hr__list_schemas__descriptor,   &hr__get_schema__descriptor,
        &hr__check_context__descriptor,
    };

    return requests[(uint8_t)(byte - '0') % (sizeof requests / sizeof requests[0])];
}

#endif
