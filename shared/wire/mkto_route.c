#include "mkto_route.h"

#include <strings.h>

struct path {
    const char *name;
    enum mkto_call call;
};

/* clang-format off */
static const struct path paths[] = {
    {"v1/identify", MKTO_CALL_IDENTIFY}, {"v1/i",      MKTO_CALL_IDENTIFY},
    {"v1/track",    MKTO_CALL_TRACK},    {"v1/t",      MKTO_CALL_TRACK},
    {"v1/page",     MKTO_CALL_PAGE},     {"v1/p",      MKTO_CALL_PAGE},
    {"v1/screen",   MKTO_CALL_SCREEN},   {"v1/s",      MKTO_CALL_SCREEN},
    {"v1/group",    MKTO_CALL_GROUP},    {"v1/g",      MKTO_CALL_GROUP},
    {"v1/alias",    MKTO_CALL_ALIAS},    {"v1/a",      MKTO_CALL_ALIAS},
    {"v1/batch",    MKTO_CALL_BATCH},    {"v1/b",      MKTO_CALL_BATCH},
    {"v1/import",   MKTO_CALL_BATCH},
};

static const char *const names[MKTO_CALL_COUNT] = {
    [MKTO_CALL_NONE]     = "none",
    [MKTO_CALL_IDENTIFY] = "identify",
    [MKTO_CALL_TRACK]    = "track",
    [MKTO_CALL_PAGE]     = "page",
    [MKTO_CALL_SCREEN]   = "screen",
    [MKTO_CALL_GROUP]    = "group",
    [MKTO_CALL_ALIAS]    = "alias",
    [MKTO_CALL_BATCH]    = "batch",
    [MKTO_CALL_HASH]     = "hash",
    [MKTO_CALL_STATUS]   = "status",
};
/* clang-format on */

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct mkto_slice trim(struct mkto_slice s)
{
    while (s.len > 0 && is_space(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

static bool equals_fold(struct mkto_slice s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.data, word, s.len) == 0;
}

/* Cuts what stands before `separator` off the front of rest. */
static struct mkto_slice cut(struct mkto_slice *rest, char separator)
{
    const char *end = rest->len == 0 ? NULL : memchr(rest->data, separator, rest->len);
    struct mkto_slice head = *rest;
    if (end == NULL) {
        *rest = MKTO_SLICE_NONE;
        return head;
    }
    head.len = (size_t)(end - rest->data);
    rest->len -= head.len + 1;
    rest->data = end + 1;
    return head;
}

static enum mkto_call call_of_path(struct mkto_slice path)
{
    if (path.len > 0 && path.data[0] == '/') {
        path.data++;
        path.len--;
    }
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (mkto_slice_is(path, paths[i].name)) {
            return paths[i].call;
        }
    }
    return MKTO_CALL_NONE;
}

static bool charset_is_taken(struct mkto_slice parameter)
{
    const struct mkto_slice name = trim(cut(&parameter, '='));
    if (!equals_fold(name, "charset")) {
        return true;
    }
    struct mkto_slice value = trim(parameter);
    if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
        value.data++;
        value.len -= 2;
    }
    return equals_fold(value, "utf-8") || equals_fold(value, "utf8");
}

static bool media_type_is_taken(struct mkto_slice content_type)
{
    if (content_type.data == NULL) {
        return true;
    }
    const struct mkto_slice type = trim(cut(&content_type, ';'));
    if (!equals_fold(type, "application/json") && !equals_fold(type, "text/plain")) {
        return false;
    }
    while (content_type.len > 0) {
        if (!charset_is_taken(cut(&content_type, ';'))) {
            return false;
        }
    }
    return true;
}

static bool encoding_is_taken(struct mkto_slice encoding)
{
    const struct mkto_slice name = trim(encoding);
    return name.len == 0 || equals_fold(name, "identity");
}

struct mkto_route_result mkto_route_check(const struct mkto_route_request *request)
{
    struct mkto_route_result result = {.call = call_of_path(request->path),
                                       .answer = MKTO_ANSWER_STORED};
    if (result.call == MKTO_CALL_NONE) {
        result.answer = MKTO_ANSWER_NOT_FOUND;
    } else if (!mkto_slice_is(request->method, "POST")) {
        result.answer = MKTO_ANSWER_BAD_METHOD;
        result.allow = "POST";
    } else if (!media_type_is_taken(request->content_type) ||
               !encoding_is_taken(request->content_encoding)) {
        result.answer = MKTO_ANSWER_BAD_MEDIA_TYPE;
    } else if (request->content_length > request->max_body) {
        result.answer = MKTO_ANSWER_TOO_LARGE;
    }
    return result;
}

const char *mkto_call_name(enum mkto_call call)
{
    const unsigned index = (unsigned)call;
    return index < MKTO_CALL_COUNT ? names[index] : names[MKTO_CALL_NONE];
}

enum mkto_call mkto_call_find(struct mkto_slice name)
{
    for (unsigned i = MKTO_CALL_NONE + 1; i <= MKTO_CALL_BATCH; i++) {
        if (mkto_slice_is(name, names[i])) {
            return (enum mkto_call)i;
        }
    }
    return MKTO_CALL_NONE;
}
