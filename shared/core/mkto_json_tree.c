#include <yajl/yajl_gen.h>

#include "mkto_json.h"
#include "mkto_json_memory.h"

/* ---- looking for members ---- */

const struct mkto_json *mkto_json_get(const struct mkto_json *object, const char *key)
{
    if (object == NULL || object->type != MKTO_JSON_OBJECT) {
        return NULL;
    }
    struct mkto_slice wanted = mkto_slice_str(key);
    for (const struct mkto_json *node = object->first; node != NULL; node = node->next) {
        if (mkto_slice_eq(node->key, wanted)) {
            return node;
        }
    }
    return NULL;
}

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20u) >= 'a' && (c | 0x20u) <= 'z');
}

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20u) : c;
}

/* The next byte of a key that counts, in lower case; 0 at its end. */
static unsigned char next_counting(const char **at, const char *end)
{
    while (*at < end) {
        unsigned char c = (unsigned char)*(*at)++;
        if (is_alnum(c)) {
            return lower(c);
        }
    }
    return 0;
}

bool mkto_json_key_like(struct mkto_slice key, const char *wanted)
{
    const char *end = key.data + key.len;
    for (; *wanted != '\0'; wanted++) {
        if (is_alnum((unsigned char)*wanted) &&
            next_counting(&key.data, end) != lower((unsigned char)*wanted)) {
            return false;
        }
    }
    return next_counting(&key.data, end) == 0;
}

const struct mkto_json *mkto_json_find(const struct mkto_json *object, const char *key)
{
    const struct mkto_json *exact = mkto_json_get(object, key);
    if (exact != NULL || object == NULL || object->type != MKTO_JSON_OBJECT) {
        return exact;
    }
    for (const struct mkto_json *node = object->first; node != NULL; node = node->next) {
        if (mkto_json_key_like(node->key, key)) {
            return node;
        }
    }
    return NULL;
}

struct mkto_slice mkto_json_string(const struct mkto_json *value)
{
    if (value == NULL || value->type != MKTO_JSON_STRING) {
        return MKTO_SLICE_NONE;
    }
    return value->text;
}

/* ---- back to text ---- */

static void write_value(yajl_gen gen, const struct mkto_json *value);

static void write_string(yajl_gen gen, struct mkto_slice text)
{
    yajl_gen_string(gen, (const unsigned char *)text.data, text.len);
}

static void write_object(yajl_gen gen, const struct mkto_json *object)
{
    yajl_gen_map_open(gen);
    for (const struct mkto_json *node = object->first; node != NULL; node = node->next) {
        write_string(gen, node->key);
        write_value(gen, node);
    }
    yajl_gen_map_close(gen);
}

static void write_array(yajl_gen gen, const struct mkto_json *array)
{
    yajl_gen_array_open(gen);
    for (const struct mkto_json *node = array->first; node != NULL; node = node->next) {
        write_value(gen, node);
    }
    yajl_gen_array_close(gen);
}

/* Recursion goes as deep as the parser lets a tree be. */
static void write_value(yajl_gen gen, const struct mkto_json *value)
{
    switch (value->type) {
    case MKTO_JSON_NULL: yajl_gen_null(gen); break;
    case MKTO_JSON_FALSE: yajl_gen_bool(gen, 0); break;
    case MKTO_JSON_TRUE: yajl_gen_bool(gen, 1); break;
    case MKTO_JSON_NUMBER: yajl_gen_number(gen, value->text.data, value->text.len); break;
    case MKTO_JSON_STRING: write_string(gen, value->text); break;
    case MKTO_JSON_ARRAY: write_array(gen, value); break;
    case MKTO_JSON_OBJECT: write_object(gen, value); break;
    }
}

struct mkto_slice mkto_json_text(const struct mkto_json *value, apr_pool_t *pool)
{
    yajl_alloc_funcs memory = mkto_json_memory(pool);
    yajl_gen gen = yajl_gen_alloc(&memory);
    write_value(gen, value);
    const unsigned char *text = NULL;
    size_t len = 0;
    yajl_gen_get_buf(gen, &text, &len);
    return (struct mkto_slice){(const char *)text, len};
}
