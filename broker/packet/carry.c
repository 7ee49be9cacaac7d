// Names of parts and the bits they stand for.
#include "broker/packet/carry.h"

static const struct {
    const char *name;
    unsigned bit;
} parts[] = {
    {"conversation",    CARRY_CONVERSATION   },
    {"pending_actions", CARRY_PENDING_ACTIONS},
    {"decisions",       CARRY_DECISIONS      },
    {"dependencies",    CARRY_DEPENDENCIES   },
    {"artifacts",       CARRY_ARTIFACTS      },
    {"custom",          CARRY_CUSTOM         },
};
#define PARTS (sizeof parts / sizeof parts[0])

const char carry_choices[] = "'conversation', 'pending_actions', 'decisions', 'dependencies', "
                             "'artifacts' or 'custom'";

unsigned carry_of_name(Text name)
{
    for (size_t i = 0; i < PARTS; i++) {
        if (text_is(name, parts[i].name))
            return parts[i].bit;
    }
    return 0;
}

unsigned carry_of(const Text *names, size_t count)
{
    unsigned carry = 0;

    for (size_t i = 0; i < count; i++)
        carry |= carry_of_name(names[i]);
    return carry;
}

Text *carry_names(unsigned carry, struct arena *arena, size_t *count)
{
    Text *names = arena_calloc(arena, PARTS, sizeof *names);

    *count = 0;
    for (size_t i = 0; i < PARTS; i++) {
        if ((carry & parts[i].bit) != 0)
            names[(*count)++] = text_of(parts[i].name);
    }
    return names;
}

void carry_drop(Hr__Lineage *lineage, unsigned dropped, struct arena *arena)
{
    if (lineage != NULL)
        lineage->carry = carry_names(carry_of(lineage->carry, lineage->n_carry) & ~dropped, arena,
                                     &lineage->n_carry);
}
