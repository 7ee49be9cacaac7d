// What a hook may ask for, and what of it is shown. Pure.
#ifndef WORKERS_WEBHOOK_HOOK_RULES_H
#define WORKERS_WEBHOOK_HOOK_RULES_H

#include "broker/message/issues.h"

// Appends to issues, under body.events, what is no event of ours.
void hook_rules_events(Text *const events, size_t count, struct issues *issues);

// A filter list of an update, under its name: its length is bounded as in a create.
void hook_rules_filter(const char *name, const Hr__StringList *list, struct issues *issues);

// The hook as clients see it, without any secret; borrows from hook.
Hr__HookView *hook_view(struct arena *arena, const Hr__Hook *hook);

// Was a command with this key given before? RC_NOT_FOUND: no. RC_OK: yes, the very same.
// RC_REFUSED: another one had this key.
enum rc hook_changes_find(const Hr__Hook *hook, const uint8_t key_digest[32],
                          const uint8_t request_digest[32]);

// Remembers a command, and forgets the oldest when there are many.
void hook_changes_add(Hr__Hook *hook, struct arena *arena, const uint8_t key_digest[32],
                      const uint8_t request_digest[32]);

#define OLD_SECRETS_MAX 4

// Those that sign as well as the newest, the last one that was replaced first. Returns how many.
size_t hook_old_secrets(const Hr__Hook *hook, int64_t now_us,
                        const Hr__SealedSecret *secrets[OLD_SECRETS_MAX]);

// The hook's secret becomes an old one that signs until then. False: so many do that it would have
// to end one of them early.
bool hook_retire_secret(Hr__Hook *hook, struct arena *arena, int64_t now_us, int64_t until_us);

#endif
