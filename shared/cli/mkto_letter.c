#include "mkto_letter.h"

#include <apr_strings.h>
#include <inttypes.h>

#include "mkto_desk.h"
#include "mkto_layout.h"

static const char *word(const struct mkto_json *object, const char *key)
{
    const char *text = mkto_desk_text(object, key);

    return text == NULL ? "" : text;
}

void mkto_letter_line(FILE *out, const struct mkto_json *letter)
{
    const char *subscription = word(letter, "subscription");
    char date[32];

    mkto_layout_date(mkto_desk_number(letter, "dead", 0), date, sizeof(date));
    fprintf(out, "%7" PRId64 "  %s  ", mkto_desk_number(letter, "id", 0), date);
    mkto_layout_text(out, mkto_slice_str(subscription));
    fputs(subscription[0] == '\0' ? "" : " ", out);
    mkto_layout_text(out, mkto_slice_str(word(letter, "kind")));
    fprintf(out, "  %s  %" PRId64 " attempts  ", word(letter, "reason"),
            mkto_desk_number(letter, "attempts", 0));
    fputs(word(letter, "lead")[0] == '\0' ? "-" : word(letter, "lead"), out);
    fputs("  ", out);
    mkto_layout_text(out, mkto_slice_str(word(letter, "answer")));
    fputc('\n', out);
}

/* A text that is JSON, as it came; else as a string. */
static struct mkto_slice embedded(const struct mkto_json *text, apr_pool_t *pool)
{
    struct mkto_json *root;

    return mkto_json_parse(text->text, &root, NULL, pool) == 0 ? text->text
                                                               : mkto_json_text(text, pool);
}

static bool is_raw(const struct mkto_json *member)
{
    return mkto_slice_is(member->key, "event") || mkto_slice_is(member->key, "defaults");
}

/* The letter without the members that are texts of JSON. */
static struct mkto_json *without_raw(const struct mkto_json *letter, apr_pool_t *pool)
{
    struct mkto_json *copy = apr_pmemdup(pool, letter, sizeof(*letter));
    struct mkto_json **last = &copy->first;

    for (const struct mkto_json *each = letter->first; each != NULL; each = each->next) {
        if (!is_raw(each)) {
            *last = apr_pmemdup(pool, each, sizeof(*each));
            last = &(*last)->next;
        }
    }
    *last = NULL;
    return copy;
}

void mkto_letter_json(FILE *out, const struct mkto_json *letter, apr_pool_t *pool)
{
    const struct mkto_slice head = mkto_json_text(without_raw(letter, pool), pool);

    fwrite(head.data, 1, head.len - 1, out);
    for (const struct mkto_json *each = letter->first; each != NULL; each = each->next) {
        if (is_raw(each)) {
            const struct mkto_slice value = embedded(each, pool);

            fprintf(out, ",\"%s\":", each->key.data);
            fwrite(value.data, 1, value.len, out);
        }
    }
    fputs("}\n", out);
}

void mkto_letter_whole(FILE *out, const struct mkto_json *letter, apr_pool_t *pool)
{
    mkto_layout_print(out, without_raw(letter, pool));
    for (const struct mkto_json *each = letter->first; each != NULL; each = each->next) {
        if (is_raw(each)) {
            fprintf(out, "%s:\n  ", each->key.data);
            mkto_layout_text(out, each->text);
            fputc('\n', out);
        }
    }
}
