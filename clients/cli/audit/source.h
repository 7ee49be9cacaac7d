// Where rows and heads come from.
#ifndef CLIENTS_CLI_AUDIT_SOURCE_H
#define CLIENTS_CLI_AUDIT_SOURCE_H

#include "clients/cli/audit/verify.h"
#include "clients/cli/progress.h"

// Each says on standard error what it cannot read, and returns RC_OK or something else.

// The signed heads in a file, a line each. *forged: lines whose signature is wrong, each of which
// has been said. tenant: only its heads; NULL: all.
enum rc source_heads(struct verify *verify, const char *path, const char *tenant,
                     uint64_t *forged) MUST_CHECK;

// An export; "-" is standard input.
enum rc source_export(struct verify *verify, const char *path,
                      struct progress *progress) MUST_CHECK;

// A database, and the ends of its chains as it has them itself. tenant: NULL for all.
enum rc source_database(struct verify *verify, const char *url, const char *tenant,
                        struct progress *progress) MUST_CHECK;

#endif
