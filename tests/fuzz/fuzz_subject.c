// Subjects: the first line is a key, the rest a subject. As a command it is refused or comes back
// as it was; as a reply it is refused or lies in the key's inbox and nowhere else.
#include "broker/base/id.h"
#include "broker/nats/subjects.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_command(const char *subject)
{
    struct subject_parts parts;
    char again[SUBJECT_BYTES];

    if (subject_parse_command(&parts, subject) != RC_OK)
        return;
    assert(token_is_safe(parts.tenant, strlen(parts.tenant)));
    assert(token_is_safe(parts.key, strlen(parts.key)));
    subject_command(again, parts.tenant, parts.key, parts.noun, parts.verb);
    assert(strcmp(again, subject) == 0);
}

static void check_reply(const char *subject, const char *key)
{
    char inbox[TOKEN_MAX + 10] = "_INBOX.";

    if (!token_is_safe(key, strlen(key)) || !subject_reply_allowed(subject, key))
        return;
    (void)strcat(strcat(inbox, key), ".");
    assert(strncmp(subject, inbox, strlen(inbox)) == 0);
    assert(strpbrk(subject, "*> \t\r\n") == NULL);
    assert(strstr(subject, "..") == NULL && subject[strlen(subject) - 1] != '.');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    char *newline;

    if (text == NULL)
        abort();
    memcpy(text, data, len);
    text[len] = '\0';
    newline = strchr(text, '\n');
    if (newline != NULL) {
        *newline = '\0';
        check_command(newline + 1);
        check_reply(newline + 1, text);
    }
    free(text);
    return 0;
}
