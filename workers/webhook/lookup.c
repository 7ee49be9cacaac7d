// libuv asks the resolver on its thread pool.
#include "workers/webhook/lookup.h"

#include "workers/webhook/address.h"
#include "workers/webhook/url.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKED_NAME "Webhook URL blocked: its host stands for this machine or its cloud"
#define BLOCKED_ADDRESS "Webhook URL blocked: its host has an address that is not public"

struct lookup {
    uv_getaddrinfo_t request;
    lookup_done_fn done;
    void *ctx;
};

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct lookup lookup = *(struct lookup *)request->data;
    const char *problem = NULL;

    free(request->data);
    for (const struct addrinfo *at = status == 0 ? found : NULL; at != NULL; at = at->ai_next) {
        if (address_is_blocked(at->ai_addr))
            problem = BLOCKED_ADDRESS;
    }
    uv_freeaddrinfo(found);
    lookup.done(lookup.ctx, problem);
}

// True: the answer is known without asking.
static bool is_known(const char *allowed_hosts, const char *host, const char **problem)
{
    struct sockaddr_storage address;

    *problem = NULL;
    if (address_is_allowed(allowed_hosts, host))
        return true;
    if (address_name_is_blocked(host)) {
        *problem = BLOCKED_NAME;
        return true;
    }
    if (!address_parse(&address, host))
        return false;
    if (address_is_blocked((const struct sockaddr *)&address))
        *problem = BLOCKED_ADDRESS;
    return true;
}

void lookup_url(uv_loop_t *loop, const char *allowed_hosts, const char *url, lookup_done_fn done,
                void *ctx)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct lookup *lookup;
    char *host = NULL;
    const char *problem = url_check(url, &host);

    if (problem != NULL || is_known(allowed_hosts, host, &problem)) {
        url_host_free(host);
        done(ctx, problem);
        return;
    }
    lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL)
        abort();
    lookup->done = done;
    lookup->ctx = ctx;
    lookup->request.data = lookup;
    if (uv_getaddrinfo(loop, &lookup->request, on_resolved, host, NULL, &hints) != 0) {
        free(lookup);
        done(ctx, NULL); // as with a name that does not resolve
    }
    url_host_free(host);
}
