// A table. What the specification has and is not in it may stand in any schema, and is ignored.
#include "workers/schema/keywords.hpp"

const char *const draft_names[] = {"draft-07", "2020-12"};

namespace
{

enum {
    IN_07 = 1 << DRAFT_07,
    IN_2020 = 1 << DRAFT_2020,
};

const Keyword keywords[] = {
    {"$anchor",               0,               nullptr                                },
    {"$dynamicAnchor",        0,               nullptr                                },
    {"$dynamicRef",           0,               nullptr                                },
    {"$recursiveAnchor",      0,               nullptr                                },
    {"$recursiveRef",         0,               nullptr                                },
    {"$vocabulary",           0,               nullptr                                },
    {"additionalItems",       IN_07,           "items beside prefixItems"             },
    {"dependencies",          IN_07,           "dependentRequired or dependentSchemas"},
    {"dependentRequired",     IN_2020,         "dependencies"                         },
    {"dependentSchemas",      IN_2020,         "dependencies"                         },
    {"divisibleBy",           0,               "multipleOf"                           },
    {"extends",               0,               "allOf"                                },
    {"disallow",              0,               "not"                                  },
    {"id",                    0,               "$id"                                  },
    {"maxContains",           0,               nullptr                                },
    {"minContains",           0,               nullptr                                },
    {"prefixItems",           IN_2020,         "an array of items"                    },
    {"unevaluatedItems",      0,               nullptr                                },
    {"unevaluatedProperties", 0,               nullptr                                },
    {"$ref",                  IN_07 | IN_2020, nullptr                                },
    {"additionalProperties",  IN_07 | IN_2020, nullptr                                },
    {"allOf",                 IN_07 | IN_2020, nullptr                                },
    {"anyOf",                 IN_07 | IN_2020, nullptr                                },
    {"const",                 IN_07 | IN_2020, nullptr                                },
    {"contains",              IN_07 | IN_2020, nullptr                                },
    {"else",                  IN_07 | IN_2020, nullptr                                },
    {"enum",                  IN_07 | IN_2020, nullptr                                },
    {"exclusiveMaximum",      IN_07 | IN_2020, nullptr                                },
    {"exclusiveMinimum",      IN_07 | IN_2020, nullptr                                },
    {"if",                    IN_07 | IN_2020, nullptr                                },
    {"items",                 IN_07 | IN_2020, nullptr                                },
    {"maxItems",              IN_07 | IN_2020, nullptr                                },
    {"maxLength",             IN_07 | IN_2020, nullptr                                },
    {"maxProperties",         IN_07 | IN_2020, nullptr                                },
    {"maximum",               IN_07 | IN_2020, nullptr                                },
    {"minItems",              IN_07 | IN_2020, nullptr                                },
    {"minLength",             IN_07 | IN_2020, nullptr                                },
    {"minProperties",         IN_07 | IN_2020, nullptr                                },
    {"minimum",               IN_07 | IN_2020, nullptr                                },
    {"multipleOf",            IN_07 | IN_2020, nullptr                                },
    {"not",                   IN_07 | IN_2020, nullptr                                },
    {"oneOf",                 IN_07 | IN_2020, nullptr                                },
    {"pattern",               IN_07 | IN_2020, nullptr                                },
    {"patternProperties",     IN_07 | IN_2020, nullptr                                },
    {"properties",            IN_07 | IN_2020, nullptr                                },
    {"propertyNames",         IN_07 | IN_2020, nullptr                                },
    {"required",              IN_07 | IN_2020, nullptr                                },
    {"then",                  IN_07 | IN_2020, nullptr                                },
    {"type",                  IN_07 | IN_2020, nullptr                                },
    {"uniqueItems",           IN_07 | IN_2020, nullptr                                },
};

} // namespace

const Keyword *keyword_find(const std::string &name)
{
    for (const Keyword &keyword : keywords) {
        if (name == keyword.name)
            return &keyword;
    }
    return nullptr;
}
