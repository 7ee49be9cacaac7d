// Reads an export of the audit log, NDJSON or CSV, piece by piece.
//
// Which of the two it is the first byte says. Rows are handed over as they become whole; nothing
// but the row in hand is kept.
#ifndef CLIENTS_CLI_AUDIT_EXPORT_READ_H
#define CLIENTS_CLI_AUDIT_EXPORT_READ_H

#include "broker/seal/seal.h"

// A row is not larger than this, whatever it holds.
#define EXPORT_ROW_BYTES_MAX (256u << 20)

struct export_reader;

// row: valid during the call.
typedef void (*export_row_fn)(void *ctx, const struct seal_row *row);

struct export_reader *export_reader_create(export_row_fn on_row, void *ctx);
void export_reader_destroy(struct export_reader *reader);

// RC_INVALID: this is no export; export_reader_error says why, and nothing more can be fed.
enum rc export_reader_feed(struct export_reader *reader, const void *data, size_t len) MUST_CHECK;

// Behind the last piece. RC_INVALID: it ends within a row, or there was not even a heading.
enum rc export_reader_finish(struct export_reader *reader) MUST_CHECK;

// Of the row in hand, from 1.
uint64_t export_reader_line(const struct export_reader *reader);
const char *export_reader_error(const struct export_reader *reader);

#endif
