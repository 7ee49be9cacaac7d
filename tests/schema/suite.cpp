// Runs files of the form of the JSON Schema Test Suite through the validator's C interface.
//
//   suite DRAFT LEAST FILE...
//
// DRAFT is what $schema says where a schema says nothing: 07 or 2020. A schema that is accepted has
// to give the verdict of the suite for every instance. One that is refused counts as refused, and
// what was refused is printed; so whoever changes that sees it. Status 1: a verdict was wrong, or
// fewer than LEAST were right.
#include "workers/schema/validator.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

using nlohmann::json;

namespace
{

struct Counts {
    int agreed = 0;
    int refused = 0;
    int wrong = 0;
};

json with_draft(json schema, bool is_07)
{
    if (is_07 && schema.is_object() && !schema.contains("$schema"))
        schema["$schema"] = "http://json-schema.org/draft-07/schema#";
    return schema;
}

bool fits(const struct validator *validator, const json &instance)
{
    const std::string text = instance.dump();
    struct validator_words why;

    return validator_check(validator, &why, text.data(), text.size()) == RC_OK;
}

void run_group(const json &group, const std::string &file, bool is_07, Counts *counts)
{
    const std::string text = with_draft(group["schema"], is_07).dump();
    const std::string name = group["description"];
    const int cases = static_cast<int>(group["tests"].size());
    struct validator *validator = nullptr;
    struct validator_words why;

    if (validator_create(&validator, &why, text.data(), text.size()) != RC_OK) {
        counts->refused += cases;
        printf("  refused: %s: %s: %s\n", file.c_str(), name.c_str(), why.text);
        return;
    }
    for (const json &one : group["tests"]) {
        if (fits(validator, one["data"]) == one["valid"].get<bool>()) {
            counts->agreed++;
            continue;
        }
        counts->wrong++;
        printf("  WRONG: %s: %s: %s\n", file.c_str(), name.c_str(),
               one["description"].get<std::string>().c_str());
    }
    validator_destroy(validator);
}

} // namespace

int main(int argc, char **argv)
{
    Counts counts;

    if (argc < 4 || (strcmp(argv[1], "07") != 0 && strcmp(argv[1], "2020") != 0)) {
        fprintf(stderr, "Usage: suite 07|2020 LEAST FILE...\n");
        return 2;
    }
    for (int i = 3; i < argc; i++) {
        std::ifstream in(argv[i]);
        const std::string path = argv[i];
        const json groups = json::parse(in);

        for (const json &group : groups)
            run_group(group, path.substr(path.rfind('/') + 1), strcmp(argv[1], "07") == 0, &counts);
    }
    printf("draft %s: %d agreed, %d of refused schemas, %d wrong\n", argv[1], counts.agreed,
           counts.refused, counts.wrong);
    return counts.wrong > 0 || counts.agreed < std::stoi(argv[2]);
}
