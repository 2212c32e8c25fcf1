#include "mkto_layout.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define COLUMN 24                  /* where values begin, from the indentation on */
#define STEP 2                     /* indentation */
#define DATE_FROM_MS 1000000000000 /* 2001-09-09: no duration is as long */

void mkto_layout_duration(int64_t ms, char *out, size_t size)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}};

    if (ms < 1000) {
        snprintf(out, size, "%" PRId64 " ms", ms);
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        int64_t rest;

        if (ms < units[i].ms) {
            continue;
        }
        rest = i == 3 ? 0 : ms % units[i].ms / units[i + 1].ms;
        if (rest == 0) {
            snprintf(out, size, "%" PRId64 " %s", ms / units[i].ms, units[i].name);
        } else {
            snprintf(out, size, "%" PRId64 " %s %" PRId64 " %s", ms / units[i].ms, units[i].name,
                     rest, units[i + 1].name);
        }
        return;
    }
}

void mkto_layout_size(int64_t bytes, char *out, size_t size)
{
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    snprintf(out, size, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void mkto_layout_date(int64_t ms, char *out, size_t size)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL || strftime(out, size, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
        snprintf(out, size, "%" PRId64, ms);
    }
}

enum unit { UNIT_NONE, UNIT_BYTES, UNIT_SECONDS, UNIT_MS };

static const struct {
    const char *word;
    enum unit unit;
} units_by_word[] = {{"bytes", UNIT_BYTES}, {"s", UNIT_SECONDS}, {"ms", UNIT_MS}};

/* The unit that the last word of a key names: "bytes", "max_bytes", "uptime_s". *len is what is
 * shown of the key. */
static enum unit unit_of(struct mkto_slice key, size_t *len)
{
    for (size_t i = 0; i < sizeof(units_by_word) / sizeof(units_by_word[0]); i++) {
        size_t word = strlen(units_by_word[i].word);

        *len = key.len;
        if (mkto_slice_is(key, units_by_word[i].word)) {
            return units_by_word[i].unit;
        }
        if (key.len > word + 1 && key.data[key.len - word - 1] == '_' &&
            memcmp(key.data + key.len - word, units_by_word[i].word, word) == 0) {
            *len = key.len - word - 1;
            return units_by_word[i].unit;
        }
    }
    *len = key.len;
    return UNIT_NONE;
}

static void write_number(const struct mkto_json *value, char *out, size_t size)
{
    char *end;
    int64_t number = strtoll(value->text.data, &end, 10);
    size_t len;
    enum unit unit = unit_of(value->key, &len);

    snprintf(out, size, "%s", value->text.data);
    if (*end != '\0') {
        return;
    }
    if (unit == UNIT_BYTES) {
        mkto_layout_size(number, out, size);
    } else if (number >= DATE_FROM_MS) {
        mkto_layout_date(number, out, size);
    } else if (unit != UNIT_NONE) {
        mkto_layout_duration(unit == UNIT_MS ? number : number * 1000, out, size);
    }
}

void mkto_layout_text(FILE *out, struct mkto_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];

        fputc(c < 0x20 || c == 0x7f ? '?' : c, out);
    }
}

static void print_scalar(FILE *out, const struct mkto_json *value)
{
    char text[64];

    switch (value->type) {
    case MKTO_JSON_TRUE: fputs("yes", out); break;
    case MKTO_JSON_FALSE: fputs("no", out); break;
    case MKTO_JSON_STRING: mkto_layout_text(out, value->text); break;
    case MKTO_JSON_NUMBER:
        write_number(value, text, sizeof(text));
        fputs(text, out);
        break;
    default: fputc('-', out); break;
    }
}

static bool is_scalar(const struct mkto_json *value)
{
    return value->type != MKTO_JSON_ARRAY && value->type != MKTO_JSON_OBJECT;
}

/* All children are scalars, so that they may stand in one line. */
static bool is_row(const struct mkto_json *array)
{
    for (const struct mkto_json *each = array->first; each != NULL; each = each->next) {
        if (!is_scalar(each)) {
            return false;
        }
    }
    return array->type == MKTO_JSON_ARRAY;
}

static void print_row(FILE *out, const struct mkto_json *array)
{
    for (const struct mkto_json *each = array->first; each != NULL; each = each->next) {
        print_scalar(out, each);
        fputs(each->next == NULL ? "" : ", ", out);
    }
}

static void print_key(FILE *out, const struct mkto_json *member, int indent, bool column)
{
    struct mkto_slice name = member->key;

    (void)unit_of(member->key, &name.len);
    fprintf(out, "%*s", indent, "");
    mkto_layout_text(out, name);
    if (column) {
        fprintf(out, " %*s", name.len < COLUMN ? (int)(COLUMN - name.len) : 0, "");
    }
}

static void print_members(FILE *out, const struct mkto_json *value, int indent);

static void print_member(FILE *out, const struct mkto_json *member, int indent)
{
    if (is_scalar(member)) {
        print_key(out, member, indent, true);
        print_scalar(out, member);
    } else if (member->first == NULL) {
        print_key(out, member, indent, true);
        fputs("none", out);
    } else if (is_row(member)) {
        print_key(out, member, indent, true);
        print_row(out, member);
    } else {
        print_key(out, member, indent, false);
        fputs(":\n", out);
        print_members(out, member, indent + STEP);
        return;
    }
    fputc('\n', out);
}

static void print_members(FILE *out, const struct mkto_json *value, int indent)
{
    for (const struct mkto_json *each = value->first; each != NULL; each = each->next) {
        if (value->type == MKTO_JSON_OBJECT) {
            print_member(out, each, indent);
        } else if (is_scalar(each)) {
            fprintf(out, "%*s", indent, "");
            print_scalar(out, each);
            fputc('\n', out);
        } else {
            fprintf(out, "%*s-\n", indent, "");
            print_members(out, each, indent + STEP);
        }
    }
}

void mkto_layout_print(FILE *out, const struct mkto_json *value)
{
    if (is_scalar(value)) {
        print_scalar(out, value);
        fputc('\n', out);
    } else {
        print_members(out, value, 0);
    }
}
