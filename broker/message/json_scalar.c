// Coercions: numbers and truth in the spellings that clients send.
#include "broker/message/json_scalar.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool json_parse_bool(const struct token *token, protobuf_c_boolean *value)
{
    static const char *const yes[] = {"1", "true", "t", "yes", "y", "on"};
    static const char *const no[] = {"0", "false", "f", "no", "n", "off"};

    if (token->kind == KIND_BOOL) {
        *value = token->len > 0;
        return true;
    }
    if (token->kind == KIND_NUMBER) {
        double number = strtod(token->text, NULL);
        *value = number > 0.5;
        return number == 0.0 || number == 1.0;
    }
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strlen(yes[i]) == token->len && strncasecmp(yes[i], token->text, token->len) == 0) {
            *value = true;
            return true;
        }
        if (strlen(no[i]) == token->len && strncasecmp(no[i], token->text, token->len) == 0) {
            *value = false;
            return true;
        }
    }
    return false;
}

// Copies the token without the blanks around a string and the underscores within, as Python reads
// numbers. False: it holds what no number does.
static bool copy_digits(char *digits, size_t room, const struct token *token)
{
    const char *allowed = token->kind == KIND_NUMBER ? "0123456789+-.eE" : "0123456789+-.";
    const char *at = token->text;
    const char *end = token->text + token->len;
    char *out = digits;

    while (at < end && *at == ' ')
        at++;
    while (at < end && end[-1] == ' ')
        end--;
    for (; at < end; at++) {
        bool between = at > token->text && isdigit((unsigned char)at[-1]) && at + 1 < end &&
                       isdigit((unsigned char)at[1]);

        if (*at == '_' && between)
            continue;
        if (*at == '\0' || strchr(allowed, *at) == NULL || out == digits + room - 1)
            return false;
        *out++ = *at;
    }
    *out = '\0';
    return out > digits;
}

const char *json_parse_integer(const struct token *token, int64_t *value)
{
    char digits[64];
    char *end;
    double number;

    if (token->kind == KIND_BOOL) {
        *value = token->len > 0;
        return NULL;
    }
    if (token->kind != KIND_NUMBER && token->kind != KIND_STRING)
        return "int_type";
    if (!copy_digits(digits, sizeof digits, token))
        return "int_parsing";
    errno = 0;
    *value = strtoll(digits, &end, 10);
    if (errno == 0 && *end == '\0')
        return NULL;
    // 5.0 and 1e3 are whole numbers too, as far as a double is exact.
    number = strtod(digits, &end);
    if (*end != '\0' || number < -9e15 || number > 9e15)
        return "int_parsing";
    *value = (int64_t)number;
    return (double)*value == number ? NULL : "int_from_float";
}

const char *json_integer_message(const char *type)
{
    if (strcmp(type, "int_parsing") == 0)
        return "Input should be a valid integer, unable to parse string as an integer";
    if (strcmp(type, "int_from_float") == 0)
        return "Input should be a valid integer, got a number with a fractional part";
    return "Input should be a valid integer";
}
