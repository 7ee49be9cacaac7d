// Sealed rows and heads as messages and back: what an export and a published head are made of.
#ifndef BROKER_SEAL_SEAL_WIRE_H
#define BROKER_SEAL_SEAL_WIRE_H

#include "broker/message/wire.h"
#include "broker/seal/seal.h"

// The message borrows the row's texts.
Hr__AuditRow *seal_row_to_wire(struct arena *arena, const struct seal_row *row);
Hr__AuditHead *seal_head_to_wire(struct arena *arena, const struct seal_head *head);

// *row borrows the message's texts. NULL, or what is wrong with the message (a static phrase).
const char *seal_row_of_wire(struct seal_row *row, struct arena *arena,
                             const Hr__AuditRow *message);
const char *seal_head_of_wire(struct seal_head *head, const Hr__AuditHead *message);

#endif
