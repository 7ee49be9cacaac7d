// Answers to browsers whose pages come from another origin.
#include "gateway/cors.h"

#include "broker/web/web.h"

#include <string.h>

#define EXPOSED                                                                                    \
    "ETag, Location, Retry-After, X-HR-Claim, X-HR-Ignored-Params, X-HR-Seq, X-Request-Id, "       \
    "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
#define METHODS "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
#define MAX_AGE_SECONDS "600"

static bool is_allowed(const char *origins, const char *origin)
{
    size_t len = strlen(origin);

    for (const char *at = origins; *at != '\0';) {
        size_t item = strcspn(at, ", ");

        if ((item == 1 && *at == '*') || (item == len && strncmp(at, origin, len) == 0))
            return true;
        at += item;
        at += strspn(at, ", ");
    }
    return false;
}

// The origin that is answered to; NULL: none, or one that is not allowed.
static const char *origin_of(const struct exchange *exchange)
{
    const char *origin = web_header(exchange->request, "Origin");

    if (origin == NULL || *origin == '\0' || !is_allowed(exchange->gateway->cors_origins, origin))
        return NULL;
    return origin;
}

size_t cors_headers(const struct exchange *exchange, struct header *headers)
{
    const char *origin;
    size_t count = 0;

    if (exchange->gateway->cors_origins[0] == '\0')
        return 0;
    headers[count++] = (struct header){"Vary", "Origin"}; // also when it is not allowed: caches
    origin = origin_of(exchange);
    if (origin == NULL)
        return count;
    headers[count++] = (struct header){"Access-Control-Allow-Origin", origin};
    headers[count++] = (struct header){"Access-Control-Allow-Credentials", "true"};
    headers[count++] = (struct header){"Access-Control-Expose-Headers", EXPOSED};
    return count;
}

size_t cors_preflight(const struct exchange *exchange, struct header *headers)
{
    const struct web_request *request = exchange->request;
    const char *wanted = web_header(request, "Access-Control-Request-Headers");
    size_t count = 0;

    if (strcmp(web_method(request), "OPTIONS") != 0 || origin_of(exchange) == NULL ||
        web_header(request, "Access-Control-Request-Method") == NULL)
        return 0;
    headers[count++] = (struct header){"Access-Control-Allow-Methods", METHODS};
    headers[count++] = (struct header){"Access-Control-Max-Age", MAX_AGE_SECONDS};
    if (wanted != NULL && *wanted != '\0')
        headers[count++] = (struct header){"Access-Control-Allow-Headers", wanted};
    return count;
}
