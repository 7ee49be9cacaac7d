// The URL of a webhook: what may be registered, and in which form it is stored and dialled. Pure.
#ifndef WORKERS_WEBHOOK_URL_H
#define WORKERS_WEBHOOK_URL_H

#include "broker/base/arena.h"

// Why a URL cannot be used, as a static phrase; NULL: it can. *host: as it will be dialled, to be
// freed with url_host_free; set only with NULL.
const char *url_check(const char *url, char **host);
void url_host_free(char *host);

// *normal: the URL in ASCII, in the arena: a host name beyond ASCII as punycode, other such
// characters percent-encoded. A URL that is ASCII already stays as it is. Returns why the URL
// cannot be used, as a static phrase; NULL: it can, and only then *normal is set.
const char *url_normalize(struct arena *arena, const char *url, const char **normal);

#endif
