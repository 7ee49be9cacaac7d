// Validation items.
#include "broker/message/issues.h"

#include "broker/message/json_text.h"
#include "broker/message/json_writer.h"

#include <assert.h>
#include <inttypes.h>

// A larger offending value is not repeated in the answer: the client has it.
#define INPUT_BYTES_MAX 512

// Items that are told in one line for people.
#define LINES_MAX 5

void path_push_name(struct path *path, Text name)
{
    assert(path->depth < PATH_DEPTH);
    path->steps[path->depth++] = (struct step){.name = name};
}

void path_push_index(struct path *path, size_t index)
{
    assert(path->depth < PATH_DEPTH);
    path->steps[path->depth++] = (struct step){.index = index};
}

void path_pop(struct path *path)
{
    assert(path->depth > 0);
    path->depth--;
}

static Text path_json(struct arena *arena, const struct path *path)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);
    Text text;

    json_array_open(writer);
    for (size_t i = 0; i < path->depth; i++) {
        if (path->steps[i].name.data != NULL)
            json_text(writer, path->steps[i].name);
        else
            json_integer(writer, (long long)path->steps[i].index);
    }
    json_array_close(writer);
    text = json_writer_finish(writer, arena);
    return text;
}

struct issue *issues_add(struct issues *issues, const struct path *path, const char *type,
                         const char *message)
{
    struct issue *issue = &issues->spare;

    if (issues->count < ISSUES_MAX) {
        issue = arena_alloc(issues->arena, sizeof *issue);
        issues->items[issues->count++] = issue;
        *issue = (struct issue){.path = path_json(issues->arena, path)};
    }
    issue->type = type;
    issue->message = message;
    return issue;
}

void issues_add_count(struct issues *issues, const struct path *path, bool few, int64_t bound,
                      size_t count)
{
    struct issue *issue = issues_add(
        issues, path, few ? "too_short" : "too_long",
        arena_printf(issues->arena,
                     "List should have at %s %" PRId64 " item%s after validation, not %zu",
                     few ? "least" : "most", bound, bound == 1 ? "" : "s", count));

    issue->ctx = text_of(arena_printf(
        issues->arena, "{\"field_type\":\"List\",\"%s_length\":%" PRId64 ",\"actual_length\":%zu}",
        few ? "min" : "max", bound, count));
}

Text issues_reason(struct arena *arena, const char *reason)
{
    return text_of(arena_printf(arena, "{\"error\":\"%s\"}", reason));
}

// Half of a surrogate pair: a reader of the refusal would stumble over it as we do.
static bool has_half(Text input)
{
    return json_find_half_pair((const char *)input.data, input.len) < input.len;
}

static void put_issue(struct json_writer *writer, const struct issue *issue)
{
    json_object_open(writer);
    json_key(writer, "type");
    json_string(writer, issue->type);
    json_key(writer, "loc");
    json_raw(writer, issue->path.data, issue->path.len);
    json_key(writer, "msg");
    json_string(writer, issue->message);
    if (issue->input.len > 0 && issue->input.len <= INPUT_BYTES_MAX && !has_half(issue->input)) {
        json_key(writer, "input");
        json_raw(writer, issue->input.data, issue->input.len);
    }
    if (issue->ctx.len > 0) {
        json_key(writer, "ctx");
        json_raw(writer, issue->ctx.data, issue->ctx.len);
    }
    json_object_close(writer);
}

// "[\"body\",\"metadata\"]: Field required; ..."
static const char *lines_of(const struct issues *issues)
{
    const char *text = "";

    for (size_t i = 0; i < issues->count && i < LINES_MAX; i++)
        text = arena_printf(issues->arena, "%s%s%.*s: %s", text, i > 0 ? "; " : "",
                            TEXT_ARGS(issues->items[i]->path), issues->items[i]->message);
    return text;
}

enum rc issues_to_problem(const struct issues *issues, struct problem *problem)
{
    struct buf out = {0};
    struct json_writer *writer = json_writer_create(&out);

    assert(issues->count > 0);
    json_array_open(writer);
    for (size_t i = 0; i < issues->count; i++)
        put_issue(writer, issues->items[i]);
    json_array_close(writer);
    Text detail = json_writer_finish(writer, issues->arena);
    (void)problem_set_json(problem, PROBLEM_VALIDATION, detail);
    problem->text = lines_of(issues);
    return RC_REFUSED;
}
