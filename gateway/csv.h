// Messages as lines of CSV: RFC 4180, a column per field.
#ifndef GATEWAY_CSV_H
#define GATEWAY_CSV_H

#include "broker/base/buf.h"
#include "broker/message/wire.h"

// The names of the fields.
void csv_heading(struct buf *out, const ProtobufCMessageDescriptor *descriptor);

// A message whose fields are strings, whole numbers and moments. A text that a spreadsheet would
// take for a formula gets an apostrophe in front, and so does one that begins with an apostrophe: a
// reader takes one away and has the exact text.
void csv_row(struct buf *out, const ProtobufCMessage *message);

#endif
