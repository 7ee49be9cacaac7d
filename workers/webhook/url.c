// Checks and normalises webhooks' URLs, with libcurl's parser: what it understands here is what it
// dials later.
#include "workers/webhook/url.h"

#include <curl/curl.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define URL_BYTES_MAX 2048

static const char *reason_of(CURLUcode code)
{
    switch (code) {
    case CURLUE_BAD_PORT_NUMBER:
        return "URL has a port that is not a number from 1 to 65535";
    case CURLUE_NO_HOST:
        return "Webhook URL blocked: it has no host";
    case CURLUE_BAD_HOSTNAME:
    case CURLUE_BAD_IPV6:
        return "Webhook URL blocked: its host is neither a name nor an address";
    case CURLUE_BAD_LOGIN:
    case CURLUE_BAD_USER:
    case CURLUE_BAD_PASSWORD:
    case CURLUE_USER_NOT_ALLOWED:
        return "URL must not hold credentials";
    case CURLUE_OUT_OF_MEMORY:
        abort();
    default:
        return "URL is malformed";
    }
}

// What can be said without parsing.
static const char *check_text(const char *url)
{
    const char *host = strstr(url, "://");

    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return "URL must start with http:// or https://";
    if (strlen(url) > URL_BYTES_MAX)
        return "URL is too long";
    for (const char *at = url; *at != '\0'; at++) {
        if ((unsigned char)*at <= ' ' || *at == 0x7f)
            return "URL holds a blank or a control character";
    }
    // libcurl would take a name out of the path.
    return strchr("/?#", host[3]) != NULL ? "Webhook URL blocked: it has no host" : NULL;
}

static const char *check_parts(CURLU *parts, const char *url, char **host)
{
    CURLUcode code = curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    char *port = NULL;
    bool is_zero;

    if (code == CURLUE_OK)
        code = curl_url_get(parts, CURLUPART_HOST, host, 0);
    if (code == CURLUE_OK && (*host)[0] == '\0')
        code = CURLUE_NO_HOST;
    if (code != CURLUE_OK)
        return reason_of(code);
    is_zero = curl_url_get(parts, CURLUPART_PORT, &port, 0) == CURLUE_OK &&
              strspn(port, "0") == strlen(port);
    curl_free(port);
    return is_zero ? reason_of(CURLUE_BAD_PORT_NUMBER) : NULL;
}

const char *url_check(const char *url, char **host)
{
    const char *problem = check_text(url);
    char *found = NULL;
    CURLU *parts;

    if (problem != NULL)
        return problem;
    parts = curl_url();
    if (parts == NULL)
        abort();
    problem = check_parts(parts, url, &found);
    curl_url_cleanup(parts);
    if (problem != NULL) {
        curl_free(found);
        return problem;
    }
    if (found[0] == '[' && strlen(found) > 2) { // an IPv6 address
        size_t len = strlen(found);

        memmove(found, found + 1, len - 2);
        found[len - 2] = '\0';
    }
    *host = found;
    return NULL;
}

void url_host_free(char *host)
{
    curl_free(host);
}

static bool is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] >= 0x80)
            return false;
    }
    return true;
}

// The bytes of text beyond ASCII percent-encoded.
static const char *encoded(struct arena *arena, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(arena, 3 * strlen(text) + 1);
    char *end = out;

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x80) {
            *end++ = *text;
            continue;
        }
        *end++ = '%';
        *end++ = digits[c >> 4];
        *end++ = digits[c & 15];
    }
    *end = '\0';
    return out;
}

// libcurl takes the characters of a name as those of the locale.
static CURLUcode get_in_ascii(CURLU *parts, char **whole)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before;
    CURLUcode code;

    if (utf8 == (locale_t)0)
        return CURLUE_BAD_HOSTNAME;
    before = uselocale(utf8);
    code = curl_url_get(parts, CURLUPART_URL, whole, CURLU_PUNYCODE);
    (void)uselocale(before);
    freelocale(utf8);
    return code;
}

static const char *with_ascii_host(struct arena *arena, const char *url, const char **normal)
{
    CURLU *parts = curl_url();
    char *whole = NULL;
    CURLUcode code;

    if (parts == NULL)
        abort();
    code = curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER);
    if (code == CURLUE_OK) {
        code = get_in_ascii(parts, &whole);
        if (code == CURLUE_OK && is_ascii(whole, strlen(whole)))
            *normal = arena_copy(arena, whole, strlen(whole));
        else
            code = CURLUE_BAD_HOSTNAME; // libcurl has several codes for what is no such name
    }
    curl_free(whole);
    curl_url_cleanup(parts);
    return code == CURLUE_OK ? NULL : reason_of(code);
}

const char *url_normalize(struct arena *arena, const char *url, const char **normal)
{
    const char *problem = check_text(url);
    const char *made = url;
    char *host = NULL;
    size_t authority; // where it ends

    if (problem == NULL && !is_ascii(url, strlen(url))) {
        authority = (size_t)(strstr(url, "://") - url) + 3;
        authority += strcspn(url + authority, "/?#");
        made = arena_printf(arena, "%.*s%s", (int)authority, url, encoded(arena, url + authority));
        if (!is_ascii(url, authority))
            problem = with_ascii_host(arena, made, &made);
    }
    if (problem == NULL)
        problem = url_check(made, &host);
    if (problem == NULL) {
        url_host_free(host);
        *normal = made;
    }
    return problem;
}
