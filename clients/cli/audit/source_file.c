// Heads and exports out of files.
#include "clients/cli/audit/source.h"

#include "broker/message/json_read.h"
#include "broker/seal/seal_wire.h"
#include "clients/cli/audit/export_read.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (1 << 18)
#define LINE_BYTES_MAX 8192

static enum rc cannot(const char *what, const char *path)
{
    (void)fprintf(stderr, "cannot %s %s: %s\n", what, path, strerror(errno));
    return RC_IO;
}

// --- heads ---------------------------------------------------------------------------------------

static enum rc read_head(struct seal_head *head, struct arena *arena, const char *line, size_t len,
                         const char **error)
{
    struct issues issues = {.arena = arena};
    struct problem problem;
    ProtobufCMessage *message;

    *error = "this is not JSON";
    if (json_read(&message, arena, &hr__audit_head__descriptor, line, len, &issues, &problem) !=
        RC_OK)
        return RC_INVALID;
    *error = "a field has another type than it should";
    if (issues.count > 0)
        return RC_INVALID;
    *error = seal_head_of_wire(head, (const Hr__AuditHead *)message);
    return *error == NULL ? RC_OK : RC_INVALID;
}

static void take_head(struct verify *verify, const struct seal_head *head, const char *path,
                      uint64_t line, uint64_t *forged)
{
    if (verify_head_is_signed(verify, head)) {
        verify_expect(verify, head);
        return;
    }
    (void)fprintf(stderr, "%s:%" PRIu64 ": the head is not signed with any of the keys\n", path,
                  line);
    ++*forged;
}

enum rc source_heads(struct verify *verify, const char *path, const char *tenant, uint64_t *forged)
{
    FILE *file = fopen(path, "re");
    struct arena *arena = arena_create(LINE_BYTES_MAX * 2);
    char line[LINE_BYTES_MAX];
    enum rc rc = RC_OK;

    if (file == NULL)
        rc = cannot("open", path);
    for (uint64_t number = 1; rc == RC_OK && fgets(line, sizeof line, file) != NULL; number++) {
        size_t len = strcspn(line, "\n");
        struct seal_head head;
        const char *error;

        if (len == 0)
            continue;
        rc = read_head(&head, arena, line, len, &error);
        if (rc != RC_OK)
            (void)fprintf(stderr, "%s:%" PRIu64 ": no head: %s\n", path, number, error);
        else if (tenant == NULL || text_is(head.tenant, tenant))
            take_head(verify, &head, path, number, forged);
        arena_reset(arena);
    }
    if (rc == RC_OK && ferror(file) != 0)
        rc = cannot("read", path);
    if (file != NULL)
        (void)fclose(file);
    arena_destroy(arena);
    return rc;
}

// --- exports -------------------------------------------------------------------------------------

struct export_target {
    struct verify *verify;
    struct progress *progress;
};

static void on_row(void *ctx, const struct seal_row *row)
{
    struct export_target *target = ctx;

    verify_row(target->verify, row);
    progress_row(target->progress);
}

static enum rc complain(const struct export_reader *reader, const char *path)
{
    (void)fprintf(stderr, "%s: row %" PRIu64 " cannot be read: %s\n", path,
                  export_reader_line(reader), export_reader_error(reader));
    return RC_INVALID;
}

static enum rc read_all(struct export_reader *reader, int fd, const char *path,
                        struct progress *progress)
{
    char *piece = malloc(PIECE_BYTES);
    ssize_t len = 1;
    enum rc rc = RC_OK;

    if (piece == NULL)
        abort();
    while (rc == RC_OK && len > 0) {
        len = read(fd, piece, PIECE_BYTES);
        if (len < 0 && errno == EINTR) {
            len = 1;
            continue;
        }
        if (len < 0)
            rc = cannot("read", path);
        else if (export_reader_feed(reader, piece, (size_t)len) != RC_OK)
            rc = complain(reader, path);
        progress->done += len > 0 ? (uint64_t)len : 0;
    }
    if (rc == RC_OK && export_reader_finish(reader) != RC_OK)
        rc = complain(reader, path);
    free(piece);
    return rc;
}

enum rc source_export(struct verify *verify, const char *path, struct progress *progress)
{
    struct export_target target = {verify, progress};
    bool is_input = strcmp(path, "-") == 0;
    int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct export_reader *reader;
    struct stat info;
    enum rc rc;

    if (fd < 0)
        return cannot("open", path);
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        progress->total = (uint64_t)info.st_size;
    reader = export_reader_create(on_row, &target);
    rc = read_all(reader, fd, is_input ? "standard input" : path, progress);
    export_reader_destroy(reader);
    if (!is_input)
        (void)close(fd);
    return rc;
}
