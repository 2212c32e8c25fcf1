#include "mkto_map_text.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <time.h>

#include "mkto_utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD"  /* U+FFFD */
#define SECONDS_BELOW 31557600000LL /* a thousand years of seconds, or one of milliseconds */
#define LAST_SECOND 253402300799LL  /* of the year 9999 */
#define DIGITS_MAX 15               /* of a number of milliseconds up to then */

static bool in_xml(uint32_t character)
{
    if (character < 0x20) {
        return character == '\t' || character == '\n' || character == '\r';
    }
    return character != 0xFFFE && character != 0xFFFF;
}

const char *mkto_map_text_clean(struct mkto_slice text, apr_pool_t *pool)
{
    char *clean = apr_palloc(pool, 3 * text.len + 1);
    size_t used = 0, len;
    for (size_t at = 0; at < text.len; at += len) {
        uint32_t character;
        len = mkto_utf8_next(text.data + at, &character);
        bool keep = in_xml(character);
        size_t written = keep ? len : strlen(REPLACEMENT);
        memcpy(clean + used, keep ? text.data + at : REPLACEMENT, written);
        used += written;
    }
    clean[used] = '\0';
    return clean;
}

const char *mkto_map_text_scalar(const struct mkto_json *value, enum mkto_field_kind *kind,
                                 apr_pool_t *pool)
{
    switch (value->type) {
    case MKTO_JSON_TRUE:
    case MKTO_JSON_FALSE:
        *kind = MKTO_FIELD_BOOL;
        return value->type == MKTO_JSON_TRUE ? "true" : "false";
    case MKTO_JSON_NUMBER:
        *kind = MKTO_FIELD_NUMBER;
        return apr_pstrmemdup(pool, value->text.data, value->text.len);
    case MKTO_JSON_STRING: *kind = MKTO_FIELD_TEXT; return mkto_map_text_clean(value->text, pool);
    case MKTO_JSON_NULL:
    case MKTO_JSON_ARRAY:
    case MKTO_JSON_OBJECT: break;
    }
    return NULL;
}

static bool is_scalar_text(const struct mkto_json *value)
{
    return value->type == MKTO_JSON_STRING || value->type == MKTO_JSON_NUMBER;
}

static bool read_time(const struct mkto_json *value, struct tm *when)
{
    if (!is_scalar_text(value) || value->text.len == 0) {
        return false;
    }
    size_t digits = strspn(value->text.data, "0123456789");
    bool fraction = value->type == MKTO_JSON_NUMBER && value->text.data[digits] == '.' &&
                    strpbrk(value->text.data, "eE") == NULL;
    /* A text counts only as long as a time is: 10 digits are seconds, 13 milliseconds. */
    bool length = value->type == MKTO_JSON_NUMBER ? digits > 0 && digits <= DIGITS_MAX
                                                  : digits == 10 || digits == 13;
    if (!length || (value->text.data[digits] != '\0' && !fraction)) {
        return false;
    }
    long long count = strtoll(value->text.data, NULL, 10);
    time_t seconds = (time_t)(count < SECONDS_BELOW ? count : count / 1000);
    return seconds <= LAST_SECOND && gmtime_r(&seconds, when) != NULL;
}

const char *mkto_map_text_time(const struct mkto_json *value, apr_pool_t *pool)
{
    struct tm when;
    if (!read_time(value, &when)) {
        return NULL;
    }
    return apr_psprintf(pool, "%04d-%02d-%02dT%02d:%02d:%02d+00:00", when.tm_year + 1900,
                        when.tm_mon + 1, when.tm_mday, when.tm_hour, when.tm_min, when.tm_sec);
}

/* Begins with "dddd-dd-dd", and then ends or goes on with a time. */
static bool begins_with_date(struct mkto_slice text)
{
    static const char form[] = "dddd-dd-dd";
    size_t len = sizeof(form) - 1;
    if (text.len < len || (text.len > len && strchr("T ", text.data[len]) == NULL)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        bool digit = text.data[i] >= '0' && text.data[i] <= '9';
        if (form[i] == 'd' ? !digit : text.data[i] != form[i]) {
            return false;
        }
    }
    return true;
}

const char *mkto_map_text_date(const struct mkto_json *value, apr_pool_t *pool)
{
    if (value->type == MKTO_JSON_STRING && begins_with_date(value->text)) {
        return apr_pstrmemdup(pool, value->text.data, strlen("YYYY-MM-DD"));
    }
    struct tm when;
    if (!read_time(value, &when)) {
        return NULL;
    }
    return apr_psprintf(pool, "%04d-%02d-%02d", when.tm_year + 1900, when.tm_mon + 1, when.tm_mday);
}
