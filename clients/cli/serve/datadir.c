// The data folder: its lock, its secrets, its files.
#define _GNU_SOURCE // setgroups, nftw

#include "clients/cli/serve/datadir.h"

#include "broker/base/buf.h"
#include "broker/base/digest.h"
#include "broker/base/id.h"
#include "clients/cli/serve/say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET_PATH_MAX 107                        // of sockaddr_un, without its NUL
#define SOCKET_LONGEST "/hr-worker-packet-00.sock" // the longest name that goes into run/
#define SOCKET_LINK "run/sockets"                  // where the folder under /tmp is
#define SOCKET_TEMPLATE "/tmp/handoffrail-XXXXXX"
#define SECRET_BYTES 32
#define SECRETS_BYTES_MAX 65536 // of the file of secrets
#define LINE_BYTES 512

static enum rc failed(const char *what, const char *path)
{
    say(LOG_ERROR, "datadir.failed", "handoffrail", "cannot %s %s: %s", what, path,
        strerror(errno));
    return RC_IO;
}

const char *datadir_join(const struct datadir *dir, const char *name)
{
    return arena_printf(dir->memory, "%s/%s", dir->path, name);
}

static enum rc make_parents(struct arena *memory, const char *path)
{
    char *part = arena_copy(memory, path, strlen(path));

    for (char *at = part + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return failed("make the folder", part);
        *at = '/';
    }
    return RC_OK;
}

static bool is_empty(const char *path)
{
    DIR *folder = opendir(path);
    bool empty = true;

    if (folder == NULL)
        return false;
    for (const struct dirent *entry = readdir(folder); entry != NULL && empty;
         entry = readdir(folder))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    (void)closedir(folder);
    return empty;
}

static enum rc lock(struct datadir *dir)
{
    const char *path = datadir_join(dir, "lock");
    char pid[32] = "?";
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 && errno == ENOENT) {
        if (!is_empty(dir->path)) {
            say(LOG_ERROR, "datadir.refused", "handoffrail",
                "%s holds something else; name an empty or a new folder", dir->path);
            return RC_REFUSED;
        }
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    if (fd < 0)
        return failed("open", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t len = pread(fd, pid, sizeof pid - 1, 0);

        if (len > 0)
            pid[strcspn(pid, "\n")] = '\0';
        (void)close(fd);
        say(LOG_ERROR, "datadir.in_use", "handoffrail", "%s is in use by pid %s", dir->path, pid);
        return RC_CONFLICT;
    }
    (void)snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, strlen(pid), 0) < 0) {
        (void)close(fd);
        return failed("write", path);
    }
    dir->lock_fd = fd;
    return RC_OK;
}

// What a run that was killed has left under /tmp.
static void remove_old_sockets(const struct datadir *dir)
{
    const char *link = datadir_join(dir, SOCKET_LINK);
    char target[sizeof SOCKET_TEMPLATE];
    ssize_t len = readlink(link, target, sizeof target - 1);

    if (len != (ssize_t)sizeof target - 1)
        return;
    target[len] = '\0';
    if (strncmp(target, SOCKET_TEMPLATE, sizeof target - 7) == 0 &&
        strchr(target + sizeof target - 7, '/') == NULL)
        datadir_remove(target);
}

// Root's folders are entered by the user that Postgres runs as.
static mode_t folder_mode(void)
{
    return geteuid() == 0 ? 0711 : 0700;
}

enum rc datadir_open_sockets(struct datadir *dir)
{
    char template[] = SOCKET_TEMPLATE;
    const char *run = datadir_join(dir, "run");

    remove_old_sockets(dir);
    datadir_remove(run);
    if (mkdir(run, 0700) != 0 || chmod(run, folder_mode()) != 0)
        return failed("make the folder", run);
    if (strlen(run) + strlen(SOCKET_LONGEST) <= SOCKET_PATH_MAX) {
        dir->sockets = run;
        return RC_OK;
    }
    if (mkdtemp(template) == NULL || chmod(template, folder_mode()) != 0)
        return failed("make a folder like", template);
    dir->sockets = arena_copy(dir->memory, template, strlen(template));
    if (symlink(template, datadir_join(dir, SOCKET_LINK)) != 0)
        return failed("link to", template);
    return RC_OK;
}

enum rc datadir_open(struct datadir *dir, const char *path, struct arena *memory)
{
    char *real;
    const char *folders[] = {"log", "nats"};
    enum rc rc;

    *dir = (struct datadir){.memory = memory, .lock_fd = -1};
    rc = make_parents(memory, path);
    if (rc != RC_OK)
        return rc;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return failed("make the folder", path);
    real = realpath(path, NULL);
    if (real == NULL)
        return failed("find", path);
    dir->path = arena_copy(memory, real, strlen(real));
    free(real);
    rc = lock(dir);
    if (rc != RC_OK)
        return rc;
    if (chmod(dir->path, folder_mode()) != 0)
        return failed("protect", dir->path);
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        rc = datadir_mkdir(datadir_join(dir, folders[i]), geteuid(), getegid());
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

void datadir_close(struct datadir *dir)
{
    if (dir->path == NULL || dir->lock_fd < 0)
        return;
    if (dir->sockets != NULL) {
        datadir_remove(dir->sockets);
        datadir_remove(datadir_join(dir, "run"));
    }
    (void)close(dir->lock_fd);
    *dir = (struct datadir){.lock_fd = -1};
}

const char *datadir_read(const struct datadir *dir, const char *name)
{
    int fd = open(datadir_join(dir, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char line[LINE_BYTES];
    ssize_t len;

    if (fd < 0)
        return NULL;
    len = read(fd, line, sizeof line - 1);
    (void)close(fd);
    if (len < 0)
        return NULL;
    line[len] = '\0';
    return arena_copy(dir->memory, line, strcspn(line, "\n"));
}

bool datadir_has(const struct datadir *dir, const char *name)
{
    return access(datadir_join(dir, name), F_OK) == 0 || errno != ENOENT;
}

enum rc datadir_write_for(const struct datadir *dir, const char *name, const char *text,
                          mode_t mode, uid_t uid, gid_t gid)
{
    const char *path = datadir_join(dir, name);
    const char *fresh = arena_printf(dir->memory, "%s.new", path);
    size_t len = strlen(text);
    int fd;

    // The folder may belong to a user with fewer rights than ours: nothing of theirs is followed.
    if (unlink(fresh) != 0 && errno != ENOENT)
        return failed("remove", fresh);
    fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return failed("make", fresh);
    if (fchmod(fd, mode) != 0 || fchown(fd, uid, gid) != 0 ||
        write(fd, text, len) != (ssize_t)len || fsync(fd) != 0) {
        (void)close(fd);
        return failed("write", fresh);
    }
    (void)close(fd);
    if (rename(fresh, path) != 0)
        return failed("replace", path);
    return RC_OK;
}

enum rc datadir_write(const struct datadir *dir, const char *name, const char *text, mode_t mode)
{
    return datadir_write_for(dir, name, text, mode, geteuid(), getegid());
}

enum rc datadir_mkdir(const char *path, uid_t uid, gid_t gid)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return failed("make the folder", path);
    if (lchown(path, uid, gid) != 0)
        return failed("hand over", path);
    return RC_OK;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    (void)remove(path); // what stays is found by the next one who makes the folder
    return 0;
}

void datadir_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

// Finds the line "name value" in the text of the secrets file; NULL when there is none.
static const char *find_secret(const struct datadir *dir, const char *text, const char *name)
{
    size_t name_len = strlen(name);

    for (const char *line = text; *line != '\0'; line += strspn(line, "\n")) {
        size_t len = strcspn(line, "\n");

        if (len > name_len + 1 && strncmp(line, name, name_len) == 0 && line[name_len] == ' ')
            return arena_copy(dir->memory, line + name_len + 1, len - name_len - 1);
        line += len;
    }
    return NULL;
}

static enum rc read_secrets(const struct datadir *dir, struct buf *text)
{
    const char *path = datadir_join(dir, "secrets");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t len;

    if (fd < 0)
        return errno == ENOENT ? RC_OK : failed("open", path);
    len = read(fd, buf_reserve(text, SECRETS_BYTES_MAX), SECRETS_BYTES_MAX);
    (void)close(fd);
    if (len < 0)
        return failed("read", path);
    text->len += (size_t)len;
    return RC_OK;
}

enum rc datadir_secret(const struct datadir *dir, const char *name, const char **secret)
{
    uint8_t bytes[SECRET_BYTES];
    char fresh[4 * ((SECRET_BYTES + 2) / 3) + 1];
    struct buf text = {0};
    enum rc rc = read_secrets(dir, &text);

    if (rc != RC_OK)
        goto out;
    *secret = find_secret(dir, buf_text(&text), name);
    if (*secret != NULL)
        goto out;
    random_bytes(bytes, sizeof bytes);
    (void)base64url_format(fresh, bytes, sizeof bytes);
    buf_printf(&text, "%s %s\n", name, fresh);
    rc = datadir_write(dir, "secrets", buf_text(&text), 0600);
    if (rc == RC_OK)
        *secret = arena_copy(dir->memory, fresh, strlen(fresh));
out:
    buf_fini(&text);
    return rc;
}

enum rc datadir_keys(const struct datadir *dir, const char *name, const char **path)
{
    const char *full = datadir_join(dir, name);
    uint8_t bytes[SECRET_BYTES];
    char fresh[4 * ((SECRET_BYTES + 2) / 3) + 1];
    enum rc rc = RC_OK;

    // Never replaced: without the old key nothing sealed with it can be checked any more.
    if (access(full, F_OK) != 0 && errno == ENOENT) {
        random_bytes(bytes, sizeof bytes);
        (void)base64url_format(fresh, bytes, sizeof bytes);
        rc = datadir_write(dir, name, arena_printf(dir->memory, "1 %s\n", fresh), 0600);
    }
    if (rc == RC_OK)
        *path = full;
    return rc;
}

// In a process of its own, which becomes the user: the kernel's word counts, not our reading of
// mode bits and access lists. Exits with the number of the first part that may not be entered.
static void try_parts(char *path, uid_t uid, gid_t gid)
{
    int part = 0;

    if (setgroups(1, &gid) != 0 || setgid(gid) != 0 || setuid(uid) != 0)
        _exit(0); // the start of Postgres will tell
    for (char *at = path + 1; part < 254; at++) {
        char was = *at;

        if (was != '/' && was != '\0')
            continue;
        part++;
        *at = '\0';
        if (access(path, X_OK) != 0)
            _exit(part);
        *at = was;
        if (was == '\0')
            break;
    }
    _exit(0);
}

const char *datadir_obstacle(const struct datadir *dir, const char *path, uid_t uid, gid_t gid)
{
    char *copy = arena_copy(dir->memory, path, strlen(path));
    int status = 0;
    int part;
    pid_t pid;

    if (uid == geteuid())
        return NULL;
    pid = fork();
    if (pid == 0)
        try_parts(copy, uid, gid);
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return NULL;
    part = WEXITSTATUS(status);
    if (part == 0)
        return NULL;
    for (char *at = copy + 1; *at != '\0'; at++) {
        if (*at == '/' && --part == 0) {
            *at = '\0';
            break;
        }
    }
    return copy;
}
