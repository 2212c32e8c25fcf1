#include "mkto_pixel.h"

#include <apr_base64.h>
#include <apr_strings.h>

#include "mkto_json.h"
#include "mkto_utf8.h"

#define SHOWN_MAX 40 /* bytes of a name that a reason repeats */
#define SWITCHES "integrations."

struct parameter {
    struct mkto_slice name; /* decoded */
    struct mkto_slice value;
};

/* ---- the query as parameters ---- */

static int digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode(struct mkto_slice text, struct mkto_slice *decoded, struct mkto_error *err,
                  apr_pool_t *pool)
{
    char *out = apr_palloc(pool, text.len + 1);
    size_t used = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%') {
            out[used++] = text.data[i] == '+' ? ' ' : text.data[i];
            continue;
        }
        const int high = i + 2 < text.len ? digit(text.data[i + 1]) : -1;
        const int low = i + 2 < text.len ? digit(text.data[i + 2]) : -1;
        if (high < 0 || low < 0) {
            return mkto_error_set(err, "the query has a '%%' without two hexadecimal digits");
        }
        out[used++] = (char)(high * 16 + low);
        i += 2;
    }
    out[used] = '\0';
    *decoded = (struct mkto_slice){out, used};
    if (mkto_utf8_valid(*decoded) != used) {
        return mkto_error_set(err, "the query is not UTF-8");
    }
    return 0;
}

/* Those without a name say nothing: they are left out. */
static int read_parameters(struct mkto_slice query, struct parameter *list, size_t *count,
                           struct mkto_error *err, apr_pool_t *pool)
{
    const char *end = query.data + query.len;
    for (const char *at = query.data; at < end;) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        const char *stop = amp != NULL ? amp : end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        const char *name_end = equals != NULL ? equals : stop;
        const struct mkto_slice name = {at, (size_t)(name_end - at)};
        const char *from = equals != NULL ? equals + 1 : stop;
        const struct mkto_slice value = {from, (size_t)(stop - from)};
        at = amp != NULL ? amp + 1 : end;
        if (name.len == 0) {
            continue;
        }
        if (*count == MKTO_PIXEL_PARAMETERS_MAX) {
            return mkto_error_set(err, "the query has more than %d parameters",
                                  MKTO_PIXEL_PARAMETERS_MAX);
        }
        struct parameter *added = &list[(*count)++];
        if (decode(name, &added->name, err, pool) != 0 ||
            decode(value, &added->value, err, pool) != 0) {
            return -1;
        }
    }
    return 0;
}

static const struct parameter *find(const struct parameter *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (mkto_slice_is(list[i].name, name)) {
            return &list[i];
        }
    }
    return NULL;
}

/* ---- names with dots as a tree ---- */

static struct mkto_json *member_of(struct mkto_json *object, struct mkto_slice key)
{
    struct mkto_json *node = object->first;
    while (node != NULL && !mkto_slice_eq(node->key, key)) {
        node = node->next;
    }
    return node;
}

/* Behind the others: the order of the query is kept. */
static struct mkto_json *add(struct mkto_json *object, struct mkto_slice key,
                             enum mkto_json_type type, apr_pool_t *pool)
{
    struct mkto_json **tail = &object->first;
    while (*tail != NULL) {
        tail = &(*tail)->next;
    }
    *tail = apr_pcalloc(pool, sizeof(**tail));
    (*tail)->type = type;
    (*tail)->key = (struct mkto_slice){apr_pstrmemdup(pool, key.data, key.len), key.len};
    object->count++;
    return *tail;
}

/* The name comes decoded: control characters would break a line of a log, half a character JSON. */
static int bad_name(struct mkto_slice name, const char *what, struct mkto_error *err)
{
    char shown[SHOWN_MAX + 1];
    const size_t most = name.len < SHOWN_MAX ? name.len : SHOWN_MAX;
    const size_t len = mkto_utf8_valid((struct mkto_slice){name.data, most});
    for (size_t i = 0; i < len; i++) {
        const unsigned char c = (unsigned char)name.data[i];
        shown[i] = c < 0x20 || c == 0x7f ? '?' : name.data[i];
    }
    shown[len] = '\0';
    return mkto_error_set(err, "%s: %s", shown, what);
}

/* The object that the name's last part belongs to, made where it is not there yet. */
static struct mkto_json *descend(struct mkto_json *root, struct mkto_slice name,
                                 struct mkto_slice *last, struct mkto_error *err, apr_pool_t *pool)
{
    struct mkto_json *object = root;
    struct mkto_slice rest = name;
    const char *dot;
    for (unsigned depth = 1; (dot = memchr(rest.data, '.', rest.len)) != NULL; depth++) {
        const struct mkto_slice key = {rest.data, (size_t)(dot - rest.data)};
        if (depth == MKTO_JSON_DEPTH_MAX) {
            bad_name(name, "has too many parts", err);
            return NULL;
        }
        struct mkto_json *below = member_of(object, key);
        if (key.len == 0 || (below != NULL && below->type != MKTO_JSON_OBJECT)) {
            bad_name(name, key.len == 0 ? "has an empty part" : "is below a value", err);
            return NULL;
        }
        object = below != NULL ? below : add(object, key, MKTO_JSON_OBJECT, pool);
        rest = (struct mkto_slice){dot + 1, rest.len - key.len - 1};
    }
    *last = rest;
    return object;
}

static enum mkto_json_type type_of(const struct parameter *parameter)
{
    const size_t len = strlen(SWITCHES);
    if (parameter->name.len > len && memcmp(parameter->name.data, SWITCHES, len) == 0) {
        if (mkto_slice_is(parameter->value, "true")) {
            return MKTO_JSON_TRUE;
        }
        if (mkto_slice_is(parameter->value, "false")) {
            return MKTO_JSON_FALSE;
        }
    }
    return MKTO_JSON_STRING;
}

static int put(struct mkto_json *root, const struct parameter *parameter, struct mkto_error *err,
               apr_pool_t *pool)
{
    struct mkto_slice last;
    struct mkto_json *object = descend(root, parameter->name, &last, err, pool);
    if (object == NULL) {
        return -1;
    }
    if (last.len == 0) {
        return bad_name(parameter->name, "has an empty part", err);
    }
    if (member_of(object, last) != NULL) {
        return bad_name(parameter->name, "stands there twice", err);
    }
    add(object, last, type_of(parameter), pool)->text = parameter->value;
    return 0;
}

/* ---- data ---- */

/* Either alphabet, padded or not, to the standard one; a '+' that was not encoded came as a blank.
 */
static int standard_base64(struct mkto_slice text, char **out, apr_pool_t *pool)
{
    while (text.len > 0 && text.data[text.len - 1] == '=') {
        text.len--;
    }
    char *copy = apr_pstrmemdup(pool, text.data, text.len);
    for (size_t i = 0; i < text.len; i++) {
        copy[i] = copy[i] == '-' || copy[i] == ' ' ? '+' : copy[i];
        copy[i] = copy[i] == '_' ? '/' : copy[i];
        const char c = copy[i];
        const bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!letter && c != '+' && c != '/') {
            return -1;
        }
    }
    *out = copy;
    return text.len % 4 == 1 ? -1 : 0;
}

static int read_data(const struct parameter *data, const struct parameter *key,
                     struct mkto_slice *body, struct mkto_error *err, apr_pool_t *pool)
{
    struct mkto_error why = MKTO_ERROR_INIT;
    struct mkto_json *root = NULL;
    char *base64 = NULL;
    if (standard_base64(data->value, &base64, pool) != 0) {
        return mkto_error_set(err, "data: must be base64");
    }
    char *text = apr_palloc(pool, (apr_size_t)apr_base64_decode_len(base64) + 1);
    *body =
        (struct mkto_slice){text, (size_t)apr_base64_decode_binary((unsigned char *)text, base64)};
    if (mkto_json_parse(*body, &root, &why, pool) != 0) {
        return mkto_error_set(err, "data: %s", why.text);
    }
    if (root->type != MKTO_JSON_OBJECT) {
        return mkto_error_set(err, "data: must be an object");
    }
    if (key != NULL && mkto_json_get(root, "writeKey") == NULL) {
        add(root, key->name, MKTO_JSON_STRING, pool)->text = key->value;
        *body = mkto_json_text(root, pool);
    }
    return 0;
}

int mkto_pixel_read(struct mkto_slice query, struct mkto_slice *body, struct mkto_error *err,
                    apr_pool_t *pool)
{
    struct parameter *list = apr_palloc(pool, MKTO_PIXEL_PARAMETERS_MAX * sizeof(*list));
    struct mkto_json root = {.type = MKTO_JSON_OBJECT};
    size_t count = 0;
    if (query.len > MKTO_PIXEL_QUERY_MAX) {
        return mkto_error_set(err, "the query has %zu bytes, the limit is %d", query.len,
                              MKTO_PIXEL_QUERY_MAX);
    }
    if (read_parameters(query, list, &count, err, pool) != 0) {
        return -1;
    }
    const struct parameter *data = find(list, count, "data");
    if (data != NULL) {
        return read_data(data, find(list, count, "writeKey"), body, err, pool);
    }
    for (size_t i = 0; i < count; i++) {
        if (put(&root, &list[i], err, pool) != 0) {
            return -1;
        }
    }
    *body = mkto_json_text(&root, pool);
    return 0;
}
