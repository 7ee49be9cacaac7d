// What a person types into a search box, as a text search query of Postgres.
#ifndef WORKERS_QUERY_SEARCH_TEXT_H
#define WORKERS_QUERY_SEARCH_TEXT_H

#include "broker/message/text.h"

#define SEARCH_WORDS_MAX 64 // those of phrases too; what comes behind them is not looked for

// Words are all looked for; "in quotes" side by side; a leading - for what must not be there, OR
// between alternatives, a trailing * for any word that begins so. The result is in to_tsquery's
// syntax, with every word quoted, and is valid whatever the text was. Empty: nothing to look for.
Text search_text(struct arena *arena, Text typed);

#define SEARCH_EXCLUDED_MAX 16 // each is looked for in every text that the rest has found

// How many words and phrases have a leading -.
size_t search_excluded(Text typed);

#endif
