#include "mkto_config_value.h"

#include <errno.h>
#include <limits.h>

#include "mkto_config_endpoint.h"
#include "mkto_config_list.h"

#define SHOWN_MAX 40 /* bytes of a wrong value that a reason repeats */

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit durations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};

static const struct unit sizes[] = {
    {"", 1},
    {"k", INT64_C(1) << 10},
    {"K", INT64_C(1) << 10},
    {"M", INT64_C(1) << 20},
    {"G", INT64_C(1) << 30},
    {"T", INT64_C(1) << 40},
};

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Reads the digits at the front; returns where they end, or NULL when there are none or too many.
 */
static const char *take_number(const char *text, int64_t *number)
{
    const char *p = text;

    *number = 0;
    while (*p >= '0' && *p <= '9') {
        if (*number > (INT64_MAX - 9) / 10) {
            return NULL;
        }
        *number = *number * 10 + (*p - '0');
        p++;
    }
    return p == text ? NULL : p;
}

/* Number and unit to one number. Returns 0, or -1: no such unit, or too large for anything. */
static int read_unit(const char *text, const struct unit *units, size_t count, int64_t *value)
{
    int64_t number;
    const char *rest = take_number(text, &number);

    for (size_t i = 0; rest != NULL && i < count; i++) {
        if (strcmp(rest, units[i].name) != 0) {
            continue;
        }
        *value = number > INT64_MAX / units[i].factor ? INT64_MAX : number * units[i].factor;
        return 0;
    }
    return -1;
}

static int read_count(const char *text, int64_t *value)
{
    const char *rest = take_number(text, value);

    return rest != NULL && *rest == '\0' ? 0 : -1;
}

static int read_duration(const char *text, int64_t *value)
{
    if (strcmp(text, "0") == 0) {
        *value = 0;
        return 0;
    }
    return read_unit(text, durations, sizeof(durations) / sizeof(durations[0]), value);
}

static int read_size(const char *text, int64_t *value)
{
    return read_unit(text, sizes, sizeof(sizes) / sizeof(sizes[0]), value);
}

static int check_range(const struct mkto_config_key *key, const char *text, int64_t value,
                       struct mkto_error *err)
{
    if (value < key->min || value > key->max) {
        return mkto_error_set(err, "%.*s is out of range (%s)", SHOWN_MAX, text, key->value);
    }
    return 0;
}

static int set_count(const struct mkto_config_key *key, const char *text, unsigned *out,
                     struct mkto_error *err)
{
    int64_t value;

    if (read_count(text, &value) != 0) {
        return mkto_error_set(err, "must be a whole number (%s)", key->value);
    }
    if (check_range(key, text, value, err) != 0) {
        return -1;
    }
    *out = (unsigned)value;
    return 0;
}

static int set_duration(const struct mkto_config_key *key, const char *text, int64_t *out,
                        struct mkto_error *err)
{
    int64_t value;

    if (read_duration(text, &value) != 0) {
        return mkto_error_set(err, "must be a number with a unit, ms s m h or d, like 30s (%s)",
                              key->value);
    }
    if (check_range(key, text, value, err) != 0) {
        return -1;
    }
    *out = value;
    return 0;
}

static int set_size(const struct mkto_config_key *key, const char *text, int64_t *out,
                    struct mkto_error *err)
{
    int64_t value;

    if (read_size(text, &value) != 0) {
        return mkto_error_set(err, "must be a number with a unit, k M G or T, like 500M (%s)",
                              key->value);
    }
    if (check_range(key, text, value, err) != 0) {
        return -1;
    }
    *out = value;
    return 0;
}

static int set_keep_free(const struct mkto_config_key *key, const char *text,
                         struct mkto_config *config, struct mkto_error *err)
{
    int64_t percent;
    const char *rest = take_number(text, &percent);

    if (rest == NULL || strcmp(rest, "%") != 0) {
        if (set_size(key, text, &config->spool_keep_free, err) != 0) {
            return -1;
        }
        config->spool_keep_free_percent = 0;
        return 0;
    }
    if (percent > MKTO_CONFIG_PERCENT_MAX) {
        return mkto_error_set(err, "%.*s is out of range (%s)", SHOWN_MAX, text, key->value);
    }
    config->spool_keep_free = 0;
    config->spool_keep_free_percent = (unsigned)percent;
    return 0;
}

static int set_api(const char *text, enum mkto_api *out, struct mkto_error *err)
{
    if (strcmp(text, "rest") == 0) {
        *out = MKTO_API_REST;
    } else if (strcmp(text, "soap") == 0) {
        *out = MKTO_API_SOAP;
    } else {
        *out = MKTO_API_MUNCHKIN; /* neither: what the value asks for is not known */
        return mkto_error_set(err, "must be rest or soap, not \"%.*s\"", SHOWN_MAX, text);
    }
    return 0;
}

static int set_naming(const char *text, enum mkto_naming *out, struct mkto_error *err)
{
    if (strcmp(text, "pascal") == 0) {
        *out = MKTO_NAMING_PASCAL;
    } else if (strcmp(text, "full_pascal") == 0) {
        *out = MKTO_NAMING_FULL_PASCAL;
    } else {
        return mkto_error_set(err, "must be pascal or full_pascal, not \"%.*s\"", SHOWN_MAX, text);
    }
    return 0;
}

static int set_identify(const char *text, enum mkto_identify *out, struct mkto_error *err)
{
    if (strcmp(text, "open") == 0) {
        *out = MKTO_IDENTIFY_OPEN;
    } else if (strcmp(text, "same_origin") == 0) {
        *out = MKTO_IDENTIFY_SAME_ORIGIN;
    } else if (strcmp(text, "trusted") == 0) {
        *out = MKTO_IDENTIFY_TRUSTED;
    } else {
        return mkto_error_set(err, "must be open, same_origin or trusted, not \"%.*s\"", SHOWN_MAX,
                              text);
    }
    return 0;
}

static int set_switch(const char *text, bool *out, struct mkto_error *err)
{
    *out = strcmp(text, "on") == 0;
    if (!*out && strcmp(text, "off") != 0) {
        return mkto_error_set(err, "must be on or off, not \"%.*s\"", SHOWN_MAX, text);
    }
    return 0;
}

static int check_length(const char *text, size_t max, struct mkto_error *err)
{
    size_t len = strlen(text);

    if (len > max) {
        return mkto_error_set(err, "has %zu bytes; at most %zu are allowed", len, max);
    }
    return 0;
}

int mkto_config_value_word(const char *text, size_t max, struct mkto_error *err)
{
    if (strpbrk(text, " \t") != NULL) {
        return mkto_error_set(err,
                              "must not hold spaces; a comment behind a value begins with ';'");
    }
    return check_length(text, max, err);
}

int mkto_config_value_name(const char *text, struct mkto_error *err)
{
    if (*text == '\0') {
        return mkto_error_set(err, "the name is missing");
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (!is_alnum(*p) && strchr("._-", *p) == NULL) {
            return mkto_error_set(err, "a name is made of letters, digits, '.', '_' and '-'");
        }
    }
    if (strlen(text) > MKTO_CONFIG_NAME_MAX) {
        return mkto_error_set(err, "the name is longer than %d bytes", MKTO_CONFIG_NAME_MAX);
    }
    return 0;
}

/* Without trailing slashes. */
static int check_path(const char *text, size_t *len, struct mkto_error *err)
{
    *len = strlen(text);
    if (text[0] != '/') {
        return mkto_error_set(err, "must be an absolute path, one that begins with '/'");
    }
    while (*len > 1 && text[*len - 1] == '/') {
        (*len)--;
    }
    if (*len == 1) {
        return mkto_error_set(err, "must not be the root directory");
    }
    return check_length(text, MKTO_CONFIG_PATH_MAX, err);
}

/* Three letters or digits, '-', three, '-', three. */
static bool is_munchkin_id(const char *text)
{
    for (size_t i = 0; i < 11; i++) {
        if (i == 3 || i == 7 ? text[i] != '-' : !is_alnum(text[i])) {
            return false;
        }
    }
    return text[11] == '\0';
}

static int set_munchkin(const char *text, const char **out, struct mkto_config_arena *arena,
                        struct mkto_error *err)
{
    char *copy;

    if (!is_munchkin_id(text)) {
        return mkto_error_set(
            err, "must be a Munchkin id, three groups of three letters or digits: 561-HYG-937");
    }
    copy = mkto_config_arena_text(arena, text, strlen(text));
    for (char *p = copy; p != NULL && *p != '\0'; p++) {
        if (*p >= 'a' && *p <= 'z') {
            *p = (char)(*p - 'a' + 'A');
        }
    }
    *out = copy;
    return 0;
}

static int check_host(const char *text, struct mkto_error *err)
{
    if (!mkto_config_endpoint_is_name(mkto_slice_str(text))) {
        return mkto_error_set(err, "must be a host name alone, like www.example.com");
    }
    return 0;
}

static int set_text(const struct mkto_config_key *key, const char *text, const char **out,
                    struct mkto_config_arena *arena, struct mkto_error *err)
{
    size_t len = strlen(text);
    int rc = 0;

    switch (key->kind) {
    case MKTO_CONFIG_KIND_TEXT: rc = check_length(text, MKTO_CONFIG_TEXT_MAX, err); break;
    case MKTO_CONFIG_KIND_WORD: rc = mkto_config_value_word(text, MKTO_CONFIG_TEXT_MAX, err); break;
    case MKTO_CONFIG_KIND_URL: rc = mkto_config_endpoint_check(text, &len, err); break;
    case MKTO_CONFIG_KIND_HOST: rc = check_host(text, err); break;
    default: rc = check_path(text, &len, err); break;
    }
    if (rc == 0) {
        *out = mkto_config_arena_text(arena, text, len);
    }
    return rc;
}

int mkto_config_value_set(const struct mkto_config_key *key, const char *text, void *base,
                          struct mkto_config_arena *arena, struct mkto_error *err)
{
    void *at = (char *)base + key->offset;

    if (text[0] == '"' || text[0] == '\'') {
        return mkto_error_set(err, "values are written without quotes");
    }
    switch (key->kind) {
    case MKTO_CONFIG_KIND_API: return set_api(text, at, err);
    case MKTO_CONFIG_KIND_NAMING: return set_naming(text, at, err);
    case MKTO_CONFIG_KIND_COUNT: return set_count(key, text, at, err);
    case MKTO_CONFIG_KIND_DURATION: return set_duration(key, text, at, err);
    case MKTO_CONFIG_KIND_SIZE: return set_size(key, text, at, err);
    case MKTO_CONFIG_KIND_KEEP_FREE: return set_keep_free(key, text, base, err);
    case MKTO_CONFIG_KIND_MUNCHKIN: return set_munchkin(text, at, arena, err);
    case MKTO_CONFIG_KIND_IDENTIFY: return set_identify(text, at, err);
    case MKTO_CONFIG_KIND_SWITCH: return set_switch(text, at, err);
    case MKTO_CONFIG_KIND_RESPECT: return mkto_config_list_respect(text, at, err);
    case MKTO_CONFIG_KIND_EVENTS: return mkto_config_list_read(text, false, at, arena, err);
    case MKTO_CONFIG_KIND_FIELDS: return mkto_config_list_read(text, true, at, arena, err);
    default: return set_text(key, text, at, arena, err);
    }
}
