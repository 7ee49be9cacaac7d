// The head of an HTTP/1.1 request: its line and its headers. No input or output.
#ifndef BROKER_WEB_HEAD_H
#define BROKER_WEB_HEAD_H

#include "broker/base/arena.h"
#include "broker/web/web.h"

#include <llhttp.h>

struct span {
    const char *at; // a NUL stands behind the last byte
    size_t len;
};

struct head_field {
    struct span name;
    struct span value;
};

struct head {
    const char *method; // any token
    struct span target; // as it was sent
    struct head_field *fields;
    size_t field_count;
    unsigned minor;  // of the version: 0 or 1
    bool is_chunked; // the body's length is not known
    uint64_t length; // of the body otherwise
    bool closes;     // the client wants no further request on this connection
    bool expects;    // "Expect: 100-continue"
};

// Where a head ends. Looks at bytes as they come.
struct head_scan {
    size_t line_len; // bytes of the current line so far
    bool has_line;   // a line has been completed: the request line
    bool is_return;  // the last byte was CR
};

enum head_end {
    HEAD_MORE, // not yet
    HEAD_ENDS, // *used bytes belong to it, the empty line included
    HEAD_BAD,  // a line that does not end in CRLF, a folded header, a control character
};

// data: what came since the last call. It is changed: a NUL in a header's value becomes a blank
// (RFC 9110, 5.5).
enum head_end head_scan(struct head_scan *scan, char *data, size_t len, size_t *used);

// Why a head cannot be served: a status and a sentence for the client.
struct head_refusal {
    unsigned status;
    const char *text; // static
};

// What reads the body behind a head. head_read prepares it.
struct body_reader {
    llhttp_t parser;
    bool in_trailers; // behind the last chunk
    size_t trailer_bytes;
    struct head_scan trailers;
};

// Reads a whole head; data: len bytes that scanning found complete, in the arena that gets the
// rest; changed. reader: initialised here, and then ready for the body.
// False: *refusal says why; the connection must be closed.
bool head_read(struct head *head, struct body_reader *reader, struct arena *arena, char *data,
               size_t len, struct head_refusal *refusal);

enum body_state {
    BODY_MORE, // not yet
    BODY_ENDS, // *used bytes belong to it
    BODY_BAD,  // its framing cannot be understood
    BODY_FULL, // take refused a piece
};

// Reads what comes behind a head that announces a body. take: called for every piece of it; false
// ends the reading. A NUL in a trailer becomes a blank in data, as head_scan does it.
enum body_state body_read(struct body_reader *reader,
                          bool (*take)(void *ctx, const char *data, size_t len), void *ctx,
                          char *data, size_t len, size_t *used);

// The first value of that name. NULL: absent.
const struct span *head_find(const struct head *head, const char *name);

// Is word, in any case, among the comma-separated ones of this text?
bool head_has_word(const char *text, const char *word);

#endif
