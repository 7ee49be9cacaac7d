// Who may do what, with the request and the bucket of keys replaced at link time.
#include "gateway/auth.h"

#include "broker/base/digest.h"
#include "gateway/keys.h"
#include "gateway/routes.h"
#include "tests/unit/messages.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *sent;    // as X-API-Key
static const char *queried; // as the query's api_key
static bool current;
static struct key stored; // under the digest of "stored-key"

const char *web_header(const struct web_request *request, const char *name)
{
    (void)request;
    return strcmp(name, "X-API-Key") == 0 ? sent : NULL;
}

const char *web_query(const struct web_request *request, const char *name)
{
    (void)request;
    return strcmp(name, "api_key") == 0 ? queried : NULL;
}

bool keys_are_current(const struct keys *keys)
{
    (void)keys;
    return current;
}

const struct key *keys_find(const struct keys *keys, const uint8_t digest[32])
{
    uint8_t own[DIGEST_BYTES];

    (void)keys;
    digest_of(own, "stored-key", strlen("stored-key"));
    return memcmp(own, digest, sizeof own) == 0 ? &stored : NULL;
}

static struct gateway gateway;
static struct exchange exchange;
static struct problem problem;

static void set_up(void)
{
    gateway = (struct gateway){.bootstrap_key = "boot", .bootstrap_tenant = "default"};
    exchange = (struct exchange){.gateway = &gateway, .arena = arena_create(1024)};
    current = true;
    stored = (struct key){.id = "k1", .tenant = "acme", .role = "agent"};
}

static void tear_down(void)
{
    arena_destroy(exchange.arena);
}

TestSuite(auth, .init = set_up, .fini = tear_down);

static enum rc ask(const char *key, enum role minimum)
{
    sent = key;
    return auth_check(&exchange, minimum, &problem);
}

static void assert_refused(const char *key, enum role minimum, enum problem_code code,
                           const char *detail)
{
    cr_assert_eq(ask(key, minimum), RC_REFUSED);
    cr_assert_eq(problem.code, code);
    ASSERT_TEXT(problem.detail, detail);
}

Test(auth, lets_the_bootstrap_key_do_everything)
{
    cr_assert_eq(ask("boot", ROLE_ADMIN), RC_OK);
    cr_assert_str_eq(exchange.caller.tenant, "default");
    cr_assert_eq(exchange.caller.role, (int)ROLE_ADMIN);
    current = false;
    cr_assert_eq(ask("boot", ROLE_ADMIN), RC_OK, "it is in no bucket");
}

Test(auth, has_no_bootstrap_key_when_none_is_set)
{
    gateway.bootstrap_key = "";
    assert_refused("", ROLE_READER, PROBLEM_KEY_MISSING, "\"Missing X-API-Key header\"");
    assert_refused("boot", ROLE_READER, PROBLEM_KEY_INVALID, "\"Invalid API key\"");
}

Test(auth, knows_stored_keys_with_their_tenant_and_role)
{
    cr_assert_eq(ask("stored-key", ROLE_AGENT), RC_OK);
    cr_assert_str_eq(exchange.caller.tenant, "acme");
    cr_assert_str_eq(exchange.caller.key_id, "k1");
    assert_refused("stored-key", ROLE_WRITER, PROBLEM_FORBIDDEN,
                   "\"Insufficient permissions. Required role: writer, current role: agent\"");
}

Test(auth, refuses_a_key_with_a_role_nobody_knows)
{
    stored.role = "root";
    assert_refused("stored-key", ROLE_READER, PROBLEM_FORBIDDEN,
                   "\"Insufficient permissions. Required role: reader, current role: none\"");
}

Test(auth, refuses_keys_that_are_missing_wrong_revoked_or_too_long)
{
    char endless[600];

    memset(endless, 'x', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    assert_refused(NULL, ROLE_READER, PROBLEM_KEY_MISSING, "\"Missing X-API-Key header\"");
    assert_refused("", ROLE_READER, PROBLEM_KEY_MISSING, "\"Missing X-API-Key header\"");
    assert_refused("boo", ROLE_READER, PROBLEM_KEY_INVALID, "\"Invalid API key\"");
    assert_refused("boot ", ROLE_READER, PROBLEM_KEY_INVALID, "\"Invalid API key\"");
    assert_refused(endless, ROLE_READER, PROBLEM_KEY_INVALID, "\"Invalid API key\"");
    stored.revoked = true;
    assert_refused("stored-key", ROLE_READER, PROBLEM_KEY_REVOKED, "\"API key has been revoked\"");
    cr_assert_eq(problem_status(problem.code), 401);
}

Test(auth, takes_the_key_of_a_listener_from_the_query)
{
    static const struct route listens = {.query = &hr__listen_query__descriptor};
    static const struct route lists = {.query = &hr__list_packets__descriptor};

    queried = "stored-key";
    exchange.route = &listens;
    cr_assert_eq(ask(NULL, ROLE_READER), RC_OK);
    cr_assert_str_eq(exchange.caller.tenant, "acme");
    cr_assert_eq(ask("wrong", ROLE_READER), RC_REFUSED, "the header goes first");
    exchange.route = &lists;
    cr_assert_eq(ask(NULL, ROLE_READER), RC_REFUSED, "nobody else's");
}

Test(auth, knows_when_a_key_does_not_hold_any_more)
{
    cr_assert_eq(ask("stored-key", ROLE_READER), RC_OK);
    cr_assert(auth_still_holds(&exchange));
    stored.revoked = true;
    current = false;
    cr_assert(auth_still_holds(&exchange), "it cannot be known");
    current = true;
    cr_assert_not(auth_still_holds(&exchange));
    stored.revoked = false;
    stored.tenant = "other";
    cr_assert_not(auth_still_holds(&exchange));
    cr_assert_eq(ask("boot", ROLE_READER), RC_OK);
    cr_assert(auth_still_holds(&exchange));
}

Test(auth, trusts_no_key_while_the_bucket_may_have_changed)
{
    current = false;
    assert_refused("stored-key", ROLE_READER, PROBLEM_UNAVAILABLE,
                   "\"API keys cannot be checked for the moment\"");
}

Test(auth, knows_its_roles_by_name_and_their_order)
{
    static const char *const names[] = {"reader", "agent", "writer", "admin"};

    for (int i = 0; i < 4; i++) {
        cr_assert_eq((int)role_of(names[i]), (int)ROLE_READER + i);
        cr_assert_str_eq(role_name(role_of(names[i])), names[i]);
    }
    cr_assert_eq((int)role_of("none"), (int)ROLE_NONE);
    cr_assert_eq((int)role_of("Admin"), (int)ROLE_NONE);
    cr_assert_eq((int)role_of(""), (int)ROLE_NONE);
}
