// Regular expressions of JSON Schema in the words of RE2.
#ifndef WORKERS_SCHEMA_PATTERN_HPP
#define WORKERS_SCHEMA_PATTERN_HPP

#include <string>

// ECMA-262 as JSON Schema uses it, without what RE2 has no equal for: look-around, references back,
// named groups. False: it is not such an expression, and *why says what of it. What this returns
// may still be refused by RE2 itself.
bool pattern_translate(const std::string &ecma, std::string *re2, std::string *why);

#endif
