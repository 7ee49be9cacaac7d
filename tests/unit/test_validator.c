#include "workers/schema/validator.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct validator *made;
static struct validator_words why;

static void tear_down(void)
{
    validator_destroy(made);
    made = NULL;
}

TestSuite(validator, .fini = tear_down);

static void make(const char *schema)
{
    tear_down();
    cr_assert_eq(validator_create(&made, &why, schema, strlen(schema)), RC_OK, "%s: %s", schema,
                 why.text);
}

static void refuses(const char *schema, const char *words, const char *place)
{
    tear_down();
    cr_assert_eq(validator_create(&made, &why, schema, strlen(schema)), RC_INVALID, "%s", schema);
    cr_assert_null(made);
    cr_assert_not_null(strstr(why.text, words), "%s: %s", schema, why.text);
    cr_assert_str_eq(why.place, place, "%s: %s", schema, why.text);
}

static enum rc check(const char *instance)
{
    return validator_check(made, &why, instance, strlen(instance));
}

static void says_no(const char *instance, const char *words, const char *place)
{
    cr_assert_eq(check(instance), RC_REFUSED, "%s", instance);
    cr_assert_not_null(strstr(why.text, words), "%s: %s", instance, why.text);
    cr_assert_str_eq(why.place, place, "%s: %s", instance, why.text);
}

// --- what is refused -----------------------------------------------------------------------------

Test(validator, refuses_what_is_no_schema)
{
    static const struct {
        const char *schema;
        const char *words;
        const char *place;
    } cases[] = {
        {"1",                                            "object or a boolean", ""                   },
        {"{\"type\":\"text\"}",                          "type should",         ""                   },
        {"{\"type\":[\"null\",\"null\"]}",               "twice",               ""                   },
        {"{\"properties\":[]}",                          "properties should",   "/properties"        },
        {"{\"properties\":{\"a\":{\"required\":true}}}", "required should",     "/properties/a"      },
        {"{\"required\":[1]}",                           "required should",     ""                   },
        {"{\"required\":[\"a\",\"a\"]}",                 "twice",               ""                   },
        {"{\"items\":{\"maxItems\":1.5}}",               "maxItems should",     "/items"             },
        {"{\"minLength\":\"1\"}",                        "minLength should",    ""                   },
        {"{\"maximum\":\"1\"}",                          "maximum should",      ""                   },
        {"{\"multipleOf\":0}",                           "multipleOf should",   ""                   },
        {"{\"enum\":{}}",                                "enum should",         ""                   },
        {"{\"uniqueItems\":1}",                          "uniqueItems should",  ""                   },
        {"{\"allOf\":[]}",                               "allOf should",        ""                   },
        {"{\"anyOf\":{}}",                               "anyOf should",        ""                   },
        {"{\"oneOf\":[{},[]]}",                          "object or a boolean", "/oneOf/1"           },
        {"{\"then\":5}",                                 "object or a boolean", "/then"              },
        {"{\"$defs\":{\"a\":{\"b\":1},\"c\":null}}",     "object or a boolean", "/$defs/c"           },
        {"{\"$defs\":[]}",                               "$defs should",        ""                   },
        {"{\"title\":1}",                                "title should",        ""                   },
        {"{\"format\":1}",                               "format should",       ""                   },
        {"{\"pattern\":1}",                              "pattern should",      ""                   },
        {"{\"dependentRequired\":{\"a\":{}}}",           "should be a list",    "/dependentRequired" },
        {"{\"dependentSchemas\":{\"a\":[]}}",            "object or a boolean", "/dependentSchemas/a"},
        {"{\"prefixItems\":{}}",                         "prefixItems should",  ""                   },
        {"{\"$schema\":\"x\"}",                          "$schema should",      ""                   },
        {"{\"$schema\":4}",                              "$schema should",      ""                   },
        {"{\"$ref\":7}",                                 "$ref should",         ""                   },
        {"{\"$ref\":\"#/$defs/%zz\"}",                   "hexadecimal",         ""                   },
        {"{\"$ref\":\"#anchor\"}",                       "begin with #/",       ""                   },
        {"{\"properties\":{\"a\\u0000\":{}}}",           "U+0000",              "/properties"        },
        {"{\"required\":[\"a\\u0000\"]}",                "U+0000",              ""                   },
        {"{\"pattern\":\"\\u0000\"}",                    "U+0000",              "/pattern"           },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refuses(cases[i].schema, cases[i].words, cases[i].place);
}

Test(validator, refuses_what_it_cannot_honour_and_names_it)
{
    static const char *const names[] = {
        "$dynamicRef",     "$recursiveRef",         "$anchor",      "$dynamicAnchor",
        "minContains",     "maxContains",           "dependencies", "unevaluatedItems",
        "additionalItems", "unevaluatedProperties", "$vocabulary",  "extends"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char schema[128];
        char place[64];

        (void)snprintf(schema, sizeof schema, "{\"not\":{\"%s\":{}}}", names[i]);
        (void)snprintf(place, sizeof place, "/not/%s", names[i]);
        refuses(schema, names[i], place);
    }
}

Test(validator, refuses_an_id_below_the_top)
{
    refuses("{\"properties\":{\"a\":{\"$id\":\"b\",\"$ref\":\"#/$defs/a\"}},\"$defs\":{\"a\":{}}}",
            "'$id'", "/properties/a");
    refuses("{\"items\":{\"$id\":\"b\"}}", "'$id'", "/items");
    make("{\"$id\":\"https://example.org/a\",\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{}}}");
}

Test(validator, refuses_references_that_lead_back_to_themselves)
{
    refuses("{\"$ref\":\"#\"}", "back to itself", "");
    refuses("{\"not\":{\"$ref\":\"#\"}}", "back to itself", "");
    refuses("{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}}}",
            "back to itself", "/$defs/a");
    refuses("{\"if\":{\"oneOf\":[{\"$ref\":\"#/if\"}]}}", "back to itself", "");
    refuses("{\"dependentSchemas\":{\"a\":{\"$ref\":\"#\"}}}", "back to itself", "");
    make("{\"properties\":{\"a\":{\"$ref\":\"#\"}},\"items\":{\"$ref\":\"#\"},"
         "\"contains\":{\"$ref\":\"#/items\"}}");
}

Test(validator, refuses_patterns_that_RE2_has_no_equal_for)
{
    static const char *const patterns[] = {
        "(",        "[",          "a**",  "(?=a)",   "(?!a)",   "(?<n>a)",   "(?i)a",
        "(a)\\\\1", "[]",         "[^]",  "\\\\Z",   "\\\\cA",  "\\\\u12",   "\\\\x1",
        "\\\\p",    "\\\\p{Foo}", "\\\\", "[\\\\S]", "a{1001}", "\\\\ud800", "[b-a]"};

    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        char schema[128];

        (void)snprintf(schema, sizeof schema, "{\"pattern\":\"%s\"}", patterns[i]);
        refuses(schema, "the pattern '", "");
        (void)snprintf(schema, sizeof schema, "{\"patternProperties\":{\"%s\":{}}}", patterns[i]);
        refuses(schema, "the pattern '", "");
    }
}

// --- what is said of an instance -----------------------------------------------------------------

Test(validator, says_where_it_does_not_fit)
{
    make("{\"properties\":{\"a\":{\"items\":{\"type\":\"integer\"}}},\"required\":[\"b\"],"
         "\"additionalProperties\":{\"maxLength\":1}}");
    says_no("{}", "'b'", "");
    says_no("{\"a\":[1,\"x\"],\"b\":1}", "type", "a.1");
    says_no("{\"c\":\"xx\",\"b\":1}", "at most 1", "c");
    cr_assert_eq(check("{\"a\":[1.0],\"b\":null,\"c\":\"\xC3\xBC\"}"), RC_OK);
}

Test(validator, names_the_alternatives_where_none_fits)
{
    make("{\"properties\":{\"a\":{\"anyOf\":[{\"type\":\"string\"},{\"properties\":{\"b\":"
         "{\"oneOf\":[false,{\"type\":\"null\"}]}},\"type\":\"object\"}]}}}");
    says_no("{\"a\":{\"b\":1}}", "anyOf", "a");
    says_no("{\"a\":1}", "anyOf", "a");
    make("{\"properties\":{\"a\":false}}");
    says_no("{\"a\":1}", "Nothing is allowed", "a");
}

Test(validator, cuts_what_it_says_between_characters)
{
    char instance[4096];
    char name[1501] = "";

    for (size_t i = 0; i < 500; i++)
        (void)strcat(name, "\xE2\x82\xAC");
    (void)snprintf(instance, sizeof instance, "{\"%s\":{\"b\":1}}", name);
    make("{\"additionalProperties\":{\"additionalProperties\":false}}");
    cr_assert_eq(check(instance), RC_REFUSED);
    cr_assert_leq(strlen(why.place), 255);
    cr_assert_eq(strlen(why.place), 63, "21 characters of three bytes");
    make("{\"additionalProperties\":false}");
    cr_assert_eq(check(instance), RC_REFUSED);
    cr_assert_eq(strlen(why.text), sizeof why.text - 1 - (sizeof why.text - 1 - 14) % 3);
}

// --- bounds --------------------------------------------------------------------------------------

static char *repeat(const char *begin, const char *open, size_t count, const char *middle,
                    const char *close, const char *end)
{
    size_t size =
        strlen(begin) + count * (strlen(open) + strlen(close)) + strlen(middle) + strlen(end) + 1;
    char *text = malloc(size);
    char *at = text;

    cr_assert_not_null(text);
    at = stpcpy(at, begin);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, open);
    at = stpcpy(at, middle);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, close);
    (void)stpcpy(at, end);
    return text;
}

Test(validator, takes_schemas_as_deep_as_its_stack_holds)
{
    char *deep = repeat("", "{\"items\":", 90, "true", "}", "");
    char *deeper = repeat("", "{\"items\":", 110, "true", "}", "");
    char *beside =
        repeat("{\"items\":{\"$ref\":\"#\"},\"not\":", "{\"not\":", 90, "true", "}", "}");

    make(deep);
    make(beside);
    tear_down();
    cr_assert_eq(validator_create(&made, &why, deeper, strlen(deeper)), RC_INVALID);
    cr_assert_not_null(strstr(why.text, "nested more than 100"));
    cr_assert_eq(strlen(why.place), 200, "it is cut");
    free(deep);
    free(deeper);
    free(beside);
}

Test(validator, gives_up_on_instances_that_are_too_deep_for_the_schema)
{
    char *instance = repeat("", "[", 250, "", "]", "");

    make("{\"items\":{\"$ref\":\"#\"}}");
    cr_assert_eq(check(instance), RC_OK);
    make("{\"allOf\":[{\"allOf\":[{\"allOf\":[{\"items\":{\"$ref\":\"#\"}}]}]}]}");
    cr_assert_eq(check(instance), RC_TOO_LARGE);
    cr_assert_not_null(strstr(why.text, "nested too deeply"));
    free(instance);
}

Test(validator, gives_up_on_what_is_too_much_work)
{
    char schema[8192] = "{\"$defs\":{";

    for (int i = 0; i < 40; i++) {
        size_t len = strlen(schema);

        (void)snprintf(schema + len, sizeof schema - len,
                       "\"%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/%d\"},{\"$ref\":\"#/$defs/%d\"}]},",
                       i, i + 1, i + 1);
    }
    (void)strcat(schema, "\"40\":false},\"$ref\":\"#/$defs/0\"}");
    make(schema);
    cr_assert_eq(check("1"), RC_TOO_LARGE);
    cr_assert_not_null(strstr(why.text, "too much work"));
}

Test(validator, takes_no_longer_for_patterns_that_are_hard)
{
    char *instance = repeat("\"", "a", 1000000, "", "", "!\"");

    make("{\"pattern\":\"^(a+)+$\"}");
    cr_assert_eq(check(instance), RC_REFUSED);
    make("{\"pattern\":\"(x+x+)+y\"}");
    cr_assert_eq(check(instance), RC_REFUSED);
    free(instance);
}

Test(validator, knows_no_number_that_is_too_large)
{
    make("{\"type\":\"number\"}");
    cr_assert_eq(check("1e400"), RC_TOO_LARGE);
    cr_assert_eq(check("123456789012345678901234567890"), RC_OK);
    cr_assert_eq(check("-9223372036854775808"), RC_OK);
    cr_assert_eq(check("18446744073709551615"), RC_OK);
    make("{\"multipleOf\":1}");
    cr_assert_eq(check("-9223372036854775808"), RC_OK);
    make("{\"enum\":[9007199254740991]}");
    cr_assert_eq(check("9007199254740991"), RC_OK);
    cr_assert_eq(check("9007199254740990"), RC_REFUSED);
}
