// Reads the head of a request: llhttp splits it, and what llhttp leaves to its user is checked
// here.
#include "broker/web/head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define METHOD_MAX 32 // bytes

// --- where it ends -------------------------------------------------------------------------------

static bool is_control(unsigned char c)
{
    return (c < ' ' && c != '\t') || c == 0x7f;
}

enum head_end head_scan(struct head_scan *scan, char *data, size_t len, size_t *used)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];

        if (scan->is_return) {
            if (c != '\n')
                return HEAD_BAD;
            *used = i + 1;
            if (scan->line_len == 0 && scan->has_line)
                return HEAD_ENDS;
            scan->has_line = scan->has_line || scan->line_len > 0; // empty lines may come first
            scan->line_len = 0;
            scan->is_return = false;
            continue;
        }
        scan->is_return = c == '\r';
        if (scan->is_return)
            continue;
        if (c == '\0' && scan->has_line && scan->line_len > 0)
            data[i] = ' ';
        else if (is_control(c) ||
                 (scan->line_len == 0 && scan->has_line && (c == ' ' || c == '\t')))
            return HEAD_BAD;
        scan->line_len++;
    }
    *used = len;
    return HEAD_MORE;
}

// --- llhttp's callbacks --------------------------------------------------------------------------

// What parser->data points to: a head, or the taker of a body.
struct reading {
    struct head *head;
    bool (*take)(void *ctx, const char *data, size_t len);
    void *ctx;
};

static int on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *reading = parser->data;

    reading->head->target = (struct span){at, len};
    return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *reading = parser->data;
    struct head *head = reading->head;

    if (len == 0)
        return HPE_INVALID_HEADER_TOKEN;
    if (head->field_count == WEB_HEADERS_MAX)
        return HPE_USER;
    head->fields[head->field_count++] = (struct head_field){
        {at, len},
        {"", 0  }
    };
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *reading = parser->data;
    struct head *head = reading->head;

    if (head->field_count > 0)
        head->fields[head->field_count - 1].value = (struct span){at, len};
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct reading *reading = parser->data;

    return reading->take(reading->ctx, at, len) ? 0 : HPE_USER;
}

// Behind the last chunk the trailers begin. They are not the parser's: it takes a CR alone for the
// end of a line, so that a request could hide in them from what stands in front of us.
static int on_chunk(llhttp_t *parser)
{
    return parser->content_length == 0 ? HPE_PAUSED : 0;
}

// What follows belongs to the next request.
static int on_end(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_body = on_body,
    .on_chunk_header = on_chunk,
    .on_message_complete = on_end,
};

// --- checks --------------------------------------------------------------------------------------

static bool refuse(struct head_refusal *refusal, unsigned status, const char *text)
{
    *refusal = (struct head_refusal){status, text};
    return false;
}

static bool refuse_parse(struct head_refusal *refusal, llhttp_errno_t error)
{
    switch (error) {
    case HPE_USER:
        return refuse(refusal, 431, "The request has too many headers");
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        return refuse(refusal, 505, "Only HTTP/1.1 and HTTP/1.0 are understood");
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return refuse(refusal, 400, "The header Content-Length cannot be understood");
    case HPE_INVALID_TRANSFER_ENCODING:
        return refuse(refusal, 400, "The header Transfer-Encoding cannot be understood");
    default:
        return refuse(refusal, 400, "The request cannot be understood");
    }
}

// Takes the blanks around the values away and puts a NUL behind every text.
static void finish_texts(struct head *head)
{
    ((char *)(uintptr_t)head->target.at)[head->target.len] = '\0';
    for (size_t i = 0; i < head->field_count; i++) {
        struct span *name = &head->fields[i].name;
        struct span *value = &head->fields[i].value;

        while (value->len > 0 && strchr(" \t", value->at[0]) != NULL)
            *value = (struct span){value->at + 1, value->len - 1};
        while (value->len > 0 && strchr(" \t", value->at[value->len - 1]) != NULL)
            value->len--;
        ((char *)(uintptr_t)name->at)[name->len] = '\0';
        if (value->len > 0) // what stands behind it is a blank or the end of the line
            ((char *)(uintptr_t)value->at)[value->len] = '\0';
        else
            value->at = "";
    }
}

static size_t count(const struct head *head, const char *name)
{
    size_t found = 0;

    for (size_t i = 0; i < head->field_count; i++)
        found += strcasecmp(head->fields[i].name.at, name) == 0 ? 1 : 0;
    return found;
}

static bool read_length(struct head *head, const struct span *value)
{
    uint64_t length = 0;

    if (value->len == 0 || value->len > 18)
        return false;
    for (size_t i = 0; i < value->len; i++) {
        if (value->at[i] < '0' || value->at[i] > '9')
            return false;
        length = length * 10 + (uint64_t)(value->at[i] - '0');
    }
    head->length = length;
    return true;
}

// RFC 9112, 6: there is exactly one way to tell where the body ends.
static bool check_framing(struct head *head, struct head_refusal *refusal)
{
    const struct span *length = head_find(head, "Content-Length");
    const struct span *coding = head_find(head, "Transfer-Encoding");

    if (length != NULL && coding != NULL)
        return refuse(refusal, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (count(head, "Content-Length") > 1)
        return refuse(refusal, 400, "There is more than one Content-Length");
    if (length != NULL && !read_length(head, length))
        return refuse(refusal, 400, "The header Content-Length cannot be understood");
    if (coding == NULL)
        return true;
    if (count(head, "Transfer-Encoding") > 1 || head->minor == 0)
        return refuse(refusal, 400, "The header Transfer-Encoding cannot be understood");
    if (strcasecmp(coding->at, "chunked") != 0)
        return refuse(refusal, 501, "The only Transfer-Encoding that is understood is chunked");
    head->is_chunked = true;
    return true;
}

// RFC 9112, 3.2.
static bool check_host(const struct head *head, struct head_refusal *refusal)
{
    const struct span *host = head_find(head, "Host");

    if (count(head, "Host") > 1)
        return refuse(refusal, 400, "There is more than one Host");
    if (host == NULL && head->minor > 0)
        return refuse(refusal, 400, "The header Host is missing");
    if (host != NULL && strpbrk(host->at, " \t/\\@?#\"<>") != NULL)
        return refuse(refusal, 400, "The header Host cannot be understood");
    return true;
}

static bool check_expectation(struct head *head, struct head_refusal *refusal)
{
    const struct span *expect = head_find(head, "Expect");

    if (expect == NULL || head->minor == 0)
        return true;
    if (strcasecmp(expect->at, "100-continue") != 0)
        return refuse(refusal, 417, "The only expectation that is understood is 100-continue");
    head->expects = true;
    return true;
}

static void read_persistence(struct head *head)
{
    const struct span *connection = head_find(head, "Connection");
    bool says_close = connection != NULL && head_has_word(connection->at, "close");
    bool says_keep = connection != NULL && head_has_word(connection->at, "keep-alive");

    head->closes = says_close || (head->minor == 0 && !says_keep);
}

// RFC 9110, 5.6.2, and the one blank behind it. 0: the line does not begin so.
static size_t token_length(const char *data, size_t len)
{
    size_t count = 0;

    while (count < len && count < METHOD_MAX &&
           (isalnum((unsigned char)data[count]) || strchr("!#$%&'*+-.^_`|~", data[count]) != NULL))
        count++;
    return count + 1 < len && data[count] == ' ' && data[count + 1] != ' ' ? count : 0;
}

// Any token is a method, and the routes know which are served. llhttp knows a list of them, in
// which some have meanings of their own, so it is given one that has none.
static llhttp_errno_t parse(struct head *head, llhttp_t *parser, struct arena *arena, char *data,
                            size_t len)
{
    size_t skipped = strspn(data, "\r\n");
    size_t method = token_length(data + skipped, len - skipped);
    llhttp_errno_t error;

    if (method == 0)
        return HPE_INVALID_METHOD;
    head->method = arena_copy(arena, data + skipped, method);
    error = llhttp_execute(parser, "POST", 4);
    skipped += method;
    return error != HPE_OK ? error : llhttp_execute(parser, data + skipped, len - skipped);
}

bool head_read(struct head *head, struct body_reader *reader, struct arena *arena, char *data,
               size_t len, struct head_refusal *refusal)
{
    struct head_field fields[WEB_HEADERS_MAX];
    struct reading reading = {.head = head};
    llhttp_errno_t error;

    *head = (struct head){
        .method = "", .target = {"", 0},
             .fields = fields
    };
    *reader = (struct body_reader){.trailers = {.has_line = true}};
    llhttp_init(&reader->parser, HTTP_REQUEST, &settings);
    reader->parser.data = &reading;
    error = parse(head, &reader->parser, arena, data, len);
    head->fields = arena_alloc(arena, head->field_count * sizeof *head->fields);
    memcpy(head->fields, fields, head->field_count * sizeof *fields);
    if (error != HPE_OK && error != HPE_PAUSED && error != HPE_PAUSED_UPGRADE) {
        head->field_count = 0;
        head->target = (struct span){"", 0};
        return refuse_parse(refusal, error);
    }
    head->minor = llhttp_get_http_minor(&reader->parser);
    finish_texts(head);
    if (llhttp_get_http_major(&reader->parser) != 1 || head->minor > 1)
        return refuse(refusal, 505, "Only HTTP/1.1 and HTTP/1.0 are understood");
    if (head->target.len > WEB_TARGET_MAX)
        return refuse(refusal, 414, "The request target is too long");
    read_persistence(head);
    return check_framing(head, refusal) && check_host(head, refusal) &&
           check_expectation(head, refusal);
}

static enum body_state read_trailers(struct body_reader *reader, char *data, size_t len,
                                     size_t *used)
{
    enum head_end end = head_scan(&reader->trailers, data, len, used);

    reader->trailer_bytes += *used;
    if (end == HEAD_BAD || reader->trailer_bytes > WEB_HEAD_MAX)
        return BODY_BAD;
    return end == HEAD_ENDS ? BODY_ENDS : BODY_MORE;
}

enum body_state body_read(struct body_reader *reader,
                          bool (*take)(void *ctx, const char *data, size_t len), void *ctx,
                          char *data, size_t len, size_t *used)
{
    struct reading reading = {.take = take, .ctx = ctx};
    llhttp_errno_t error;
    enum body_state state;
    size_t more = 0;

    if (reader->in_trailers)
        return read_trailers(reader, data, len, used);
    reader->parser.data = &reading;
    error = llhttp_execute(&reader->parser, data, len);
    *used = error == HPE_OK ? len : (size_t)(llhttp_get_error_pos(&reader->parser) - data);
    switch (error) {
    case HPE_OK:
        return BODY_MORE;
    case HPE_PAUSED:
        reader->in_trailers = (reader->parser.flags & F_CHUNKED) != 0;
        if (!reader->in_trailers)
            return BODY_ENDS;
        state = read_trailers(reader, data + *used, len - *used, &more);
        *used += more;
        return state;
    case HPE_USER:
        return BODY_FULL;
    default:
        return BODY_BAD;
    }
}

const struct span *head_find(const struct head *head, const char *name)
{
    for (size_t i = 0; i < head->field_count; i++) {
        if (strcasecmp(head->fields[i].name.at, name) == 0)
            return &head->fields[i].value;
    }
    return NULL;
}

bool head_has_word(const char *text, const char *word)
{
    size_t len = strlen(word);

    while (text != NULL && *text != '\0') {
        text += strspn(text, " \t,");
        if (strncasecmp(text, word, len) == 0 && strchr(" \t,", text[len]) != NULL)
            return true;
        text += strcspn(text, ",");
    }
    return false;
}
