#include "mkto_json.h"

#include <apr_strings.h>
#include <stdint.h>
#include <yajl/yajl_parse.h>

#include "mkto_json_memory.h"
#include "mkto_utf8.h"

#define LIST_LEVEL 3 /* of an element of the list: root, list, element */
#define LEVELS_MAX (MKTO_JSON_DEPTH_MAX + LIST_LEVEL - 1)
/* Open brackets inside a spoilt element that are still counted: yajl's own stack grows in small
 * steps, and a pool keeps all of them. */
#define SKIP_MAX 128
#define SLAB 32         /* nodes taken from the pool at once */
#define SCAN_MAX 16     /* members of an object up to which a repeated key is looked for by hand */
#define TABLE_SIZE 512u /* slots of the hash table beyond that; a power of two */

#define TOO_DEEP "nested deeper than " APR_STRINGIFY(MKTO_JSON_DEPTH_MAX)

_Static_assert(TABLE_SIZE >= 2 * MKTO_JSON_KEYS_MAX, "the table stays half empty");

struct level {
    struct mkto_json *node;
    struct mkto_json **tail;        /* where the next child is linked in */
    const struct mkto_json **table; /* members by key; made at the first need, used again later */
    size_t start;                   /* offset of the opening bracket */
};

struct parse {
    yajl_handle yajl;
    struct mkto_slice text;
    const char *list; /* NULL: no member is judged one by one */
    struct mkto_error *err;
    apr_pool_t *pool;
    char *copy;             /* where the next decoded text goes */
    struct mkto_json *slab; /* next unused node */
    struct mkto_json *root;
    struct mkto_json *island; /* the element of the list that we are in, or NULL */
    struct mkto_slice key;    /* of the member whose value comes next */
    unsigned slab_left;
    unsigned depth; /* open objects and arrays */
    bool skipping;  /* the island is spoilt: only count brackets until its end */
    size_t last;    /* offset behind the last token that had a callback */
    struct level levels[LEVELS_MAX + 1]; /* [1] is the root's */
};

/* What breaks a limit: spoils the island, or ends the parse. Returns what a yajl callback does. */
static int broken(struct parse *parse, const char *what, size_t offset)
{
    if (parse->island == NULL) {
        mkto_error_set(parse->err, "%s at byte %zu", what, offset);
        return 0;
    }
    parse->island->text =
        mkto_slice_str(apr_psprintf(parse->pool, "%s at byte %" APR_SIZE_T_FMT, what, offset));
    parse->island->first = NULL;
    parse->island->count = 0;
    parse->key = MKTO_SLICE_NONE;
    parse->skipping = true;
    return 1;
}

/* ---- texts ---- */

/*
 * One buffer as long as the input takes all decoded texts with their NULs: an escape is longer than
 * what it stands for, a string brings two quotes, and behind a number stands at least one byte,
 * but for a number that is all there is: hence the buffer's one byte more.
 */
static struct mkto_slice keep(struct parse *parse, const char *text, size_t len)
{
    struct mkto_slice kept = {parse->copy, len};
    memcpy(parse->copy, text, len);
    parse->copy[len] = '\0';
    parse->copy += len + 1;
    return kept;
}

static unsigned hex4(const char *text)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)text[i];
        value = value << 4 | (c <= '9' ? c - (unsigned)'0' : (c | 0x20u) - (unsigned)'a' + 10u);
    }
    return value;
}

/* yajl has checked the escapes' form, not what they mean: it takes a lone half of a surrogate pair
 * and NUL. at is the offset behind the string's opening quote. */
static int check_escapes(struct parse *parse, size_t at, size_t end)
{
    const char *text = parse->text.data;
    while (at < end) {
        if (text[at] != '\\') {
            at++;
            continue;
        }
        if (text[at + 1] != 'u') {
            at += 2;
            continue;
        }
        unsigned unit = hex4(text + at + 2);
        if (unit == 0) {
            return broken(parse, "NUL character", at);
        }
        bool paired = unit >= 0xD800 && unit <= 0xDBFF && end - at >= 12 && text[at + 6] == '\\' &&
                      text[at + 7] == 'u' && (hex4(text + at + 8) & 0xFC00u) == 0xDC00;
        if ((unit & 0xF800u) == 0xD800 && !paired) {
            return broken(parse, "half a surrogate pair", at);
        }
        at += paired ? 12 : 6;
    }
    return 1;
}

/* Offset of the opening quote of the string that ends at `last`: between it and the token before
 * stand only blanks, ',' and ':'. */
static size_t find_quote(const struct parse *parse, size_t from)
{
    const char *quote = memchr(parse->text.data + from, '"', parse->last - from);
    return quote == NULL ? from : (size_t)(quote - parse->text.data);
}

/* A string or key that yajl hands over: notes where it ends, and checks it when it had escapes
 * (yajl then hands over a buffer of its own). */
static int check_string(struct parse *parse, const unsigned char *value)
{
    size_t from = parse->last;
    size_t end = yajl_get_bytes_consumed(parse->yajl);
    parse->last = end;
    if ((uintptr_t)value - (uintptr_t)parse->text.data < parse->text.len) {
        return 1;
    }
    return check_escapes(parse, find_quote(parse, from) + 1, end - 1);
}

/* ---- keys ---- */

static size_t hash_key(struct mkto_slice key)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < key.len; i++) {
        hash = (hash ^ (unsigned char)key.data[i]) * 0x100000001b3u;
    }
    return (size_t)(hash ^ hash >> 32);
}

/* The slot of a key: the one that holds it, or an empty one. */
static const struct mkto_json **find_slot(const struct mkto_json **table, struct mkto_slice key)
{
    size_t slot = hash_key(key) % TABLE_SIZE;
    while (table[slot] != NULL && !mkto_slice_eq(table[slot]->key, key)) {
        slot = (slot + 1) % TABLE_SIZE;
    }
    return &table[slot];
}

static void fill_table(struct parse *parse, struct level *level)
{
    if (level->table == NULL) {
        level->table = apr_palloc(parse->pool, TABLE_SIZE * sizeof(const struct mkto_json *));
    }
    memset(level->table, 0, TABLE_SIZE * sizeof(const struct mkto_json *));
    for (const struct mkto_json *node = level->node->first; node != NULL; node = node->next) {
        *find_slot(level->table, node->key) = node;
    }
}

static bool is_repeated(struct parse *parse, struct level *level, struct mkto_slice key)
{
    if (level->node->count == SCAN_MAX) {
        fill_table(parse, level);
    }
    if (level->node->count >= SCAN_MAX) {
        return *find_slot(level->table, key) != NULL;
    }
    for (const struct mkto_json *node = level->node->first; node != NULL; node = node->next) {
        if (mkto_slice_eq(node->key, key)) {
            return true;
        }
    }
    return false;
}

/* ---- nodes ---- */

static struct mkto_json *new_node(struct parse *parse)
{
    if (parse->slab_left == 0) {
        parse->slab = apr_palloc(parse->pool, SLAB * sizeof(struct mkto_json));
        parse->slab_left = SLAB;
    }
    parse->slab_left--;
    return parse->slab++;
}

/* A value takes its place in the tree. */
static struct mkto_json *add(struct parse *parse, enum mkto_json_type type)
{
    struct mkto_json *node = new_node(parse);
    *node = (struct mkto_json){.type = type, .key = parse->key};
    parse->key = MKTO_SLICE_NONE;
    if (parse->depth == 0) {
        parse->root = node;
        return node;
    }
    struct level *level = &parse->levels[parse->depth];
    *level->tail = node;
    level->tail = &node->next;
    level->node->count++;
    if (level->node->type == MKTO_JSON_OBJECT && level->node->count > SCAN_MAX) {
        *find_slot(level->table, node->key) = node;
    }
    return node;
}

/* ---- yajl's callbacks ---- */

static int take_word(struct parse *parse, enum mkto_json_type type)
{
    parse->last = yajl_get_bytes_consumed(parse->yajl);
    if (!parse->skipping) {
        add(parse, type);
    }
    return 1;
}

static int take_null(void *ctx)
{
    return take_word(ctx, MKTO_JSON_NULL);
}

static int take_boolean(void *ctx, int value)
{
    return take_word(ctx, value ? MKTO_JSON_TRUE : MKTO_JSON_FALSE);
}

static int take_number(void *ctx, const char *text, size_t len)
{
    struct parse *parse = ctx;
    parse->last = yajl_get_bytes_consumed(parse->yajl);
    if (!parse->skipping) {
        add(parse, MKTO_JSON_NUMBER)->text = keep(parse, text, len);
    }
    return 1;
}

static int take_string(void *ctx, const unsigned char *text, size_t len)
{
    struct parse *parse = ctx;
    if (parse->skipping) {
        parse->last = yajl_get_bytes_consumed(parse->yajl);
        return 1;
    }
    int go_on = check_string(parse, text);
    if (go_on && !parse->skipping) {
        add(parse, MKTO_JSON_STRING)->text = keep(parse, (const char *)text, len);
    }
    return go_on;
}

static int take_key(void *ctx, const unsigned char *text, size_t len)
{
    struct parse *parse = ctx;
    if (parse->skipping) {
        parse->last = yajl_get_bytes_consumed(parse->yajl);
        return 1;
    }
    size_t from = parse->last;
    int go_on = check_string(parse, text);
    if (!go_on || parse->skipping) {
        return go_on;
    }
    struct level *level = &parse->levels[parse->depth];
    if (level->node->count == MKTO_JSON_KEYS_MAX) {
        return broken(parse, "more than " APR_STRINGIFY(MKTO_JSON_KEYS_MAX) " members",
                      find_quote(parse, from));
    }
    struct mkto_slice key = keep(parse, (const char *)text, len);
    if (is_repeated(parse, level, key)) {
        return broken(parse, "repeated key", find_quote(parse, from));
    }
    parse->key = key;
    return 1;
}

static bool is_list(const struct parse *parse)
{
    return parse->list != NULL && parse->depth == LIST_LEVEL - 1 &&
           parse->levels[1].node->type == MKTO_JSON_OBJECT &&
           parse->levels[2].node->type == MKTO_JSON_ARRAY &&
           mkto_slice_is(parse->levels[2].node->key, parse->list);
}

static int open_level(struct parse *parse, enum mkto_json_type type)
{
    parse->last = yajl_get_bytes_consumed(parse->yajl);
    if (parse->skipping) {
        parse->island = parse->depth == SKIP_MAX ? NULL : parse->island;
        return parse->depth++ < SKIP_MAX ? 1 : broken(parse, TOO_DEEP, parse->last - 1);
    }
    unsigned max = MKTO_JSON_DEPTH_MAX + (parse->island != NULL ? LIST_LEVEL - 1 : 0);
    if (parse->depth == max) {
        parse->depth++;
        return broken(parse, TOO_DEEP, parse->last - 1);
    }
    bool element = is_list(parse);
    struct mkto_json *node = add(parse, type);
    if (element) {
        parse->island = node;
    }
    struct level *level = &parse->levels[++parse->depth];
    level->node = node;
    level->tail = &node->first;
    level->start = parse->last - 1;
    return 1;
}

static int close_level(void *ctx)
{
    struct parse *parse = ctx;
    parse->last = yajl_get_bytes_consumed(parse->yajl);
    unsigned closed = parse->depth--;
    if (parse->skipping && closed != LIST_LEVEL) {
        return 1;
    }
    if (closed == LIST_LEVEL) {
        parse->island = NULL;
        parse->skipping = false;
    }
    struct level *level = &parse->levels[closed];
    level->node->source.data = parse->text.data + level->start;
    level->node->source.len = parse->last - level->start;
    return 1;
}

static int open_object(void *ctx)
{
    return open_level(ctx, MKTO_JSON_OBJECT);
}

static int open_array(void *ctx)
{
    return open_level(ctx, MKTO_JSON_ARRAY);
}

static const yajl_callbacks callbacks = {
    .yajl_null = take_null,
    .yajl_boolean = take_boolean,
    .yajl_number = take_number,
    .yajl_string = take_string,
    .yajl_start_map = open_object,
    .yajl_map_key = take_key,
    .yajl_end_map = close_level,
    .yajl_start_array = open_array,
    .yajl_end_array = close_level,
};

/* ---- what yajl did not like ---- */

/* yajl's words, where ours are plainer, and where its offset points: only some tokens count as
 * consumed when it stops. */
enum where {
    AT,         /* at the bad byte */
    BEHIND,     /* behind it */
    NEXT_TOKEN, /* the token behind the last value is bad */
    LAST_TOKEN, /* a token is bad that one ',' or ':' may come before */
};
/* clang-format off */
static const struct {
    const char *theirs;
    const char *ours;
    enum where where;
} complaints[] = {
    {"invalid char in json text.", "unexpected character", BEHIND},
    {"invalid string in json text.", "unknown word", AT},
    {"unallowed token at this point in JSON text", "unexpected token", LAST_TOKEN},
    {"invalid object key (must be a string)", "a key must be a string", LAST_TOKEN},
    {"object key and value must be separated by a colon (':')", "expected ':'", NEXT_TOKEN},
    {"after key and value, inside map, I expect ',' or '}'", "expected ',' or '}'", NEXT_TOKEN},
    {"after array element, I expect ',' or ']'", "expected ',' or ']'", NEXT_TOKEN},
    {"trailing garbage", "text after the end of the JSON value", NEXT_TOKEN},
    {"invalid character inside string.", "control character in a string", AT},
    {"probable comment found in input text, comments are not enabled.", "unexpected character", AT},
};
/* clang-format on */

static size_t bad_token(const struct parse *parse, size_t consumed, enum where where)
{
    const char between[] = " \t\r\n,:";
    size_t skipped = where == LAST_TOKEN ? 6 : 4;
    size_t max = where == LAST_TOKEN ? consumed - 1 : parse->text.len;
    size_t at = parse->last;
    while (at < max && memchr(between, parse->text.data[at], skipped) != NULL) {
        at++;
    }
    return at;
}

/* at_end: it came up when yajl was told that there is no more. */
static int complain(struct parse *parse, bool at_end)
{
    size_t consumed = yajl_get_bytes_consumed(parse->yajl);
    const char *theirs = (const char *)yajl_get_error(parse->yajl, 0, NULL, 0);
    const char *words = strstr(theirs, "error: ");
    words = words == NULL ? theirs : words + strlen("error: ");
    size_t len = strcspn(words, "\n");
    enum where where = AT;
    for (size_t i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++) {
        if (strncmp(words, complaints[i].theirs, len) == 0) {
            words = complaints[i].ours;
            where = complaints[i].where;
            break;
        }
    }
    if (at_end && where != NEXT_TOKEN) {
        return mkto_error_set(parse->err, "the text ends too soon at byte %zu", parse->text.len);
    }
    size_t at = where == AT       ? consumed
                : where == BEHIND ? consumed - 1
                                  : bad_token(parse, consumed, where);
    return mkto_error_set(parse->err, "%.*s at byte %zu", (int)strcspn(words, ".\n"), words, at);
}

static int run(struct parse *parse)
{
    yajl_alloc_funcs memory = mkto_json_memory(parse->pool);
    parse->yajl = yajl_alloc(&callbacks, &memory, parse);
    /* Done before, and better: yajl lets overlong forms and surrogates pass. */
    yajl_config(parse->yajl, yajl_dont_validate_strings, 1);
    yajl_status status =
        yajl_parse(parse->yajl, (const unsigned char *)parse->text.data, parse->text.len);
    bool at_end = status == yajl_status_ok;
    if (at_end && parse->root != NULL && parse->depth == 0) {
        /* yajl would let the beginning of another token pass: the last byte of `{}"` */
        size_t at = bad_token(parse, 0, NEXT_TOKEN);
        return at == parse->text.len
                   ? 0
                   : mkto_error_set(parse->err, "text after the end of the JSON value at byte %zu",
                                    at);
    }
    if (at_end) {
        status = yajl_complete_parse(parse->yajl);
    }
    if (status == yajl_status_client_canceled) {
        return -1;
    }
    return status == yajl_status_ok ? 0 : complain(parse, at_end);
}

int mkto_json_parse_list(struct mkto_slice text, const char *list, struct mkto_json **root,
                         struct mkto_error *err, apr_pool_t *pool)
{
    text.data = text.len == 0 ? "" : text.data;
    size_t valid = mkto_utf8_valid(text);
    if (valid < text.len) {
        return mkto_error_set(err, "invalid UTF-8 at byte %zu", valid);
    }
    struct parse *parse = apr_palloc(pool, sizeof(*parse));
    memset(parse, 0, sizeof(*parse));
    parse->text = text;
    parse->list = list;
    parse->err = err;
    parse->pool = pool;
    parse->copy = apr_palloc(pool, text.len + 1);
    if (run(parse) != 0) {
        return -1;
    }
    *root = parse->root;
    return 0;
}

int mkto_json_parse(struct mkto_slice text, struct mkto_json **root, struct mkto_error *err,
                    apr_pool_t *pool)
{
    return mkto_json_parse_list(text, NULL, root, err, pool);
}
