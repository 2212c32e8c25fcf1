#include "mkto_probe.h"

#include <apr_strings.h>
#include <event2/event.h>
#include <strings.h>

#include "mkto_command.h"
#include "mkto_config_draft.h"
#include "mkto_names.h"
#include "mkto_reach.h"
#include "mkto_rest.h"
#include "mkto_soap.h"
#include "mkto_transport.h"

#define CLOCK_APART_MS 60000 /* a clock that is so far from Marketo's is told */

/* One subscription under question. */
struct probe {
    const struct mkto_subscription *sub;
    struct mkto_findings *findings;
    struct event_base *base;
    struct mkto_transport *transport;
    const char *about; /* "rest", "soap brand-b" */
    apr_pool_t *pool;
};

struct exchange {
    struct mkto_http_answer answer; /* its texts in the pool */
    apr_pool_t *pool;
    bool done;
};

static void answered(void *ctx, const struct mkto_http_answer *answer)
{
    struct exchange *exchange = ctx;

    exchange->answer = *answer;
    if (answer->body.data != NULL) {
        exchange->answer.body.data =
            apr_pstrmemdup(exchange->pool, answer->body.data, answer->body.len);
    }
    if (answer->detail != NULL) {
        exchange->answer.detail = apr_pstrdup(exchange->pool, answer->detail);
    }
    exchange->done = true;
}

/* Sends and waits. false, with a finding, when there is no HTTP answer. */
static bool fetch(const struct probe *probe, const struct mkto_http_request *request,
                  struct mkto_http_answer *answer)
{
    struct exchange exchange = {.pool = probe->pool};

    probe->transport->send(probe->transport, request, probe->sub->connect_timeout_ms,
                           probe->sub->timeout_ms, probe->sub->ca_file, answered, &exchange);
    while (!exchange.done && event_base_loop(probe->base, EVLOOP_ONCE) == 0) {
    }
    *answer = exchange.answer;
    if (!exchange.done || answer->result != MKTO_TRANSPORT_OK) {
        mkto_finding_add(probe->findings, MKTO_FINDING_MISTAKE, probe->about, "no answer: %s",
                         answer->detail == NULL ? "the connection failed" : answer->detail);
        return false;
    }
    return true;
}

/* What an answer that is no success says, in words. */
static const char *words_of(const struct mkto_http_answer *answer,
                            const struct mkto_call_result *result, apr_pool_t *pool)
{
    const struct mkto_result *call = &result->call;

    if (!result->understood) {
        return apr_psprintf(pool, "HTTP %d, and what came is not of this API", answer->status);
    }
    return apr_psprintf(pool, "HTTP %d, %s%s%d %s", answer->status,
                        call->status == NULL ? "" : call->status, call->status == NULL ? "" : " ",
                        call->code, call->text == NULL ? "" : call->text);
}

static void check_clock(const struct probe *probe, const struct mkto_http_answer *answer)
{
    int64_t apart;

    if (answer->date_ms < 0) {
        return;
    }
    apart = mkto_command_now() - answer->date_ms;
    if (apart > CLOCK_APART_MS || apart < -CLOCK_APART_MS) {
        mkto_finding_add(probe->findings, MKTO_FINDING_WARNING, probe->about,
                         "this host's clock is %lld s %s of the server's",
                         (long long)(apart < 0 ? -apart : apart) / 1000,
                         apart < 0 ? "behind" : "ahead");
    }
}

/* ---- fields ---- */

struct names {
    const char **all;
    size_t count;
};

static bool has_name(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcmp(names->all[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* A field that may be meant: other case, or one edit away. "" for none. */
static const char *hint(const struct names *names, const char *name, apr_pool_t *pool)
{
    for (size_t i = 0; i < names->count; i++) {
        if (strcasecmp(names->all[i], name) == 0 ||
            mkto_config_draft_is_near(names->all[i], name)) {
            return apr_psprintf(pool, "; did you mean %s?", names->all[i]);
        }
    }
    return "";
}

static void check_own_fields(const struct probe *probe, const struct names *names)
{
    for (size_t i = 0; i < probe->sub->field_count; i++) {
        const struct mkto_config_field *field = &probe->sub->fields[i];

        if (field->name[0] != '\0' && !has_name(names, field->name)) {
            mkto_finding_add(probe->findings, MKTO_FINDING_MISTAKE, probe->about,
                             "line %u: %s = %s: Marketo has no field of that name%s", field->line,
                             field->trait, field->name, hint(names, field->name, probe->pool));
        }
    }
}

/* Traits that the mapping writes by itself, beside those that a site sends. */
static void check_usual_fields(const struct probe *probe, const struct names *names)
{
    static const char *const traits[] = {
        "firstName", "lastName", "company",    "address",  "city",   "state",
        "country",   "phone",    "postalCode", "industry", "userId",
    };

    for (size_t i = 0; i < sizeof(traits) / sizeof(traits[0]); i++) {
        const char *name =
            mkto_names_field(mkto_slice_str(traits[i]), MKTO_API_REST, probe->sub, probe->pool);

        if (name != NULL && !has_name(names, name)) {
            mkto_finding_add(probe->findings, MKTO_FINDING_WARNING, probe->about,
                             "Marketo has no field %s for %s%s: create it, map it in [fields], or "
                             "write `%s =` there to leave it out",
                             name, traits[i], hint(names, name, probe->pool), traits[i]);
        }
    }
}

static void check_fields(const struct probe *probe, const char *token)
{
    struct mkto_http_request request;
    struct mkto_http_answer answer;
    struct mkto_call_result result;
    struct names names;

    mkto_rest_describe(probe->sub, token, &request, probe->pool);
    if (!fetch(probe, &request, &answer)) {
        return;
    }
    names.count = mkto_rest_read_fields(answer.body, &names.all, probe->pool);
    if (names.count == 0) {
        mkto_rest_read(answer.body, &result, probe->pool);
        mkto_finding_add(probe->findings, MKTO_FINDING_MISTAKE, probe->about,
                         "the fields cannot be listed: %s",
                         words_of(&answer, &result, probe->pool));
        return;
    }
    mkto_finding_add(probe->findings, MKTO_FINDING_FINE, probe->about, "%zu lead fields",
                     names.count);
    check_own_fields(probe, &names);
    check_usual_fields(probe, &names);
}

/* ---- APIs ---- */

/* A secret's length, or -1 with a finding. */
static long take_secret(const struct probe *probe, const char *file, char *secret, size_t size)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    long len = mkto_config_secret(file, secret, size, &err);

    if (len < 0) {
        mkto_finding_add(probe->findings, MKTO_FINDING_MISTAKE, probe->about, "%s", err.text);
    }
    return len;
}

static void probe_rest(struct probe *probe)
{
    char secret[MKTO_CONFIG_SECRET_MAX];
    struct mkto_http_request request;
    struct mkto_http_answer answer;
    struct mkto_call_result result;
    long len = take_secret(probe, probe->sub->rest_client_secret_file, secret, sizeof(secret));

    if (len < 0) {
        return;
    }
    mkto_rest_token(probe->sub, (struct mkto_slice){secret, (size_t)len}, &request, probe->pool);
    explicit_bzero(secret, sizeof(secret));
    if (!fetch(probe, &request, &answer)) {
        return;
    }
    check_clock(probe, &answer);
    mkto_rest_read(answer.body, &result, probe->pool);
    if (result.token == NULL) {
        mkto_finding_add(probe->findings, MKTO_FINDING_MISTAKE, probe->about,
                         "client id and secret are not taken: %s; look at rest_client_id and "
                         "rest_client_secret_file",
                         words_of(&answer, &result, probe->pool));
        return;
    }
    mkto_finding_add(probe->findings, MKTO_FINDING_FINE, probe->about,
                     "client id and secret are good at %s", probe->sub->rest_endpoint);
    check_fields(probe, result.token);
}

static void probe_soap(struct probe *probe)
{
    char key[MKTO_CONFIG_SECRET_MAX];
    struct mkto_soap_credentials credentials = {mkto_slice_str(probe->sub->soap_user_id), {key, 0}};
    struct mkto_http_request request;
    struct mkto_http_answer answer;
    struct mkto_call_result result;
    long len = take_secret(probe, probe->sub->soap_encryption_key_file, key, sizeof(key));

    if (len < 0) {
        return;
    }
    credentials.encryption_key.len = (size_t)len;
    mkto_soap_probe(probe->sub, &credentials, mkto_command_now(), &request, probe->pool);
    explicit_bzero(key, sizeof(key));
    if (!fetch(probe, &request, &answer)) {
        return;
    }
    check_clock(probe, &answer);
    mkto_soap_read(answer.body, &result, probe->pool);
    if (!result.understood) {
        mkto_finding_add(probe->findings, MKTO_FINDING_MISTAKE, probe->about,
                         "HTTP %d, and what came is not SOAP: Marketo removed this API on "
                         "2026-07-31; use api = rest",
                         answer.status);
    } else if (!result.call.ok) {
        mkto_finding_add(probe->findings, MKTO_FINDING_MISTAKE, probe->about,
                         "refused: %s; look at soap_user_id and "
                         "soap_encryption_key_file",
                         words_of(&answer, &result, probe->pool));
    } else {
        mkto_finding_add(probe->findings, MKTO_FINDING_FINE, probe->about,
                         "user id and encryption key are good at %s", probe->sub->soap_endpoint);
    }
}

static void probe_munchkin(struct probe *probe)
{
    struct mkto_error err = MKTO_ERROR_INIT;

    if (mkto_reach(probe->sub->munchkin_endpoint, probe->sub->ca_file,
                   probe->sub->connect_timeout_ms, &err) != 0) {
        mkto_finding_add(probe->findings, MKTO_FINDING_MISTAKE, probe->about,
                         "%s cannot be reached: %s", probe->sub->munchkin_endpoint, err.text);
    } else {
        mkto_finding_add(probe->findings, MKTO_FINDING_FINE, probe->about,
                         "%s can be reached; no visit was sent", probe->sub->munchkin_endpoint);
    }
}

static const char *about(const struct probe *probe, const char *api)
{
    return apr_pstrcat(probe->pool, api, probe->sub->name[0] == '\0' ? "" : " ", probe->sub->name,
                       NULL);
}

static void probe_subscription(struct probe *probe)
{
    probe->about = about(probe, "rest");
    if (probe->sub->rest_client_id != NULL) {
        probe_rest(probe);
    }
    probe->about = about(probe, "soap");
    if (probe->sub->api == MKTO_API_SOAP) {
        probe_soap(probe);
    }
    probe->about = about(probe, "munchkin");
    probe_munchkin(probe);
}

void mkto_probe(const struct mkto_config *config, struct mkto_findings *findings)
{
    struct event_base *base = event_base_new();
    struct probe probe = {.findings = findings, .base = base, .pool = findings->pool};
    apr_pool_t *pool;

    if (base == NULL || apr_pool_create(&pool, findings->pool) != APR_SUCCESS) {
        mkto_finding_add(findings, MKTO_FINDING_MISTAKE, "online", "out of memory");
        return;
    }
    probe.transport = mkto_transport_curl(base, pool);
    for (size_t i = 0; i < config->subscription_count; i++) {
        probe.sub = &config->subscriptions[i];
        probe_subscription(&probe);
    }
    apr_pool_destroy(pool);
    event_base_free(base);
}
