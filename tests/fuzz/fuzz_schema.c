// A schema, a line break, an instance. Whatever they are, the validator comes to an end, and says
// the same when asked again.
#include "broker/message/json_read.h"
#include "workers/schema/validator.h"

#include <assert.h>
#include <string.h>

#define BYTES_MAX (16 * 1024) // more finds nothing that less does not, only later

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_words(const struct validator_words *why)
{
    assert(memchr(why->text, '\0', sizeof why->text) != NULL && why->text[0] != '\0');
    assert(memchr(why->place, '\0', sizeof why->place) != NULL);
}

static void check(const struct validator *validator, const uint8_t *instance, size_t len)
{
    struct validator_words why;
    enum rc first;

    if (!json_is_valid(instance, len))
        return;
    first = validator_check(validator, &why, instance, len);
    assert(first == RC_OK || first == RC_REFUSED || first == RC_TOO_LARGE);
    if (first != RC_OK)
        check_words(&why);
    assert(validator_check(validator, &why, instance, len) == first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *line = len > 0 && len <= BYTES_MAX ? memchr(data, '\n', len) : NULL;
    struct validator *validator = NULL;
    struct validator_words why;
    size_t schema_len;

    if (line == NULL)
        return 0;
    schema_len = (size_t)(line - data);
    if (!json_is_valid(data, schema_len))
        return 0;
    if (validator_create(&validator, &why, data, schema_len) != RC_OK) {
        check_words(&why);
        assert(validator == NULL);
        return 0;
    }
    check(validator, line + 1, len - schema_len - 1);
    validator_destroy(validator);
    return 0;
}
