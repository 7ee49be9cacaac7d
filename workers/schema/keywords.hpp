// The keywords of JSON Schema that say what is valid.
#ifndef WORKERS_SCHEMA_KEYWORDS_HPP
#define WORKERS_SCHEMA_KEYWORDS_HPP

#include <string>

enum Draft {
    DRAFT_07,
    DRAFT_2020,
};

extern const char *const draft_names[];

struct Keyword {
    const char *name;
    unsigned drafts;     // in which it is honoured: 1 << Draft
    const char *instead; // what to write in the others; NULL: nothing
};

// NULL: an annotation; it says nothing about what is valid.
const Keyword *keyword_find(const std::string &name);

#endif
