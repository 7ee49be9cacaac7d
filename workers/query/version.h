// A packet as one of its events left it.
#ifndef WORKERS_QUERY_VERSION_H
#define WORKERS_QUERY_VERSION_H

#include "broker/message/wire.h"
#include "broker/sql/pg.h"

// Called once, on the loop. packet and its sequence are valid on RC_OK; packet is in the arena.
// RC_NOT_FOUND: the tenant has no such packet, or it no such event. Others: as pg_on_done.
typedef void (*version_done)(void *ctx, enum rc rc, const Hr__Packet *packet, uint64_t sequence);

// request: checked, its packet_id is set. done is called if and only if this returns RC_OK; the
// arena must live until then.
enum rc version_get(struct pg *pg, const char *tenant, const Hr__GetVersion *request,
                    struct arena *arena, version_done done, void *ctx) MUST_CHECK;

#endif
