#include "mkto_verdict.h"

#include <apr_strings.h>
#include <apr_tables.h>

#include <ctype.h>
#include <stdlib.h>

#include "mkto_verdict_table.h"

static const struct mkto_verdict_row delivered = {
    0, MKTO_VERDICT_DELIVERED, MKTO_VERDICT_DELIVERED, MKTO_VERDICT_DELIVERED, 0, 0, "delivered"};
static const struct mkto_verdict_row locked = {
    0, MKTO_VERDICT_RETRY, MKTO_VERDICT_RETRY, MKTO_VERDICT_RETRY, 0, MKTO_VERDICT_LOCK_MS, "lock"};
static const struct mkto_verdict_row unknown = {
    0, MKTO_VERDICT_RETRY, MKTO_VERDICT_RETRY, MKTO_VERDICT_RETRY, 0, 0, "unknown_code"};
/* A fault without a code is what Marketo's SOAP server says to XML that it cannot read: one record
 * may be the cause, and an outage as well. */
static const struct mkto_verdict_row no_code = {
    0, MKTO_VERDICT_RETRY, MKTO_VERDICT_SPLIT, MKTO_VERDICT_RETRY, 0, 0, "no_code"};

/* Company-level fields by their REST names (munchkin-and-rest B5): Sync Leads may not change them
 * where a company exists. */
static const char *const company_fields[] = {
    "company",           "site",         "website",       "mainPhone",   "annualRevenue",
    "numberOfEmployees", "industry",     "sicCode",       "billingCity", "billingCountry",
    "billingPostalCode", "billingState", "billingStreet", NULL};

static bool has_text(const char *text, const char *part)
{
    return text != NULL && strcasestr(text, part) != NULL;
}

static bool is_locked(const struct mkto_result *record)
{
    return has_text(record->text, "lock attempt") || has_text(record->status, "lock attempt");
}

/* What a refusal without a code, or with one that nobody knows, is taken for. */
static const struct mkto_verdict_row *
row_without_code(enum mkto_api api, int status, const struct mkto_result *record, bool whole_call)
{
    const struct mkto_verdict_row *row =
        api == MKTO_API_REST ? mkto_verdict_table_oauth(record->status) : NULL;

    if (row != NULL) {
        return row;
    }
    if (record->code != 0) {
        return &unknown;
    }
    /* Every SOAP fault comes with 500: there it says nothing more. */
    bool says_more = status >= 300 && !(api == MKTO_API_SOAP && status == 500);
    if (says_more && whole_call) {
        return mkto_verdict_table_http(api, status);
    }
    return api == MKTO_API_SOAP ? &no_code : &unknown;
}

static const struct mkto_verdict_row *find_row(enum mkto_api api,
                                               const struct mkto_http_answer *answer,
                                               const struct mkto_call_result *call,
                                               const struct mkto_result *record)
{
    if (answer->result != MKTO_TRANSPORT_OK) {
        return mkto_verdict_table_transport(answer->result);
    }
    if (api == MKTO_API_MUNCHKIN && answer->status >= 200 && answer->status < 300) {
        return &delivered;
    }
    if (api == MKTO_API_MUNCHKIN || call == NULL || !call->understood) {
        return mkto_verdict_table_http(api, answer->status);
    }
    if (record->ok) {
        return &delivered;
    }
    if (is_locked(record)) {
        return &locked;
    }
    const struct mkto_verdict_row *row = api == MKTO_API_SOAP
                                             ? mkto_verdict_table_soap(record->code)
                                             : mkto_verdict_table_rest(record->code);
    return row != NULL ? row : row_without_code(api, answer->status, record, record == &call->call);
}

static void add_name(apr_array_header_t *names, const char *start, size_t len)
{
    while (len > 0 && isspace((unsigned char)*start)) {
        start++;
        len--;
    }
    while (len > 0 && (isspace((unsigned char)start[len - 1]) || start[len - 1] == '.')) {
        len--;
    }
    if (len > 0 && names->nelts < MKTO_VERDICT_STRIP_MAX) {
        APR_ARRAY_PUSH(names, const char *) = apr_pstrmemdup(names->pool, start, len);
    }
}

/* "unknown fields for import: pants, Shoe Size (20105)": names with blanks, between commas. */
static void names_listed(apr_array_header_t *names, const char *text)
{
    const char *start = strcasestr(text, "unknown field");
    start = start == NULL ? NULL : strchr(start, ':');
    if (start == NULL) {
        return;
    }
    start++;
    const char *end = strstr(start, " (");
    end = end == NULL ? start + strlen(start) : end;
    while (start < end) {
        const char *comma = memchr(start, ',', (size_t)(end - start));
        const char *stop = comma == NULL ? end : comma;
        add_name(names, start, (size_t)(stop - start));
        start = stop + 1;
    }
}

/* "Field 'pants' not found": every name in quotes. */
static void names_quoted(apr_array_header_t *names, const char *text)
{
    for (const char *open = strpbrk(text, "'\""); open != NULL; open = strpbrk(open, "'\"")) {
        const char *close = strchr(open + 1, *open);
        if (close == NULL) {
            return;
        }
        add_name(names, open + 1, (size_t)(close - open - 1));
        open = close + 1;
    }
}

/* "Field pants not found": the word or words between. */
static void names_between(apr_array_header_t *names, const char *text)
{
    static const char before[] = "field ";
    const char *start = strcasestr(text, before);
    const char *end = start == NULL ? NULL : strcasestr(start, " not found");

    if (end != NULL && (size_t)(end - start) > sizeof(before) - 1) {
        start += sizeof(before) - 1;
        add_name(names, start, (size_t)(end - start));
    }
}

static const char *const *field_names(const char *text, apr_pool_t *pool)
{
    apr_array_header_t *names = apr_array_make(pool, 4, sizeof(const char *));
    void (*const ways[])(apr_array_header_t *, const char *) = {names_listed, names_quoted,
                                                                names_between};

    for (size_t i = 0; text != NULL && names->nelts == 0 && i < sizeof(ways) / sizeof(ways[0]);
         i++) {
        ways[i](names, text);
    }
    if (names->nelts == 0) {
        return NULL;
    }
    APR_ARRAY_PUSH(names, const char *) = NULL;
    return (const char *const *)(void *)names->elts;
}

/* Names to leave out. Without any, sending again changes nothing: the record is dead, and in a
 * batch it must be found first. */
static void decide_strip(struct mkto_verdict_decision *decision, int code, bool whole_call,
                         const char *text, apr_pool_t *pool)
{
    decision->fields = code == 1021 ? company_fields : field_names(text, pool);
    if (decision->fields == NULL) {
        decision->kind = whole_call ? MKTO_VERDICT_SPLIT : MKTO_VERDICT_DEAD;
        decision->alone = MKTO_VERDICT_DEAD;
    }
}

static int64_t at_least(int64_t after_ms, int64_t retry_after_ms)
{
    int64_t asked =
        retry_after_ms > MKTO_VERDICT_AFTER_MAX_MS ? MKTO_VERDICT_AFTER_MAX_MS : retry_after_ms;
    return asked > after_ms ? asked : after_ms;
}

void mkto_verdict(enum mkto_api api, const struct mkto_http_answer *answer,
                  const struct mkto_call_result *call, const struct mkto_result *record,
                  struct mkto_verdict_decision *decision, apr_pool_t *pool)
{
    bool whole_call = call == NULL || record == NULL || record == &call->call;
    if (whole_call && call != NULL) {
        record = &call->call;
    }
    const struct mkto_verdict_row *row = find_row(api, answer, call, record);

    *decision = (struct mkto_verdict_decision){
        .kind = whole_call ? row->call : row->record,
        .pause = row->pause,
        .after_ms = row->after_ms,
        .reason = row->reason,
        .hint = mkto_verdict_table_hint(api, row->pause),
    };
    decision->alone = decision->kind == MKTO_VERDICT_SPLIT ? row->alone : decision->kind;
    if (decision->kind == MKTO_VERDICT_STRIP) {
        decide_strip(decision, record->code, whole_call, record->text, pool);
    }
    if (decision->alone == MKTO_VERDICT_RETRY && row != &locked && record != NULL) {
        decision->tries = mkto_verdict_table_tries(api, record->code);
    }
    if (decision->alone == MKTO_VERDICT_RETRY || decision->kind == MKTO_VERDICT_PAUSE) {
        decision->after_ms = at_least(decision->after_ms, answer->retry_after_ms);
    }
}

const char *mkto_verdict_name(enum mkto_verdict_kind kind)
{
    static const char *const names[MKTO_VERDICT_COUNT] = {
        [MKTO_VERDICT_DELIVERED] = "delivered", [MKTO_VERDICT_RETRY] = "retry",
        [MKTO_VERDICT_REFRESH] = "refresh",     [MKTO_VERDICT_PAUSE] = "pause",
        [MKTO_VERDICT_STRIP] = "strip",         [MKTO_VERDICT_SPLIT] = "split",
        [MKTO_VERDICT_DEAD] = "dead",
    };
    return (size_t)kind < MKTO_VERDICT_COUNT ? names[kind] : "unknown";
}

const char *mkto_verdict_pause_name(enum mkto_pause_kind pause)
{
    static const char *const names[MKTO_PAUSE_COUNT] = {
        [MKTO_PAUSE_NONE] = "none",   [MKTO_PAUSE_RATE] = "rate",
        [MKTO_PAUSE_QUOTA] = "quota", [MKTO_PAUSE_CONCURRENCY] = "concurrency",
        [MKTO_PAUSE_GONE] = "gone",   [MKTO_PAUSE_CREDENTIALS] = "credentials",
        [MKTO_PAUSE_DOWN] = "down",
    };
    return (size_t)pause < MKTO_PAUSE_COUNT ? names[pause] : "unknown";
}
