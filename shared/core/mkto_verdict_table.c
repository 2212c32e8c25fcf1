#include "mkto_verdict_table.h"

/*
 * Short forms, so that a row fits a line. A fatal code of a whole call becomes SPLIT wherever one
 * bad record may be the cause: its neighbours must not die with it.
 */
#define DEAD MKTO_VERDICT_DEAD, MKTO_VERDICT_SPLIT, MKTO_VERDICT_DEAD, MKTO_PAUSE_NONE, 0
#define DEAD_ALL MKTO_VERDICT_DEAD, MKTO_VERDICT_DEAD, MKTO_VERDICT_DEAD, MKTO_PAUSE_NONE, 0
#define STRIP MKTO_VERDICT_STRIP, MKTO_VERDICT_STRIP, MKTO_VERDICT_STRIP, MKTO_PAUSE_NONE, 0
#define SPLIT_RETRY MKTO_VERDICT_RETRY, MKTO_VERDICT_SPLIT, MKTO_VERDICT_RETRY, MKTO_PAUSE_NONE, 0
#define RETRY MKTO_VERDICT_RETRY, MKTO_VERDICT_RETRY, MKTO_VERDICT_RETRY, MKTO_PAUSE_NONE, 0
#define REFRESH MKTO_VERDICT_REFRESH, MKTO_VERDICT_REFRESH, MKTO_VERDICT_REFRESH, MKTO_PAUSE_NONE, 0
#define PAUSE(kind, after_ms)                                                                      \
    MKTO_VERDICT_PAUSE, MKTO_VERDICT_PAUSE, MKTO_VERDICT_PAUSE, MKTO_PAUSE_##kind, (after_ms)

/* clang-format off */

/* marketo-soap 5.2 */
static const struct mkto_verdict_row soap_rows[] = {
    /* "Few times", says the contract; but an outage says it to everything, and that takes longer. */
    {10001, RETRY, "internal"},
    {20011, RETRY, "internal"},
    {20012, DEAD, "not_understood"},
    {20013, PAUSE(CREDENTIALS, 0), "access_denied"},
    {20014, PAUSE(CREDENTIALS, 0), "credentials"},
    {20015, PAUSE(QUOTA, 0), "quota"},
    {20016, REFRESH, "clock"},
    {20017, DEAD, "invalid_request"},
    {20018, DEAD, "encoding"},
    {20019, DEAD_ALL, "unsupported"},
    {20022, DEAD, "time_range"},
    {20023, PAUSE(RATE, MKTO_VERDICT_RATE_MS), "rate"},
    {20024, PAUSE(CONCURRENCY, MKTO_VERDICT_CONCURRENCY_MS), "concurrency"},
    {20101, DEAD, "no_key"},
    {20102, DEAD, "bad_key"},
    {20103, DEAD, "lead_not_found"},
    {20104, DEAD, "no_detail"},
    {20105, STRIP, "unknown_field"},
    {20106, SPLIT_RETRY, "sync_failed"},
    {20107, DEAD, "activity_key"},
    {20108, DEAD, "owner_not_found"},
    {20109, DEAD, "missing_parameter"},
    {20110, DEAD, "bad_parameter"},
    {20111, DEAD, "list_not_found"},
    {20113, DEAD, "campaign_not_found"},
    {20114, DEAD, "bad_parameter"},
    {20122, DEAD, "stream_position"},
    {20123, DEAD, "stream_end"},
};

/* munchkin-and-rest B3, calls first, records after them */
static const struct mkto_verdict_row rest_rows[] = {
    /* "Few", says the contract of 500 and 611; see 10001. Whoever waits does so for a time of its
     * own, so that a record that is the cause meets its neighbours once or twice and no more. */
    {500, RETRY, "internal"},
    {502, RETRY, "gateway"},
    {600, REFRESH, "token"},
    {601, REFRESH, "token"},
    {602, REFRESH, "token"},
    {603, PAUSE(CREDENTIALS, 0), "access_denied"},
    {604, RETRY, "timeout"},
    {605, DEAD_ALL, "method"},
    {606, PAUSE(RATE, MKTO_VERDICT_RATE_MS), "rate"},
    {607, PAUSE(QUOTA, 0), "quota"},
    {608, PAUSE(DOWN, 0), "unavailable"},
    {609, DEAD, "invalid_json"},
    /* Our paths are constant: what is not found is the API, not a record. */
    {610, PAUSE(GONE, 0), "gone"},
    {611, RETRY, "system"},
    {612, DEAD_ALL, "content_type"},
    {613, DEAD_ALL, "multipart"},
    {614, PAUSE(DOWN, MKTO_VERDICT_SLOWLY_MS), "subscription"},
    {615, PAUSE(CONCURRENCY, MKTO_VERDICT_CONCURRENCY_MS), "concurrency"},
    {616, DEAD_ALL, "subscription_type"},
    {701, DEAD, "blank_field"},
    {702, DEAD, "no_data"},
    {703, DEAD_ALL, "feature_off"},
    {704, DEAD, "bad_date"},
    {709, DEAD, "asset_rule"},
    {710, DEAD, "asset_rule"},
    {711, DEAD, "asset_rule"},
    {712, DEAD, "merge"},
    {713, RETRY, "transient"},
    {714, DEAD, "record_type"},
    {718, DEAD, "salesperson"},
    {719, RETRY, "lock_wait"},
    {1001, DEAD, "wrong_type"},
    {1002, DEAD, "missing_parameter"},
    {1003, DEAD, "invalid_data"},
    {1004, DEAD, "lead_not_found"},
    {1005, DEAD, "exists"},
    {1006, STRIP, "unknown_field"},
    {1007, DEAD, "multiple_matches"},
    {1008, DEAD, "partition_denied"},
    {1009, DEAD, "partition_required"},
    {1010, DEAD, "other_partition"},
    {1011, DEAD, "unsupported_field"},
    {1012, DEAD, "bad_cookie"},
    {1013, DEAD, "object_not_found"},
    {1014, DEAD, "create_failed"},
    {1015, DEAD, "not_in_list"},
    {1016, DEAD, "too_many_imports"},
    {1017, DEAD, "object_exists"},
    {1018, DEAD, "crm_enabled"},
    {1019, DEAD, "import_running"},
    {1020, DEAD, "clone_limit"},
    {1021, STRIP, "company_field"},
    {1022, DEAD, "in_use"},
    {1025, DEAD, "program_status"},
    {1026, DEAD, "custom_objects_off"},
    {1027, DEAD, "activity_types"},
    {1028, DEAD, "activity_attributes"},
    {1029, DEAD, "export_quota"},
    {1035, DEAD, "filter"},
    {1036, DEAD, "duplicate"},
    {1037, DEAD, "skipped"},
    {1042, DEAD, "run_at"},
    {1048, DEAD, "custom_object_draft"},
    {1049, DEAD, "activity_size"},
    {1076, DEAD, "merge"},
    {1077, DEAD, "merge"},
    {1078, DEAD, "merge"},
    {1079, DEAD, "merge"},
    {1080, DEAD, "merge_size"},
};

/* The body said nothing that is of this API. Rows end at a status of 0: what holds otherwise. */
static const struct mkto_verdict_row rest_http[] = {
    {400, SPLIT_RETRY, "http_400"},
    {401, PAUSE(CREDENTIALS, 0), "credentials"},
    {403, PAUSE(CREDENTIALS, 0), "access_denied"},
    {404, PAUSE(GONE, 0), "gone"},
    {407, PAUSE(DOWN, 0), "proxy"},
    {408, RETRY, "timeout"},
    {410, PAUSE(GONE, 0), "gone"},
    {413, DEAD, "too_large"},
    {414, DEAD, "uri_too_long"},
    {429, PAUSE(RATE, MKTO_VERDICT_RATE_MS), "rate"},
    {500, RETRY, "http_500"},
    {0, RETRY, "not_rest"},
};
static const struct mkto_verdict_row soap_http[] = {
    {401, PAUSE(CREDENTIALS, 0), "credentials"},
    {403, PAUSE(CREDENTIALS, 0), "access_denied"},
    {407, PAUSE(DOWN, 0), "proxy"},
    {408, RETRY, "timeout"},
    {413, DEAD, "too_large"},
    {429, PAUSE(RATE, MKTO_VERDICT_RATE_MS), "rate"},
    {500, RETRY, "http_500"},
    /* Nobody knows what the retired endpoint answers; a SOAP server answers in SOAP. */
    {0, PAUSE(GONE, 0), "gone"},
};
/* A redirect is never followed, so it repeats until munchkin_endpoint is mended. */
static const struct mkto_verdict_row munchkin_http[] = {
    {408, RETRY, "timeout"},
    {429, PAUSE(RATE, MKTO_VERDICT_RATE_MS), "rate"},
    {0, RETRY, "http_other"},
};
static const struct mkto_verdict_row munchkin_refused = {0, DEAD_ALL, "http_4xx"};
static const struct mkto_verdict_row munchkin_broken = {0, RETRY, "http_5xx"};
static const struct mkto_verdict_row redirected = {0, PAUSE(GONE, 0), "redirect"};
static const struct mkto_verdict_row down = {0, PAUSE(DOWN, 0), "http_5xx"};

static const struct mkto_verdict_row transport_rows[MKTO_TRANSPORT_COUNT] = {
    [MKTO_TRANSPORT_OK]        = {0, RETRY, "no_answer"},
    [MKTO_TRANSPORT_REFUSED]   = {0, PAUSE(DOWN, 0), "refused"},
    [MKTO_TRANSPORT_TLS]       = {0, PAUSE(DOWN, 0), "tls"},
    [MKTO_TRANSPORT_TIMEOUT]   = {0, RETRY, "timeout"},
    [MKTO_TRANSPORT_BROKEN]    = {0, RETRY, "broken"},
    [MKTO_TRANSPORT_TOO_LARGE] = {0, RETRY, "answer_too_large"},
};

/* RFC 6749 5.2 */
static const struct {
    const char *word;
    struct mkto_verdict_row row;
} oauth_rows[] = {
    {"invalid_client",      {0, PAUSE(CREDENTIALS, 0), "credentials"}},
    {"invalid_grant",       {0, PAUSE(CREDENTIALS, 0), "credentials"}},
    {"unauthorized",        {0, PAUSE(CREDENTIALS, 0), "credentials"}},
    {"unauthorized_client", {0, PAUSE(CREDENTIALS, 0), "credentials"}},
    {"access_denied",       {0, PAUSE(CREDENTIALS, 0), "access_denied"}},
};

static const struct {
    enum mkto_api api;
    enum mkto_pause_kind pause;
    const char *text;
} hints[] = {
    {MKTO_API_SOAP, MKTO_PAUSE_GONE,
     "Marketo removed its SOAP API on 2026-07-31: set api = rest, or soap_endpoint to a gateway that still speaks it"},
    {MKTO_API_REST, MKTO_PAUSE_GONE, "check rest_endpoint: there is no Marketo REST API at that address"},
    {MKTO_API_SOAP, MKTO_PAUSE_CREDENTIALS, "check soap_user_id and soap_encryption_key_file"},
    {MKTO_API_REST, MKTO_PAUSE_CREDENTIALS,
     "check rest_client_id and rest_client_secret_file, the API user's role and the allowed addresses"},
    {MKTO_API_SOAP, MKTO_PAUSE_QUOTA, "the subscription's calls of today are used up: lower calls_per_day"},
    {MKTO_API_REST, MKTO_PAUSE_QUOTA, "the subscription's calls of today are used up: lower calls_per_day"},
};
/* clang-format on */

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static const struct mkto_verdict_row *find(const struct mkto_verdict_row *rows, size_t count,
                                           int code)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].code == code) {
            return &rows[i];
        }
    }
    return NULL;
}

const struct mkto_verdict_row *mkto_verdict_table_soap(int code)
{
    return find(soap_rows, ROWS(soap_rows), code);
}

unsigned mkto_verdict_table_tries(enum mkto_api api, int code)
{
    return api == MKTO_API_SOAP && code == 20106 ? MKTO_VERDICT_SYNC_TRIES : 0;
}

const struct mkto_verdict_row *mkto_verdict_table_rest(int code)
{
    return find(rest_rows, ROWS(rest_rows), code);
}

static const struct mkto_verdict_row *find_or_last(const struct mkto_verdict_row *rows,
                                                   size_t count, int status)
{
    const struct mkto_verdict_row *row = find(rows, count, status);
    return row == NULL ? &rows[count - 1] : row;
}

static const struct mkto_verdict_row *munchkin_row(int status)
{
    const struct mkto_verdict_row *row = find(munchkin_http, ROWS(munchkin_http), status);

    if (row != NULL) {
        return row;
    }
    if (status >= 500) {
        return &munchkin_broken;
    }
    return status >= 400 ? &munchkin_refused : &munchkin_http[ROWS(munchkin_http) - 1];
}

const struct mkto_verdict_row *mkto_verdict_table_http(enum mkto_api api, int status)
{
    if (api == MKTO_API_MUNCHKIN) {
        return munchkin_row(status);
    }
    if (status > 500) {
        return &down;
    }
    if (status >= 300 && status < 400) {
        return &redirected;
    }
    return api == MKTO_API_SOAP ? find_or_last(soap_http, ROWS(soap_http), status)
                                : find_or_last(rest_http, ROWS(rest_http), status);
}

const struct mkto_verdict_row *mkto_verdict_table_transport(enum mkto_transport_result result)
{
    size_t index = (size_t)result;
    return &transport_rows[index < MKTO_TRANSPORT_COUNT ? index : MKTO_TRANSPORT_OK];
}

const struct mkto_verdict_row *mkto_verdict_table_oauth(const char *word)
{
    for (size_t i = 0; word != NULL && i < ROWS(oauth_rows); i++) {
        if (strcmp(oauth_rows[i].word, word) == 0) {
            return &oauth_rows[i].row;
        }
    }
    return NULL;
}

const char *mkto_verdict_table_hint(enum mkto_api api, enum mkto_pause_kind pause)
{
    for (size_t i = 0; i < ROWS(hints); i++) {
        if (hints[i].api == api && hints[i].pause == pause) {
            return hints[i].text;
        }
    }
    return NULL;
}
