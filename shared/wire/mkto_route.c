#include "mkto_route.h"

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
    const struct mkto_slice name = mkto_slice_trim(mkto_slice_cut(&parameter, '='));
    if (!mkto_slice_is_fold(name, "charset")) {
        return true;
    }
    struct mkto_slice value = mkto_slice_trim(parameter);
    if (value.len >= 2 && value.data[0] == '"' && value.data[value.len - 1] == '"') {
        value.data++;
        value.len -= 2;
    }
    return mkto_slice_is_fold(value, "utf-8") || mkto_slice_is_fold(value, "utf8");
}

static bool media_type_is_taken(struct mkto_slice content_type)
{
    if (content_type.data == NULL) {
        return true;
    }
    const struct mkto_slice type = mkto_slice_trim(mkto_slice_cut(&content_type, ';'));
    if (!mkto_slice_is_fold(type, "application/json") && !mkto_slice_is_fold(type, "text/plain")) {
        return false;
    }
    while (content_type.len > 0) {
        if (!charset_is_taken(mkto_slice_cut(&content_type, ';'))) {
            return false;
        }
    }
    return true;
}

static bool encoding_is_taken(struct mkto_slice encoding)
{
    const struct mkto_slice name = mkto_slice_trim(encoding);
    return name.len == 0 || mkto_slice_is_fold(name, "identity");
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
