// Registration of schemas.
#ifndef WORKERS_SCHEMA_CREATE_H
#define WORKERS_SCHEMA_CREATE_H

#include "workers/schema/registry.h"

// A schema.create. max: schemas that a tenant may have, as far as is known here.
void create_on_create(struct registry *registry, struct command *command, int64_t max);

#endif
