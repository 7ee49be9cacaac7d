// What was found, for people or for programs.
#ifndef CLIENTS_CLI_AUDIT_REPORT_H
#define CLIENTS_CLI_AUDIT_REPORT_H

#include "clients/cli/audit/verify.h"

// Writes to standard output. forged: heads with a wrong signature. Returns true when nothing is
// wrong.
bool report_text(const struct verify *verify, uint64_t forged, double seconds);
bool report_json(const struct verify *verify, uint64_t forged, double seconds);

#endif
