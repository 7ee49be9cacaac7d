// UTF-8 as the Unicode standard has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef BROKER_BASE_UTF8_H
#define BROKER_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_is_valid(const void *data, size_t len);

#endif
