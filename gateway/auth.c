// API keys. Only digests are compared and kept; the key itself stays in the request.
#include "gateway/auth.h"

#include "broker/base/digest.h"
#include "gateway/keys.h"

#include <string.h>

#define KEY_BYTES_MAX 512
#define BOOTSTRAP_ID "bootstrap"

static bool is_bootstrap(const struct gateway *gateway, const uint8_t digest[DIGEST_BYTES])
{
    uint8_t own[DIGEST_BYTES];

    if (gateway->bootstrap_key[0] == '\0')
        return false;
    digest_of(own, gateway->bootstrap_key, strlen(gateway->bootstrap_key));
    return bytes_equal(own, digest, DIGEST_BYTES);
}

static enum rc identify(struct exchange *exchange, const char *text, struct problem *problem)
{
    const struct gateway *gateway = exchange->gateway;
    struct caller *caller = &exchange->caller;
    uint8_t digest[DIGEST_BYTES];
    const struct key *key;

    digest_of(digest, text, strlen(text));
    memcpy(caller->key_digest, digest, DIGEST_BYTES);
    if (is_bootstrap(gateway, digest)) {
        caller->tenant = gateway->bootstrap_tenant;
        caller->key_id = BOOTSTRAP_ID;
        caller->role = ROLE_ADMIN;
        caller->platform = true;
        return RC_OK;
    }
    if (!keys_are_current(gateway->keys))
        return problem_set(problem, exchange->arena, PROBLEM_UNAVAILABLE,
                           "API keys cannot be checked for the moment");
    key = keys_find(gateway->keys, digest);
    if (key == NULL)
        return problem_set(problem, exchange->arena, PROBLEM_KEY_INVALID, "Invalid API key");
    if (key->revoked)
        return problem_set(problem, exchange->arena, PROBLEM_KEY_REVOKED,
                           "API key has been revoked");
    caller->tenant = arena_copy(exchange->arena, key->tenant, strlen(key->tenant));
    caller->key_id = arena_copy(exchange->arena, key->id, strlen(key->id));
    caller->role = role_of(key->role);
    return RC_OK;
}

// Those who cannot send a header, a browser's EventSource and WebSocket, send the key in the query,
// where the route has such a parameter.
static const char *key_of(const struct exchange *exchange)
{
    const char *text = web_header(exchange->request, "X-API-Key");
    const ProtobufCMessageDescriptor *query =
        exchange->route != NULL ? route_query(exchange->route) : NULL;

    if (text != NULL || query == NULL ||
        protobuf_c_message_descriptor_get_field_by_name(query, "api_key") == NULL)
        return text;
    return web_query(exchange->request, "api_key");
}

enum rc auth_check(struct exchange *exchange, enum role minimum, struct problem *problem)
{
    const char *text = key_of(exchange);
    enum rc rc;

    if (text == NULL || *text == '\0')
        return problem_set(problem, exchange->arena, PROBLEM_KEY_MISSING,
                           "Missing X-API-Key header");
    if (strlen(text) > KEY_BYTES_MAX)
        return problem_set(problem, exchange->arena, PROBLEM_KEY_INVALID, "Invalid API key");
    rc = identify(exchange, text, problem);
    if (rc != RC_OK)
        return rc;
    if (exchange->caller.role < minimum)
        return problem_set(problem, exchange->arena, PROBLEM_FORBIDDEN,
                           "Insufficient permissions. Required role: %s, current role: %s",
                           role_name(minimum), role_name(exchange->caller.role));
    return RC_OK;
}

bool auth_still_holds(const struct exchange *exchange)
{
    const struct gateway *gateway = exchange->gateway;
    const struct caller *caller = &exchange->caller;
    const struct key *key;

    if (caller->platform || !keys_are_current(gateway->keys))
        return true;
    key = keys_find(gateway->keys, caller->key_digest);
    return key != NULL && !key->revoked && strcmp(key->tenant, caller->tenant) == 0;
}
