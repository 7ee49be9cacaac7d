// Lists: there are never more than a few hundred.
#include "workers/webhook/turns.h"

#include <assert.h>
#include <utlist.h>

// hook: NULL for any.
static unsigned count(const struct turn *list, const char *hook)
{
    unsigned found = 0;

    for (const struct turn *turn = list; turn != NULL; turn = turn->next)
        found += hook == NULL || strcmp(turn->hook, hook) == 0;
    return found;
}

bool turns_are_full(const struct turns *turns, const char *hook)
{
    return count(turns->waiting, NULL) >= turns->limits.waiting ||
           (hook != NULL && count(turns->waiting, hook) >= turns->limits.waiting_per_hook);
}

static struct turn *next_turn(const struct turns *turns)
{
    if (count(turns->running, NULL) >= turns->limits.total)
        return NULL;
    for (struct turn *turn = turns->waiting; turn != NULL; turn = turn->next) {
        if (count(turns->running, turn->hook) < turns->limits.per_hook)
            return turn;
    }
    return NULL;
}

static void begin_next(struct turns *turns)
{
    struct turn *turn;

    while ((turn = next_turn(turns)) != NULL) {
        DL_DELETE2(turns->waiting, turn, before, next);
        DL_APPEND2(turns->running, turn, before, next);
        turn->has_begun = true;
        turn->begin(turn);
    }
}

void turns_ask(struct turns *turns, struct turn *turn)
{
    turn->has_begun = false;
    DL_APPEND2(turns->waiting, turn, before, next);
    begin_next(turns);
}

void turns_end(struct turns *turns, struct turn *turn)
{
    assert(turn->has_begun);
    DL_DELETE2(turns->running, turn, before, next);
    begin_next(turns);
}
