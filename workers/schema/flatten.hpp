// A schema as clients write it, made into one that the library understands without a doubt.
#ifndef WORKERS_SCHEMA_FLATTEN_HPP
#define WORKERS_SCHEMA_FLATTEN_HPP

#include <nlohmann/json.hpp>

#include <set>
#include <stdexcept>
#include <string>

// This is no schema, or one that cannot be honoured. what(): says why.
struct Refusal : std::runtime_error {
    Refusal(const std::string &why, const std::string &in) : std::runtime_error(why), place(in)
    {
    }
    std::string place; // as a JSON pointer
};

struct Flat {
    // {"$ref":"#/s/0","s":{"0":{...},...}}: each schema of the original once, in draft-07; where
    // one stands in another there is a $ref to it. "title" is a number: how much work the schema
    // itself is at most, without those in it and whatever the instance.
    nlohmann::json document;
    std::set<std::string> patterns; // all that are in it, as they were written
};

// Equal numbers shall be spelled equally: 1.0 becomes 1.
void even_numbers(nlohmann::json *value);

// schema: numbers evened. Throws Refusal.
Flat flatten(const nlohmann::json &schema);

#endif
