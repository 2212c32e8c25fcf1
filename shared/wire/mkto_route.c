#include "mkto_route.h"

#define METHODS_POST "OPTIONS, POST"
#define METHODS_GET "GET, HEAD, OPTIONS"
#define METHODS_HASH "POST" /* no preflight: a page of another site has no business there */

#define SETTINGS_HEAD "v1/projects/"
#define SETTINGS_TAIL "/settings"

struct path {
    struct mkto_slice name;
    enum mkto_endpoint endpoint;
    enum mkto_call call;
};

/* clang-format off */
#define PATH(name, endpoint, call) {{name, sizeof(name) - 1}, MKTO_ENDPOINT_##endpoint, MKTO_CALL_##call}

static const struct path paths[] = {
    PATH("v1/identify",       CALL,    IDENTIFY), PATH("v1/i", CALL, IDENTIFY),
    PATH("v1/track",          CALL,    TRACK),    PATH("v1/t", CALL, TRACK),
    PATH("v1/page",           CALL,    PAGE),     PATH("v1/p", CALL, PAGE),
    PATH("v1/screen",         CALL,    SCREEN),   PATH("v1/s", CALL, SCREEN),
    PATH("v1/group",          CALL,    GROUP),    PATH("v1/g", CALL, GROUP),
    PATH("v1/alias",          CALL,    ALIAS),    PATH("v1/a", CALL, ALIAS),
    PATH("v1/batch",          CALL,    BATCH),    PATH("v1/b", CALL, BATCH),
    PATH("v1/import",         CALL,    BATCH),
    PATH("v1/pixel/identify", PIXEL,   IDENTIFY),
    PATH("v1/pixel/track",    PIXEL,   TRACK),
    PATH("v1/pixel/page",     PIXEL,   PAGE),
    PATH("v1/m",              METRICS, NONE),
    PATH("hash",              HASH,    HASH),
    PATH("marketo.js",        SCRIPT,  NONE),
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

static bool is_key(struct mkto_slice key)
{
    for (size_t i = 0; i < key.len; i++) {
        const char c = key.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '-' || c == '_')) {
            return false;
        }
    }
    return key.len > 0 && key.len <= MKTO_ROUTE_KEY_MAX;
}

/* v1/projects/{key}/settings */
static void take_settings(struct mkto_slice path, struct mkto_route_result *result)
{
    const size_t head = sizeof(SETTINGS_HEAD) - 1, tail = sizeof(SETTINGS_TAIL) - 1;
    if (path.len <= head + tail || memcmp(path.data, SETTINGS_HEAD, head) != 0 ||
        memcmp(path.data + path.len - tail, SETTINGS_TAIL, tail) != 0) {
        return;
    }
    const struct mkto_slice key = {path.data + head, path.len - head - tail};
    if (is_key(key)) {
        result->endpoint = MKTO_ENDPOINT_SETTINGS;
        result->key = key;
    }
}

static void take_path(struct mkto_slice path, struct mkto_route_result *result)
{
    if (path.len > 0 && path.data[0] == '/') {
        path.data++;
        path.len--;
    }
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (mkto_slice_eq(path, paths[i].name)) {
            result->endpoint = paths[i].endpoint;
            result->call = paths[i].call;
            return;
        }
    }
    take_settings(path, result);
}

/* NULL for no such path. */
static const char *methods_of(enum mkto_endpoint endpoint)
{
    switch (endpoint) {
    case MKTO_ENDPOINT_CALL:
    case MKTO_ENDPOINT_METRICS: return METHODS_POST;
    case MKTO_ENDPOINT_HASH: return METHODS_HASH;
    case MKTO_ENDPOINT_PIXEL:
    case MKTO_ENDPOINT_SETTINGS:
    case MKTO_ENDPOINT_SCRIPT: return METHODS_GET;
    case MKTO_ENDPOINT_NONE:
    case MKTO_ENDPOINT_PREFLIGHT: break;
    }
    return NULL;
}

/* Whether `methods` names the method. */
static bool takes(const char *methods, struct mkto_slice method)
{
    struct mkto_slice rest = mkto_slice_str(methods);
    while (rest.len > 0) {
        if (mkto_slice_eq(mkto_slice_trim(mkto_slice_cut(&rest, ',')), method)) {
            return true;
        }
    }
    return false;
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

/* Two headers, as httpd joins them; a comma in quotes is a parameter's own. */
static bool is_several(struct mkto_slice content_type)
{
    bool quoted = false;
    for (size_t i = 0; i < content_type.len; i++) {
        const char c = content_type.data[i];
        if (c == ',' && !quoted) {
            return true;
        }
        quoted = quoted != (c == '"');
    }
    return false;
}

static bool media_type_is_taken(struct mkto_slice content_type)
{
    if (content_type.data == NULL) {
        return true;
    }
    if (is_several(content_type)) {
        return false;
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

/* As SDKs of apps send their batches. Two encodings, one upon the other, nobody sends. */
static bool is_gzip(struct mkto_slice encoding)
{
    return mkto_slice_is_fold(encoding, "gzip") || mkto_slice_is_fold(encoding, "x-gzip");
}

/* Before its body is read. */
static enum mkto_answer check_post(const struct mkto_route_request *request, bool *gzip)
{
    const struct mkto_slice encoding = mkto_slice_trim(request->content_encoding);
    *gzip = is_gzip(encoding);
    const bool plain = encoding.len == 0 || mkto_slice_is_fold(encoding, "identity");
    if (!media_type_is_taken(request->content_type) || !(plain || *gzip)) {
        return MKTO_ANSWER_BAD_MEDIA_TYPE;
    }
    return request->content_length > request->max_body ? MKTO_ANSWER_TOO_LARGE : MKTO_ANSWER_STORED;
}

struct mkto_route_result mkto_route_check(const struct mkto_route_request *request)
{
    struct mkto_route_result result = {.answer = MKTO_ANSWER_STORED};
    take_path(request->path, &result);
    const char *methods = methods_of(result.endpoint);
    if (methods == NULL) {
        result.answer = MKTO_ANSWER_NOT_FOUND;
    } else if (!takes(methods, request->method)) {
        result.answer = MKTO_ANSWER_BAD_METHOD;
        result.allow = methods;
    } else if (mkto_slice_is(request->method, "OPTIONS")) {
        result.endpoint = MKTO_ENDPOINT_PREFLIGHT;
        result.call = MKTO_CALL_NONE;
        result.key = MKTO_SLICE_NONE;
        result.allow = methods;
    } else if (mkto_slice_is(request->method, "POST")) {
        result.answer = check_post(request, &result.gzip);
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
