// Result codes: their texts and what becomes of a message.
#include "broker/base/rc.h"

#include <assert.h>

const char *rc_text(enum rc rc)
{
    static const char *const texts[] = {
#define X(name, settle, text) [RC_##name] = (text),
        RC_LIST(X)
#undef X
    };

    assert(rc < RC_CODES);
    return texts[rc];
}

enum settle rc_settle(enum rc rc)
{
    static const enum settle settles[] = {
#define X(name, settle, text) [RC_##name] = SETTLE_##settle,
        RC_LIST(X)
#undef X
    };

    assert(rc < RC_CODES);
    return settles[rc];
}
