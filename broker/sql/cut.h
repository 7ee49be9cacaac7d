// How a text is cut into the words that search knows: the same for what is stored and for what is
// typed, so that one is found by the other. Pure.
#ifndef BROKER_SQL_CUT_H
#define BROKER_SQL_CUT_H

#include "broker/base/buf.h"
#include "broker/message/text.h"

#include <stdbool.h>

// Appends the words of text, with blanks between and behind them.
//
// ASCII letters and digits make words; every other ASCII character becomes a blank, and so does
// punctuation beyond ASCII. A change between Latin and another script ends a word. Scripts that are
// written without blanks, and Korean, become pairs of neighbouring characters, and the last
// character of such a stretch a word of its own: "abc" becomes "ab bc c". An emoji becomes "emoji"
// and its number in hexadecimal. Full-width letters and digits become those of ASCII.
void cut_stored(struct buf *out, Text text);

// The same, for what is looked for: such a stretch at the end may go on in the text that is looked
// for, so its last character is left out, unless it is alone. Then *is_beginning becomes true: it
// is the beginning of a word.
void cut_typed(struct buf *out, Text text, bool *is_beginning);

#endif
