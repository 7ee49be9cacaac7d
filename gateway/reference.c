// The reference of the API as a page.
#include "gateway/reference.h"

#include "gateway/http.h"

#include <string.h>

extern const unsigned char reference_html[]; // reference.html

void reference_get(struct exchange *exchange)
{
    static const struct header headers[] = {
        {"Content-Security-Policy",
         "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
         "connect-src 'self'; frame-ancestors 'none'"},
        {"X-Content-Type-Options",  "nosniff"        },
    };

    http_respond(exchange, 200, "text/html; charset=utf-8", headers, 2, reference_html,
                 strlen((const char *)reference_html));
}
