// An export is a file from outside: whatever it holds, in whatever pieces it comes, it is read or
// refused, the same way.
#include "clients/cli/audit/export_read.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
    size_t rows;
    uint64_t sum;
};

static void on_row(void *ctx, const struct seal_row *row)
{
    struct seen *seen = ctx;

    seen->rows++;
    // Every byte that a row lends out must be there.
    for (size_t i = 0; i < row->record.len; i++)
        seen->sum = seen->sum * 31 + row->record.data[i];
    for (size_t i = 0; i < row->details.len; i++)
        seen->sum = seen->sum * 31 + row->details.data[i];
    for (size_t i = 0; i < row->tenant.len; i++)
        seen->sum = seen->sum * 31 + row->tenant.data[i];
    seen->sum += (uint64_t)row->seq + (uint64_t)row->at_us;
}

static enum rc read_in_pieces(struct seen *seen, const uint8_t *data, size_t len, size_t piece)
{
    struct export_reader *reader = export_reader_create(on_row, seen);
    enum rc rc = RC_OK;

    for (size_t at = 0; rc == RC_OK && at < len; at += piece)
        rc = export_reader_feed(reader, data + at, len - at < piece ? len - at : piece);
    if (rc == RC_OK)
        rc = export_reader_finish(reader);
    assert((export_reader_error(reader) != NULL) == (rc != RC_OK));
    export_reader_destroy(reader);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct seen whole = {0};
    struct seen bytes = {0};
    enum rc rc = read_in_pieces(&whole, data, len, len > 0 ? len : 1);

    assert(read_in_pieces(&bytes, data, len, 7) == rc);
    // A NUL refuses the piece of CSV that it is in, so fewer rows of that may have been read.
    assert(bytes.rows == whole.rows ? bytes.sum == whole.sum : rc != RC_OK);
    return 0;
}
