// One JSON value that is neither object nor list, read as the contract reads it.
#ifndef BROKER_MESSAGE_JSON_SCALAR_H
#define BROKER_MESSAGE_JSON_SCALAR_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind {
    KIND_NULL,
    KIND_BOOL,
    KIND_NUMBER,
    KIND_STRING,
    KIND_OBJECT,
    KIND_ARRAY,
};

struct token {
    enum kind kind;
    const char *text; // of a string or number; "1" or "" for a boolean
    size_t len;
    size_t start; // offset of its first byte
};

static inline bool token_is_container(const struct token *token)
{
    return token->kind == KIND_OBJECT || token->kind == KIND_ARRAY;
}

// True, false, 1, 0, and the words that mean them. False: it is none of them.
bool json_parse_bool(const struct token *token, protobuf_c_boolean *value);

// NULL and *value set, or the type of the issue.
const char *json_parse_integer(const struct token *token, int64_t *value);

// What such an issue says.
const char *json_integer_message(const char *type);

#endif
