// Two recoveries of one hook that are asked for while none is carried out become one, which both
// are answered by.
#include "workers/webhook/orders.h"

#include "broker/base/digest.h"
#include "broker/rail/answers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <utlist.h>

#define WAIT_MS 50000 // less than the gateway waits
#define TICK_MS 250

struct order {
    struct order *next;
    struct order *before;
    struct hooks *hooks;
    struct command *command; // in whose arena it is
    struct answer *answer;
    const char *hook_id;
    char key[HOOK_KEY_BYTES];
    uint8_t key_digest[DIGEST_BYTES];
    uint64_t number;
    int64_t deadline_ns;
    bool is_inactive; // the hook is
};

struct orders {
    struct order *waiting;
    uv_timer_t timer; // while one waits
};

// --- waiting -------------------------------------------------------------------------------------

static bool is_written(const struct order *order, const Hr__Hook *hook)
{
    return hook->requeue_written >= order->number;
}

static void answer(struct order *order, const Hr__Hook *hook)
{
    Hr__Recovered *reply = wire_new(order->command->arena, &hr__recovered__descriptor);

    reply->has_recovered = true;
    reply->recovered = (int64_t)hook->requeue_count;
    answer_reply(order->answer, &reply->base);
}

static void refuse_unknown(struct order *order)
{
    struct problem problem;

    (void)problem_set(&problem, order->command->arena, PROBLEM_OUTCOME_UNKNOWN,
                      "The recovery goes on; repeat it with the same Idempotency-Key to find out "
                      "how many were put back");
    answer_refuse(order->answer, &problem);
}

static void give_up(struct orders *orders, int64_t before_ns)
{
    struct order *order;
    struct order *next;

    DL_FOREACH_SAFE2(orders->waiting, order, next, next)
    {
        if (order->deadline_ns > before_ns)
            continue;
        DL_DELETE2(orders->waiting, order, before, next);
        refuse_unknown(order);
    }
    if (orders->waiting == NULL)
        uv_timer_stop(&orders->timer);
}

static void on_tick(uv_timer_t *timer)
{
    give_up(timer->data, clock_now_ns());
}

void orders_on_hook(struct orders *orders, const char *key, const Hr__Hook *hook)
{
    struct order *order;
    struct order *next;

    if (hook == NULL)
        return;
    DL_FOREACH_SAFE2(orders->waiting, order, next, next)
    {
        if (strcmp(order->key, key) != 0 || !is_written(order, hook))
            continue;
        DL_DELETE2(orders->waiting, order, before, next);
        answer(order, hook);
    }
}

static void wait_for(struct order *order)
{
    struct orders *orders = order->hooks->orders;
    const Hr__Hook *hook = registry_find(order->hooks->registry, order->key);

    if (hook != NULL && is_written(order, hook)) {
        answer(order, hook);
        return;
    }
    order->deadline_ns = clock_now_ns() + WAIT_MS * 1000000LL;
    DL_APPEND2(orders->waiting, order, before, next);
    uv_timer_start(&orders->timer, on_tick, TICK_MS, TICK_MS);
}

// --- asking --------------------------------------------------------------------------------------

// Was the last one asked for by this very command, whose answer was lost?
static bool is_repeated(const struct order *order, const Hr__Hook *hook)
{
    return order->command->idempotency_key != NULL && hook->requeue_key.len == DIGEST_BYTES &&
           memcmp(hook->requeue_key.data, order->key_digest, DIGEST_BYTES) == 0;
}

static bool edit_order(void *ctx, Hr__Hook *hook, struct arena *arena)
{
    struct order *order = ctx;
    const Hr__RecoverHook *request = (const Hr__RecoverHook *)order->command->request;
    bool is_open = hook->requeued > hook->requeue_written && hook->requeue_since != NULL;

    order->is_inactive = !hook->active;
    order->number = hook->requeued;
    if (order->is_inactive || is_repeated(order, hook))
        return false;
    order->number = ++hook->requeued;
    hook->has_requeued = true;
    if (!is_open || wire_timestamp_us(request->since) < wire_timestamp_us(hook->requeue_since))
        hook->requeue_since = request->since;
    hook->has_requeue_key = order->command->idempotency_key != NULL;
    hook->requeue_key =
        hook->has_requeue_key ? text_copy(arena, order->key_digest, DIGEST_BYTES) : (Text){0, NULL};
    return true;
}

static void on_ordered(void *ctx, enum rc rc, Hr__Hook *hook)
{
    struct order *order = ctx;
    struct command *command = order->command;
    struct problem problem;

    (void)hook;
    if (rc == RC_NOT_FOUND) {
        hooks_unknown(&problem, command->arena, text_of(order->hook_id));
        answer_refuse(order->answer, &problem);
    } else if (rc != RC_OK) {
        answer_fail(order->answer, rc);
    } else if (order->is_inactive) {
        (void)problem_set(&problem, command->arena, PROBLEM_ALREADY_INACTIVE,
                          "Webhook %s is inactive", order->hook_id);
        answer_refuse(order->answer, &problem);
    } else {
        wait_for(order);
    }
}

static void digest_of_key(struct order *order)
{
    const struct command *command = order->command;
    const struct piece pieces[] = {
        {command->tenant,          strlen(command->tenant)         },
        {command->idempotency_key, strlen(command->idempotency_key)},
    };

    digest_of_pieces(order->key_digest, pieces, 2);
}

static void on_go(void *ctx, struct answer *answer)
{
    struct order *order = ctx;

    order->answer = answer;
    registry_edit(order->hooks->registry, order->key, order->command->arena, edit_order, on_ordered,
                  order);
}

void orders_on_recover(void *ctx, struct command *command)
{
    static const struct answers_spec spec = {&hr__recovered__descriptor, 0};
    const Hr__RecoverHook *request = (const Hr__RecoverHook *)command->request;
    struct order *order = arena_calloc(command->arena, 1, sizeof *order);

    if (request->hook_id.len == 0) {
        hooks_refuse_unknown(command, text_of("(none)"));
        return;
    }
    order->hooks = ctx;
    order->command = command;
    order->hook_id = arena_copy(command->arena, request->hook_id.data, request->hook_id.len);
    if (command->idempotency_key != NULL)
        digest_of_key(order);
    registry_key(order->key, command->tenant, order->hook_id);
    answers_begin(order->hooks->run, command, &spec, on_go, order);
}

// --- opening and closing -------------------------------------------------------------------------

struct orders *orders_open(struct run *run)
{
    struct orders *orders = calloc(1, sizeof *orders);

    if (orders == NULL)
        abort();
    uv_timer_init(run_loop(run), &orders->timer);
    orders->timer.data = orders;
    return orders;
}

void orders_drain(struct orders *orders)
{
    give_up(orders, INT64_MAX);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void orders_close(struct orders *orders)
{
    if (orders != NULL)
        uv_close((uv_handle_t *)&orders->timer, on_closed);
}
