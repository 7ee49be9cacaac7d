// The keywords of a schema that hold no other schemas.
#ifndef WORKERS_SCHEMA_VALUES_HPP
#define WORKERS_SCHEMA_VALUES_HPP

#include <nlohmann/json.hpp>

// Copies them from schema to made, without pattern. Returns how much work they are at most,
// whatever the instance, together with the names in dependencies. Throws Refusal, which says no
// place.
size_t values_copy(const nlohmann::json &schema, nlohmann::json *made);

// list: what should be a list of different names. what: says so. Throws likewise.
void values_check_names(const nlohmann::json &list, const char *what);

#endif
