#include "mkto_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mkto_config_arena.h"
#include "mkto_config_check.h"
#include "mkto_config_draft.h"

/* A config and the memory that it lies in. */
struct owner {
    struct mkto_config config; /* first: mkto_config_free finds the owner by it */
    struct mkto_config_arena arena;
};

/* FNV-1a, 64 bit. */
static uint64_t digest(const char *data, size_t len)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    }
    return hash == 0 ? 1 : hash;
}

static const char *open_words(int error)
{
    switch (error) {
    case ENOENT: return "there is no such file";
    case EACCES: return "permission denied";
    case ENOTDIR: return "a part of the path is not a directory";
    case ELOOP: return "too many symbolic links";
    default: return "cannot be read";
    }
}

/* Reads until size bytes or the end; -1 with errno. */
static ssize_t read_whole(int fd, char *out, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t got = read(fd, out + len, size - len);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (got == 0) {
            break;
        }
        len += (size_t)got;
    }
    return (ssize_t)len;
}

/* The file's bytes, in the arena while the config is read. */
static const char *read_text(int fd, struct mkto_config_arena *arena, struct mkto_slice *text)
{
    struct stat st;
    char *data;
    ssize_t len;

    if (fstat(fd, &st) != 0) {
        return open_words(errno);
    }
    if (!S_ISREG(st.st_mode)) {
        return "not a regular file";
    }
    data = mkto_config_arena_get(arena, MKTO_CONFIG_SIZE_MAX + 1);
    if (data == NULL) {
        return "out of memory";
    }
    len = read_whole(fd, data, MKTO_CONFIG_SIZE_MAX + 1);
    if (len < 0) {
        return open_words(errno);
    }
    if (len > (ssize_t)MKTO_CONFIG_SIZE_MAX) {
        return "larger than 1 MB";
    }
    *text = (struct mkto_slice){data, (size_t)len};
    return NULL;
}

static const char *load(const char *file, struct mkto_config_arena *arena, struct mkto_slice *text)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const char *reason;

    if (fd < 0) {
        return open_words(errno);
    }
    reason = read_text(fd, arena, text);
    close(fd);
    return reason;
}

static const char *set_file(struct owner *owner, const char *file)
{
    char *path = realpath(file, NULL);

    if (path == NULL) {
        return open_words(errno);
    }
    owner->config.file = mkto_config_arena_text(&owner->arena, path, strlen(path));
    free(path);
    return owner->config.file == NULL ? "out of memory" : NULL;
}

/* Reads text into owner->config. Returns 0, or -1 with the mistakes told. */
static int fill(struct owner *owner, const char *file, struct mkto_slice text,
                const struct mkto_config_options *options, struct mkto_error *err, FILE *all)
{
    struct mkto_config_draft draft = {.config = &owner->config, .arena = &owner->arena};

    draft.report.arena = &owner->arena;
    if (mkto_config_draft_read(&draft, text) == 0) {
        mkto_config_check(&draft, options);
    }
    if (owner->arena.exhausted) {
        draft.report.first = NULL;
        mkto_config_report_add(&draft.report, 0, NULL, "out of memory");
        return mkto_error_set(err, "%s: out of memory", file);
    }
    if (draft.report.count > 0) {
        mkto_config_report_tell(&draft.report, file, err, all);
        return -1;
    }
    owner->config.digest = digest(text.data, text.len);
    return 0;
}

const struct mkto_config *mkto_config_read(const char *file,
                                           const struct mkto_config_options *options,
                                           struct mkto_error *err, FILE *all)
{
    const struct mkto_config_options own = {.reader = geteuid()};
    struct mkto_config_arena scratch = {NULL, false};
    struct mkto_slice text = MKTO_SLICE_NONE;
    struct owner *owner = calloc(1, sizeof(*owner));
    const char *reason = owner == NULL ? "out of memory" : set_file(owner, file);
    int rc = -1;

    if (reason == NULL) {
        reason = load(file, &scratch, &text);
    }
    if (reason == NULL) {
        rc = fill(owner, file, text, options == NULL ? &own : options, err, all);
    } else {
        mkto_error_set(err, "%s: %s", file, reason);
        if (all != NULL) {
            fprintf(all, "%s: %s\n", file, reason);
        }
    }
    mkto_config_arena_free(&scratch);
    if (rc == 0) {
        return &owner->config;
    }
    mkto_config_free(owner == NULL ? NULL : &owner->config);
    return NULL;
}

void mkto_config_free(const struct mkto_config *config)
{
    struct owner *owner = (struct owner *)(uintptr_t)config;

    if (owner != NULL) {
        mkto_config_arena_free(&owner->arena);
        free(owner);
    }
}

const struct mkto_subscription *mkto_config_subscription(const struct mkto_config *config,
                                                         struct mkto_slice name)
{
    for (size_t i = 0; i < config->subscription_count; i++) {
        if (mkto_slice_is(name, config->subscriptions[i].name)) {
            return &config->subscriptions[i];
        }
    }
    return name.len == 0 && config->subscription_count == 1 ? &config->subscriptions[0] : NULL;
}

/* In a time that depends on the lengths alone. */
static bool is_same_key(struct mkto_slice key, const char *text)
{
    size_t len = strlen(text);
    size_t diff = key.len ^ len;

    for (size_t i = 0; i < key.len; i++) {
        diff |= (size_t)(unsigned char)key.data[i] ^ (size_t)(unsigned char)text[i < len ? i : len];
    }
    return diff == 0;
}

const struct mkto_config_source *mkto_config_source(const struct mkto_config *config,
                                                    struct mkto_slice key)
{
    const struct mkto_config_source *found = NULL;

    for (size_t i = 0; i < config->source_count; i++) {
        if (is_same_key(key, config->sources[i].key)) {
            found = &config->sources[i];
        }
    }
    return found;
}

const struct mkto_config_field *mkto_config_field(const struct mkto_subscription *subscription,
                                                  struct mkto_slice trait)
{
    for (size_t i = subscription->field_count; i > 0; i--) {
        if (mkto_slice_is(trait, subscription->fields[i - 1].trait)) {
            return &subscription->fields[i - 1];
        }
    }
    return NULL;
}
