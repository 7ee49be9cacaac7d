// A message that arrived. Borrowed by the function that is handed one, for the length of the call.
#ifndef BROKER_NATS_MSG_H
#define BROKER_NATS_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct msg;

const char *msg_subject(const struct msg *msg);

// NULL: the sender wants no answer.
const char *msg_reply(const struct msg *msg);

// The server's word that nobody took the request whose reply subject is this message's subject. It
// has no data, no headers and no reply subject.
bool msg_is_no_responders(const struct msg *msg);

// It was sent with more than HEADER_BYTES_MAX of headers (see arrival.h), so it seems to have none.
bool msg_headers_are_cut(const struct msg *msg);

const void *msg_data(const struct msg *msg);
size_t msg_len(const struct msg *msg);

// False: its headers cannot be read, so it seems to have none; libnats does not read a header
// without a value. To be asked before any of them.
bool msg_headers_are_sound(const struct msg *msg);

// NULL: it has no such header. Names are compared exactly as they were sent.
const char *msg_header(const struct msg *msg, const char *name);

// The value of a header that is a whole number. fallback: the header is absent or no number.
uint64_t msg_header_u64(const struct msg *msg, const char *name, uint64_t fallback);

// A message with the headers of like and other contents, to be given to msg_free.
struct msg *msg_with_data(const struct msg *like, const void *data, size_t len);
void msg_free(struct msg *msg);

// The status of a message that the server made itself (100, 404, 408, 409, 503), 0 for others.
int msg_status(const struct msg *msg);

#endif
