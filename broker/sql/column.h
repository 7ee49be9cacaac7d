// What a text of ours becomes as a column.
//
// A packet's texts may contain U+0000, which Postgres' text cannot, and may be longer than an index
// entry can be. Both the writing and the asking side go through these functions, so equal texts
// stay equal. A changed text contains U+001A, so a reader sees that the exact one is in the record.
#ifndef BROKER_SQL_COLUMN_H
#define BROKER_SQL_COLUMN_H

#include "broker/base/arena.h"
#include "broker/sql/param.h"

#define COLUMN_KEY_MAX 512 // bytes; two of them fit into an index entry with room to spare

// Borrows data, or a changed copy in the arena: U+001A for every U+0000, and for every byte above
// U+007F when the whole is not UTF-8.
struct pg_param column_text(struct arena *arena, const void *data, size_t len);

// The same for an indexed column: what is longer than COLUMN_KEY_MAX becomes its beginning, U+001A
// and its SHA-256.
struct pg_param column_key(struct arena *arena, const void *data, size_t len);

// Puts a blank in place of every ASCII character that is neither letter nor digit. What is left is
// cut into words in the same way wherever it stands: Postgres would make one word of an address or
// a path, and of "A-7" an "A" and the number -7.
void column_plain_words(uint8_t *text, size_t len);

// A number that stands for a text where many of them have to be short.
int64_t column_hash(const void *data, size_t len);

#endif
