#include "mkto_summary.h"

#include <inttypes.h>
#include <stdlib.h>

#include "mkto_layout.h"

#define COLUMN 11 /* where the words begin */

static int64_t number(const struct mkto_json *object, const char *key)
{
    const struct mkto_json *value = mkto_json_get(object, key);

    return value == NULL || value->type != MKTO_JSON_NUMBER ? 0
                                                            : strtoll(value->text.data, NULL, 10);
}

static struct mkto_slice text(const struct mkto_json *object, const char *key)
{
    return mkto_json_string(mkto_json_get(object, key));
}

static void label(FILE *out, const char *word)
{
    fprintf(out, "%-*s", COLUMN, word);
}

static void put(FILE *out, const char *before, struct mkto_slice words)
{
    if (words.len > 0) {
        fputs(before, out);
        mkto_layout_text(out, words);
    }
}

/* "lead 3, visit 0": the members of an object that are numbers. Zeros are left out. */
static unsigned put_counts(FILE *out, const struct mkto_json *object)
{
    unsigned shown = 0;

    if (object == NULL) {
        return 0;
    }
    for (const struct mkto_json *each = object->first; each != NULL; each = each->next) {
        if (each->type == MKTO_JSON_NUMBER && !mkto_slice_is(each->text, "0")) {
            fputs(shown++ == 0 ? "" : ", ", out);
            mkto_layout_text(out, each->key);
            fprintf(out, " %s", each->text.data);
        }
    }
    return shown;
}

/* A line of counts, when there is one that is not zero. */
static void counts_line(FILE *out, const char *word, const struct mkto_json *object)
{
    const struct mkto_json *each = object == NULL ? NULL : object->first;

    while (each != NULL && (each->type != MKTO_JSON_NUMBER || mkto_slice_is(each->text, "0"))) {
        each = each->next;
    }
    if (each != NULL) {
        label(out, word);
        put_counts(out, object);
        fputc('\n', out);
    }
}

static void courier_line(FILE *out, const struct mkto_json *status)
{
    const struct mkto_json *held = mkto_json_get(status, "held");
    char up[32];

    mkto_layout_duration(number(status, "uptime_s") * 1000, up, sizeof(up));
    label(out, "courier");
    put(out, "", text(status, "version"));
    fprintf(out, ", pid %" PRId64 ", up %s", number(status, "pid"), up);
    if (held != NULL && held->type == MKTO_JSON_TRUE) {
        fputs(", held: it delivers nothing", out);
    }
    fputc('\n', out);
    label(out, "config");
    put(out, "", text(status, "config"));
    fputc('\n', out);
}

static void spool_line(FILE *out, const struct mkto_json *spool)
{
    char size[2][32];

    mkto_layout_size(number(spool, "bytes"), size[0], sizeof(size[0]));
    mkto_layout_size(number(spool, "max_bytes"), size[1], sizeof(size[1]));
    label(out, "spool");
    put(out, "", text(spool, "path"));
    fprintf(out, ": %" PRId64 " waiting, %" PRId64 " dead letters, %s of %s\n",
            number(spool, "waiting"), number(spool, "dead"), size[0], size[1]);
    counts_line(out, "  dead", mkto_json_get(spool, "dead_by_reason"));
    if (text(spool, "why").len > 0) {
        label(out, "");
        put(out, "takes no new events: ", text(spool, "why"));
        fputc('\n', out);
    }
}

static void intake_lines(FILE *out, const struct mkto_json *intake)
{
    label(out, "intake");
    fprintf(out,
            "%" PRId64 " accepted, %" PRId64 " of them in the last minute; %" PRId64
            " duplicates, %" PRId64 " filtered, %" PRId64 " rejected; %" PRId64 " servers\n",
            number(intake, "accepted"), number(intake, "accepted_last_minute"),
            number(intake, "duplicates"), number(intake, "filtered"), number(intake, "rejected"),
            number(intake, "servers"));
    counts_line(out, "  filtered", mkto_json_get(intake, "filtered_by"));
    counts_line(out, "  rejected", mkto_json_get(intake, "rejected_by"));
    if (number(intake, "failed_commits") > 0) {
        label(out, "");
        fprintf(out, "%" PRId64 " commits failed\n", number(intake, "failed_commits"));
    }
}

/* ---- a subscription ---- */

static void queue_line(FILE *out, const struct mkto_json *queue)
{
    const char *between = "";

    label(out, "  waiting");
    for (const struct mkto_json *each = queue == NULL ? NULL : queue->first; each != NULL;
         each = each->next) {
        char age[32];

        fprintf(out, "%s%s %" PRId64, between, each->key.data, number(each, "events"));
        between = ", ";
        if (mkto_json_get(each, "oldest_ms") != NULL) {
            mkto_layout_duration(number(each, "oldest_ms"), age, sizeof(age));
            fprintf(out, " (oldest %s)", age);
        }
    }
    fputc('\n', out);
}

static void calls_line(FILE *out, const struct mkto_json *budget)
{
    char reset[32];

    mkto_layout_date(number(budget, "day_reset"), reset, sizeof(reset));
    label(out, "  calls");
    fprintf(out,
            "%" PRId64 " of %" PRId64 " in 20 s, %" PRId64 " of %" PRId64
            " today (until %s), %" PRId64 " of %" PRId64 " under way\n",
            number(budget, "window_used"),
            number(budget, "window_used") + number(budget, "window_left"),
            number(budget, "day_used"), number(budget, "day_used") + number(budget, "day_left"),
            reset, number(budget, "running"), number(budget, "at_once"));
}

static void pause_line(FILE *out, const struct mkto_json *pause)
{
    char until[32];

    mkto_layout_date(number(pause, "until"), until, sizeof(until));
    label(out, "  PAUSED");
    put(out, "", text(pause, "api"));
    put(out, ": ", text(pause, "kind"));
    put(out, ", ", text(pause, "reason"));
    if (number(pause, "code") != 0) {
        fprintf(out, ", %" PRId64, number(pause, "code"));
    }
    put(out, ", ", text(pause, "why"));
    fprintf(out, "; asks again %s\n", until);
    if (text(pause, "hint").len > 0) {
        label(out, "");
        put(out, "", text(pause, "hint"));
        fputc('\n', out);
    }
}

static void error_line(FILE *out, const struct mkto_json *error)
{
    char last[32];

    mkto_layout_date(number(error, "last"), last, sizeof(last));
    label(out, "  error");
    mkto_layout_text(out, error->key);
    fprintf(out, " %" PRId64 " times, last %s\n", number(error, "count"), last);
}

static void refused_line(FILE *out, const struct mkto_json *fields)
{
    if (fields == NULL || fields->first == NULL) {
        return;
    }
    label(out, "  refused");
    for (const struct mkto_json *each = fields->first; each != NULL; each = each->next) {
        mkto_layout_text(out, each->text);
        fputs(each->next == NULL ? ": Marketo does not take these fields\n" : ", ", out);
    }
}

static void each_line(FILE *out, const struct mkto_json *list,
                      void (*line)(FILE *, const struct mkto_json *))
{
    for (const struct mkto_json *each = list == NULL ? NULL : list->first; each != NULL;
         each = each->next) {
        line(out, each);
    }
}

static void subscription_lines(FILE *out, const struct mkto_json *subscription)
{
    fputs("\n[marketo", out);
    put(out, " ", text(subscription, "name"));
    fputs("] ", out);
    put(out, "", text(subscription, "api"));
    fputc('\n', out);
    each_line(out, mkto_json_get(subscription, "paused"), pause_line);
    queue_line(out, mkto_json_get(subscription, "queue"));
    counts_line(out, "  so far", mkto_json_get(subscription, "counters"));
    label(out, "");
    fprintf(out, "%" PRId64 " delivered in the last minute\n",
            number(subscription, "delivered_last_minute"));
    calls_line(out, mkto_json_get(subscription, "budget"));
    each_line(out, mkto_json_get(subscription, "errors"), error_line);
    counts_line(out, "  dead", mkto_json_get(subscription, "dead_by_reason"));
    counts_line(out, "  filtered", mkto_json_get(subscription, "filtered_by_reason"));
    counts_line(out, "  withheld", mkto_json_get(subscription, "withheld_by_rule"));
    refused_line(out, mkto_json_get(subscription, "refused_fields"));
}

bool mkto_summary_print(FILE *out, const struct mkto_json *status)
{
    const struct mkto_json *dispatch = mkto_json_get(status, "dispatch");
    const struct mkto_json *failing = mkto_json_get(dispatch, "record_failing");

    if (dispatch == NULL || mkto_json_get(status, "spool") == NULL) {
        return false;
    }
    courier_line(out, status);
    spool_line(out, mkto_json_get(status, "spool"));
    intake_lines(out, mkto_json_get(status, "intake"));
    if (failing != NULL && failing->type == MKTO_JSON_TRUE) {
        label(out, "dispatch");
        fputs("waits: what was delivered cannot be recorded in the spool\n", out);
    }
    if (number(dispatch, "bad_rows") > 0) {
        label(out, "dispatch");
        fprintf(out, "%" PRId64 " damaged events were set aside\n", number(dispatch, "bad_rows"));
    }
    each_line(out, mkto_json_get(dispatch, "subscriptions"), subscription_lines);
    return true;
}
