// Finds query parameters that mean nothing to a route.
#include "gateway/parameters.h"

#include "broker/base/buf.h"

#include <string.h>

#define NAME_MAX_BYTES 64
#define DISTANCE_MAX 2
#define LISTED_MAX 1024 // bytes of the header that names what is ignored

static bool is_known(const struct route *route, const char *name, size_t len)
{
    const ProtobufCMessageDescriptor *query = route_query(route);

    return query != NULL && strlen(name) == len && !route_has_in_path(route, name) &&
           protobuf_c_message_descriptor_get_field_by_name(query, name) != NULL;
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t smaller = a < b ? a : b;

    return smaller < c ? smaller : c;
}

// Levenshtein's distance of two names of at most NAME_MAX_BYTES.
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t row[NAME_MAX_BYTES + 1];

    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t above = row[j];

            row[j] = least(row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1] ? 1 : 0));
            diagonal = above;
        }
    }
    return row[b_len];
}

// The known name that was probably meant. NULL: none is near. Something of a short name must be
// left: nothing is near to "q".
static const char *meant(const struct route *route, const char *name, size_t len)
{
    const ProtobufCMessageDescriptor *query = route_query(route);
    size_t stem = len > 2 && strcmp(name + len - 2, "[]") == 0 ? len - 2 : len;

    for (unsigned i = 0; query != NULL && i < query->n_fields && len <= NAME_MAX_BYTES; i++) {
        const char *known = query->fields[i].name;
        size_t known_len = strlen(known);

        if (known_len <= NAME_MAX_BYTES && distance(name, stem, known, known_len) <= DISTANCE_MAX &&
            (stem < len || distance(name, stem, known, known_len) < known_len))
            return known;
    }
    return NULL;
}

static void complain(struct issues *issues, const struct web_parameter *parameter,
                     const char *known)
{
    struct path path = {0};
    Text name = {parameter->name_len, (uint8_t *)(uintptr_t)parameter->name};

    path_push_name(&path, text_of("query"));
    path_push_name(&path, name);
    (void)issues_add(
        issues, &path, "unknown_parameter",
        arena_printf(issues->arena, "There is no such parameter; did you mean %s?", known));
}

// Only names that fit into a header as they are.
static bool is_printable(const struct web_parameter *parameter)
{
    for (size_t i = 0; i < parameter->name_len; i++) {
        if (parameter->name[i] <= ' ' || parameter->name[i] > '~' || parameter->name[i] == ',')
            return false;
    }
    return parameter->name_len > 0;
}

void parameters_check(struct exchange *exchange, struct issues *issues)
{
    size_t count;
    const struct web_parameter *parameters = web_parameters(exchange->request, &count);
    struct buf ignored = {0};

    for (size_t i = 0; i < count; i++) {
        const struct web_parameter *it = &parameters[i];
        const char *known;

        if (is_known(exchange->route, it->name, it->name_len))
            continue;
        known = meant(exchange->route, it->name, it->name_len);
        if (known != NULL)
            complain(issues, it, known);
        else if (is_printable(it) && ignored.len + it->name_len < LISTED_MAX)
            buf_printf(&ignored, "%s%s", ignored.len > 0 ? ", " : "", it->name);
    }
    if (ignored.len > 0)
        exchange->ignored_parameters = arena_copy(exchange->arena, ignored.data, ignored.len);
    buf_fini(&ignored);
}
