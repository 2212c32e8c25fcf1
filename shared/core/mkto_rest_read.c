#include "mkto_rest.h"

#include <apr_strings.h>
#include <apr_tables.h>
#include <yajl/yajl_parse.h>

#include <limits.h>
#include <stdlib.h>
#include <strings.h>

/*
 * The answers are read as a stream: they may be 4 MiB, of which few members matter. Each open
 * object or array has a place, found from the place around it and the key that led to it.
 */
enum place {
    AT_TOP,
    AT_ROOT,
    AT_RESULT, /* array of records */
    AT_RECORD,
    AT_REASONS, /* array */
    AT_REASON,
    AT_ERRORS, /* array */
    AT_ERROR,
    AT_FIELDS, /* array, describe2 */
    AT_FIELD,
    AT_OTHER,
};

enum key {
    KEY_NONE, /* an item of an array */
    KEY_SUCCESS,
    KEY_RESULT,
    KEY_ERRORS,
    KEY_REASONS,
    KEY_REASON,
    KEY_CODE,
    KEY_MESSAGE,
    KEY_ID,
    KEY_STATUS,
    KEY_FIELDS,
    KEY_NAME,
    KEY_ACCESS_TOKEN,
    KEY_EXPIRES_IN,
    KEY_ERROR,
    KEY_ERROR_DESCRIPTION,
    KEY_OTHER,
};

static const char *const key_names[] = {
    "",   "success", "result", "errors", "reasons",      "reason",     "code",  "message",
    "id", "status",  "fields", "name",   "access_token", "expires_in", "error", "error_description",
};

/* clang-format off */
static const struct {
    enum place around;
    enum key key;
    bool array;
    enum place place;
} places[] = {
    {AT_TOP,     KEY_NONE,    false, AT_ROOT},
    {AT_ROOT,    KEY_RESULT,  true,  AT_RESULT},
    {AT_ROOT,    KEY_ERRORS,  true,  AT_ERRORS},
    {AT_ERRORS,  KEY_NONE,    false, AT_ERROR},
    {AT_RESULT,  KEY_NONE,    false, AT_RECORD},
    {AT_RECORD,  KEY_REASONS, true,  AT_REASONS},
    {AT_RECORD,  KEY_ERRORS,  true,  AT_REASONS},
    {AT_RECORD,  KEY_REASON,  false, AT_REASON},
    {AT_REASONS, KEY_NONE,    false, AT_REASON},
    {AT_RECORD,  KEY_FIELDS,  true,  AT_FIELDS},
    {AT_FIELDS,  KEY_NONE,    false, AT_FIELD},
};
/* clang-format on */

struct reader {
    apr_pool_t *pool;
    enum place stack[MKTO_REST_DEPTH_MAX + 1];
    unsigned depth;
    enum key key;
    bool has_success;
    bool success;
    bool has_error; /* errors[0], or OAuth's */
    unsigned error_count;
    struct mkto_result call;
    const char *token;
    int64_t token_for_ms;
    apr_array_header_t *records; /* struct mkto_result; NULL: not wanted */
    unsigned reason_count;       /* of the record that is being read */
    apr_array_header_t *fields;  /* const char *; NULL: not wanted */
};

static enum key find_key(const unsigned char *text, size_t len)
{
    for (enum key key = KEY_SUCCESS; key < KEY_OTHER; key++) {
        if (mkto_slice_is((struct mkto_slice){(const char *)text, len}, key_names[key])) {
            return key;
        }
    }
    return KEY_OTHER;
}

static enum place find_place(enum place around, enum key key, bool array)
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (places[i].around == around && places[i].key == key && places[i].array == array) {
            return places[i].place;
        }
    }
    return AT_OTHER;
}

static struct mkto_result *last_record(struct reader *reader)
{
    return reader->records == NULL || reader->records->nelts == 0
               ? NULL
               : &APR_ARRAY_IDX(reader->records, reader->records->nelts - 1, struct mkto_result);
}

static void begin_record(struct reader *reader)
{
    reader->reason_count = 0;
    if (reader->records == NULL) {
        return;
    }
    if (reader->records->nelts >= MKTO_REST_BATCH_MAX) {
        reader->records = NULL;
        return;
    }
    *(struct mkto_result *)apr_array_push(reader->records) = (struct mkto_result){.ok = true};
}

static int enter(struct reader *reader, bool array)
{
    if (reader->depth == MKTO_REST_DEPTH_MAX) {
        return 0;
    }
    enum place place = find_place(reader->stack[reader->depth], reader->key, array);
    reader->stack[++reader->depth] = place;
    reader->key = KEY_NONE;
    if (place == AT_RECORD) {
        begin_record(reader);
    } else if (place == AT_REASON) {
        reader->reason_count++;
        if (last_record(reader) != NULL) {
            last_record(reader)->ok = false;
        }
    } else if (place == AT_ERROR) {
        reader->error_count++;
        reader->has_error = true;
    }
    return 1;
}

static int leave(void *ctx)
{
    struct reader *reader = ctx;

    reader->depth--;
    reader->key = KEY_NONE;
    return 1;
}

static int on_map(void *ctx)
{
    return enter(ctx, false);
}

static int on_array(void *ctx)
{
    return enter(ctx, true);
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
    struct reader *reader = ctx;

    reader->key = find_key(text, len);
    return 1;
}

/* A whole number at the start of a text; 0 when there is none. */
static int64_t number_of(const char *text, size_t len)
{
    char digits[24];
    size_t used = len < sizeof(digits) - 1 ? len : sizeof(digits) - 1;

    memcpy(digits, text, used);
    digits[used] = '\0';
    return strtoll(digits, NULL, 10);
}

static void set_reason(struct mkto_result *result, enum key key, const char *text, size_t len,
                       apr_pool_t *pool)
{
    if (key == KEY_CODE) {
        int64_t code = number_of(text, len);
        result->code = code > 0 && code <= INT_MAX ? (int)code : 0;
    } else if (key == KEY_MESSAGE) {
        result->text = mkto_result_text(text, len, pool);
    }
}

static bool is_failure(const char *status)
{
    return status != NULL &&
           (strcasecmp(status, "skipped") == 0 || strcasecmp(status, "failed") == 0);
}

static void set_record(struct mkto_result *record, enum key key, const char *text, size_t len,
                       apr_pool_t *pool)
{
    if (key == KEY_ID) {
        record->lead_id = number_of(text, len);
    } else if (key == KEY_STATUS) {
        record->status = mkto_result_text(text, len, pool);
        record->ok = record->ok && !is_failure(record->status);
    }
}

/* It goes into a header as it is: a line end in it would begin another one. */
static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= 0x20 || text[i] >= 0x7f) {
            return false;
        }
    }
    return len > 0;
}

static void set_root(struct reader *reader, const char *text, size_t len)
{
    switch (reader->key) {
    case KEY_ACCESS_TOKEN:
        reader->token = is_token(text, len) ? apr_pstrmemdup(reader->pool, text, len) : NULL;
        break;
    case KEY_EXPIRES_IN: {
        int64_t seconds = number_of(text, len);
        reader->token_for_ms = seconds < 0 ? 0 : (seconds > INT_MAX ? INT_MAX : seconds) * 1000;
        break;
    }
    case KEY_ERROR:
        reader->has_error = true;
        reader->call.status = mkto_result_text(text, len, reader->pool);
        break;
    case KEY_ERROR_DESCRIPTION:
        reader->call.text = mkto_result_text(text, len, reader->pool);
        break;
    default: break;
    }
}

static void add_field(struct reader *reader, const char *text, size_t len)
{
    if (reader->fields != NULL && len > 0 && reader->fields->nelts < MKTO_REST_FIELDS_MAX) {
        APR_ARRAY_PUSH(reader->fields, const char *) = apr_pstrmemdup(reader->pool, text, len);
    }
}

/* Strings and numbers alike: codes and ids come as both. */
static int on_text(void *ctx, const char *text, size_t len)
{
    struct reader *reader = ctx;
    struct mkto_result *record = last_record(reader);

    switch (reader->stack[reader->depth]) {
    case AT_ROOT: set_root(reader, text, len); break;
    case AT_ERROR:
        if (reader->error_count == 1) {
            set_reason(&reader->call, reader->key, text, len, reader->pool);
        }
        break;
    case AT_RECORD:
        if (record != NULL) {
            set_record(record, reader->key, text, len, reader->pool);
        }
        break;
    case AT_REASON:
        if (record != NULL && reader->reason_count == 1) {
            set_reason(record, reader->key, text, len, reader->pool);
        }
        break;
    case AT_FIELD:
        if (reader->key == KEY_NAME) {
            add_field(reader, text, len);
        }
        break;
    default: break;
    }
    return 1;
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
    return on_text(ctx, (const char *)text, len);
}

static int on_bool(void *ctx, int value)
{
    struct reader *reader = ctx;

    if (reader->stack[reader->depth] == AT_ROOT && reader->key == KEY_SUCCESS) {
        reader->has_success = true;
        reader->success = value != 0;
    }
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_boolean = on_bool,
    .yajl_number = on_text,
    .yajl_string = on_string,
    .yajl_start_map = on_map,
    .yajl_map_key = on_key,
    .yajl_end_map = leave,
    .yajl_start_array = on_array,
    .yajl_end_array = leave,
};

/* False when the body is not one whole JSON object. */
static bool read_body(struct reader *reader, struct mkto_slice body)
{
    yajl_handle parser = yajl_alloc(&callbacks, NULL, reader);

    reader->stack[0] = AT_TOP;
    /* A stray byte in a message must not make the answer unreadable, and the call go out again. */
    yajl_config(parser, yajl_dont_validate_strings, 1);
    bool whole = body.len > 0 && body.data[0] != '\0' &&
                 yajl_parse(parser, (const unsigned char *)body.data, body.len) == yajl_status_ok &&
                 yajl_complete_parse(parser) == yajl_status_ok;
    yajl_free(parser);
    return whole;
}

void mkto_rest_read(struct mkto_slice body, struct mkto_call_result *result, apr_pool_t *pool)
{
    struct reader reader = {.pool = pool};
    apr_array_header_t *records = apr_array_make(pool, 8, sizeof(struct mkto_result));

    *result = (struct mkto_call_result){.understood = false};
    reader.records = records;
    if (!read_body(&reader, body) ||
        !(reader.has_success || reader.token != NULL || reader.has_error)) {
        return;
    }
    result->understood = true;
    result->call = reader.call;
    result->call.ok = reader.has_success ? reader.success : reader.token != NULL;
    if (!result->call.ok) {
        return;
    }
    result->records = (struct mkto_result *)(void *)records->elts;
    result->record_count = (size_t)records->nelts;
    result->token = reader.token;
    result->token_for_ms = reader.token_for_ms;
}

size_t mkto_rest_read_fields(struct mkto_slice body, const char ***names, apr_pool_t *pool)
{
    struct reader reader = {.pool = pool, .fields = apr_array_make(pool, 64, sizeof(const char *))};

    *names = NULL;
    if (!read_body(&reader, body) || !reader.success || reader.fields->nelts == 0) {
        return 0;
    }
    *names = (const char **)(void *)reader.fields->elts;
    return (size_t)reader.fields->nelts;
}
