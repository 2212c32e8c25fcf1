#include "mkto_command.h"

#include "mkto_config.h"
#include "mkto_cookie.h"
#include "mkto_event.h"
#include "mkto_input.h"
#include "mkto_map.h"
#include "mkto_option.h"
#include "mkto_preview.h"

#define BROWSER_AGENT "Mozilla/5.0" /* no program's */

/* The options as they were given. */
struct request {
    const char *config;
    const char *subscription;
    const char *api;
    const char *cookie;
    const char *type;
    const char *host;
    const char *address;
    const char *agent;
    const char *now;
    const char *email;
    bool browser;
    bool foreign;
};

/* A run of the command. */
struct mapping {
    const struct mkto_command *self;
    struct mkto_preview preview;
    struct mkto_envelope envelope; /* of all events, but for call and body */
    enum mkto_api api;
    enum mkto_call type;              /* --type, or NONE: from the event */
    char key[MKTO_CONFIG_SECRET_MAX]; /* SOAP encryption key, with --wire */
    char cookie[MKTO_COOKIE_MAX];     /* --cookie, formatted */
    bool refused;                     /* an event was rejected */
};

static int set_type(struct mapping *m, const char *type)
{
    if (type == NULL) {
        return 0;
    }
    m->type = mkto_call_find(mkto_slice_str(type));
    if (m->type == MKTO_CALL_NONE || m->type == MKTO_CALL_BATCH) {
        return mkto_command_fail(m->self, "--type is identify, track, page, screen, group or "
                                          "alias");
    }
    return 0;
}

static int set_api(struct mapping *m, const char *api)
{
    m->api = m->preview.subscription->api;
    if (api == NULL) {
        return 0;
    }
    if (strcmp(api, "rest") != 0 && strcmp(api, "soap") != 0) {
        return mkto_command_fail(m->self, "--api is rest or soap");
    }
    m->api = api[0] == 's' ? MKTO_API_SOAP : MKTO_API_REST;
    return 0;
}

static int set_cookie(struct mapping *m, const char *value)
{
    struct mkto_cookie cookie;

    if (value == NULL) {
        return 0;
    }
    if (mkto_cookie_parse(mkto_slice_str(value), &cookie) != 0 ||
        mkto_cookie_format(cookie.id, cookie.token, m->cookie, sizeof(m->cookie)) == 0) {
        return mkto_command_fail(m->self, "--cookie is the value of _mkto_trk, like "
                                          "'id:561-HYG-937&token:_mch-example.com-1-10000'");
    }
    m->envelope.cookie = mkto_slice_str(m->cookie);
    return 0;
}

/* SOAP requests are signed with the real key, or they would not be the exact ones. */
static int set_credentials(struct mapping *m)
{
    const struct mkto_subscription *sub = m->preview.subscription;
    struct mkto_error err = MKTO_ERROR_INIT;
    long len;

    if (!m->preview.wire || m->api != MKTO_API_SOAP) {
        return 0;
    }
    if (sub->soap_endpoint == NULL || sub->soap_user_id == NULL ||
        sub->soap_encryption_key_file == NULL) {
        return mkto_command_fail(m->self, "soap_endpoint, soap_user_id and "
                                          "soap_encryption_key_file are needed to write SOAP "
                                          "requests");
    }
    len = mkto_config_secret(sub->soap_encryption_key_file, m->key, sizeof(m->key), &err);
    if (len < 0) {
        return mkto_command_fail(m->self, "%s", err.text);
    }
    m->preview.credentials.user_id = mkto_slice_str(sub->soap_user_id);
    m->preview.credentials.encryption_key = (struct mkto_slice){m->key, (size_t)len};
    return 0;
}

static void set_envelope(struct mapping *m, const struct request *given)
{
    struct mkto_envelope *envelope = &m->envelope;

    envelope->flags = MKTO_ENVELOPE_HTTPS;
    if (given->browser || given->foreign) {
        envelope->flags |= MKTO_ENVELOPE_BROWSER;
        envelope->flags |= given->foreign ? 0 : MKTO_ENVELOPE_OWN;
        envelope->user_agent = MKTO_SLICE_LIT(BROWSER_AGENT);
    } else {
        envelope->flags |= MKTO_ENVELOPE_KEYED;
    }
    envelope->received_ms = m->preview.now_ms;
    envelope->subscription = mkto_slice_str(m->preview.subscription->name);
    envelope->host = mkto_slice_str(given->host);
    envelope->remote_addr = mkto_slice_str(given->address);
    envelope->email = mkto_slice_str(given->email);
    if (given->agent != NULL) {
        envelope->user_agent = mkto_slice_str(given->agent);
    }
}

static int set_up(struct mapping *m, const struct request *given)
{
    m->preview.now_ms = mkto_command_now();
    if (given->now != NULL && mkto_option_number(given->now, 0, &m->preview.now_ms) != 0) {
        return mkto_command_fail(m->self, "--now is a time in ms since 1970");
    }
    set_envelope(m, given);
    if (set_type(m, given->type) != 0 || set_api(m, given->api) != 0 ||
        set_cookie(m, given->cookie) != 0 || set_credentials(m) != 0) {
        return MKTO_EXIT_COULD_NOT;
    }
    return 0;
}

static void map_event(struct mapping *m, const struct mkto_event *event, apr_pool_t *pool)
{
    struct mkto_delivery delivery;

    mkto_map(event, m->preview.subscription, m->api, &delivery, pool);
    m->refused = m->refused || delivery.kind == MKTO_DELIVERY_REJECTED;
    mkto_preview_delivery(&m->preview, &delivery, pool);
}

static void refuse(struct mapping *m, const struct mkto_event_fault *fault, apr_pool_t *pool)
{
    m->refused = true;
    mkto_preview_fault(&m->preview, fault, pool);
}

static void map_batch(struct mapping *m, struct mkto_slice document, apr_pool_t *pool)
{
    struct mkto_envelope envelope = m->envelope;
    struct mkto_event_fault fault = {MKTO_ANSWER_BAD_REQUEST, MKTO_ERROR_INIT};
    struct mkto_event_item *items;
    struct mkto_slice defaults;
    size_t count;

    envelope.call = MKTO_CALL_BATCH;
    envelope.body = document;
    if (mkto_event_read_batch(&envelope, &items, &count, &defaults, &fault, pool) != 0) {
        refuse(m, &fault, pool);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (items[i].event == NULL) {
            refuse(m, items[i].fault, pool);
        } else {
            map_event(m, items[i].event, pool);
        }
    }
}

static void map_single(struct mapping *m, struct mkto_slice document, const struct mkto_json *root,
                       apr_pool_t *pool)
{
    struct mkto_envelope envelope = m->envelope;
    struct mkto_event_fault fault = {MKTO_ANSWER_BAD_REQUEST, MKTO_ERROR_INIT};
    struct mkto_event *event;

    envelope.body = document;
    envelope.call = m->type;
    if (envelope.call == MKTO_CALL_NONE) {
        envelope.call = mkto_call_find(mkto_json_string(mkto_json_get(root, "type")));
    }
    if (envelope.call == MKTO_CALL_NONE || envelope.call == MKTO_CALL_BATCH) {
        mkto_error_set(&fault.error, "type: must be identify, track, page, screen, group or "
                                     "alias, here or with --type");
        refuse(m, &fault, pool);
    } else if (mkto_event_read(&envelope, &event, &fault, pool) != 0) {
        refuse(m, &fault, pool);
    } else {
        map_event(m, event, pool);
    }
}

static void map_document(struct mapping *m, struct mkto_slice document, apr_pool_t *pool)
{
    struct mkto_event_fault fault = {MKTO_ANSWER_BAD_REQUEST, MKTO_ERROR_INIT};
    struct mkto_json *root = NULL;

    if (document.len > MKTO_BODY_MAX) {
        fault.answer = MKTO_ANSWER_TOO_LARGE;
        mkto_error_set(&fault.error, "%zu bytes; at most %d are taken", document.len,
                       MKTO_BODY_MAX);
        refuse(m, &fault, pool);
    } else if (mkto_json_parse_list(document, "batch", &root, &fault.error, pool) != 0) {
        refuse(m, &fault, pool);
    } else if (mkto_json_get(root, "batch") != NULL) {
        map_batch(m, document, pool);
    } else {
        map_single(m, document, root, pool);
    }
}

static int map_input(struct mapping *m, apr_pool_t *pool)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_input input;
    struct mkto_slice document;
    apr_pool_t *scratch;
    size_t documents = 0;

    if (mkto_input_read(&input, &err, pool) != 0) {
        return mkto_command_fail(m->self, "%s", err.text);
    }
    if (apr_pool_create(&scratch, pool) != APR_SUCCESS) {
        return mkto_command_fail(m->self, "out of memory");
    }
    while (mkto_input_next(&input, &document)) {
        map_document(m, document, scratch);
        apr_pool_clear(scratch);
        documents++;
    }
    if (documents == 0) {
        return mkto_command_fail(m->self, "there is no event on stdin");
    }
    return m->refused ? MKTO_EXIT_FOUND : MKTO_EXIT_FINE;
}

static int run(const struct mkto_command *self, int argc, char **argv, apr_pool_t *pool)
{
    struct mapping mapping = {.self = self};
    struct request given = {.config = MKTO_CONFIG_FILE};
    const struct mkto_option options[] = {
        MKTO_OPTION_CONFIG(&given.config),
        MKTO_OPTION_SUBSCRIPTION(&given.subscription),
        {"api", "rest|soap", "default: the one of the config", &given.api, NULL},
        {"type", "TYPE", "what the events are when they have no \"type\"", &given.type, NULL},
        {"cookie", "VALUE", "the request's _mkto_trk", &given.cookie, NULL},
        {"host", "HOST", "the request's Host header", &given.host, NULL},
        {"address", "IP", "the visitor's address", &given.address, NULL},
        {"user-agent", "TEXT", "the visitor's User-Agent header", &given.agent, NULL},
        {"browser", NULL, "as an anonymous browser's, not a keyed source's", NULL, &given.browser},
        {"foreign", NULL, "as --browser, from a page of another host", NULL, &given.foreign},
        {"email", "EMAIL", "what marketo_email says of the visitor", &given.email, NULL},
        {"wire", NULL, "print the HTTP requests", NULL, &mapping.preview.wire},
        {"json", NULL, "with --wire: a JSON line for each request", NULL, &mapping.preview.json},
        {"now", "MS", "time of receipt, ms since 1970; default the clock's", &given.now, NULL},
        MKTO_OPTION_END,
    };
    const struct mkto_config *config;
    int first;
    int rc = mkto_option_read(self, options, argc, argv, 0, &first);

    if (rc >= 0) {
        return rc;
    }
    config = mkto_command_config(given.config, true);
    if (config == NULL) {
        return MKTO_EXIT_COULD_NOT;
    }
    mapping.preview.subscription = mkto_command_subscription(self, config, given.subscription);
    rc = MKTO_EXIT_COULD_NOT;
    if (mapping.preview.subscription != NULL && set_up(&mapping, &given) == 0) {
        rc = map_input(&mapping, pool);
    }
    explicit_bzero(mapping.key, sizeof(mapping.key));
    mkto_config_free(config);
    return rc;
}

const struct mkto_command mkto_command_map = {
    "map",
    "[OPTION]... < EVENTS",
    "show what events would become, without network or spool",
    "Reads events of the Segment Tracking API from stdin - one JSON object, a batch\n"
    "body, or JSON lines of either - and prints one JSON line for each delivery:\n"
    "\n"
    "  {\"kind\":\"lead\",\"api\":\"soap\",\"key\":{\"email\":\"...\",\"cookie\":\"...\"},\n"
    "   \"fields\":{\"FirstName\":\"...\"}}\n"
    "  {\"kind\":\"visit\",\"url\":\"https://...\",\"headers\":{...}}\n"
    "  {\"kind\":\"rejected\",\"reason\":\"no_email\",\"detail\":\"...\"}\n"
    "  {\"kind\":\"filtered\",\"reason\":\"integrations\"}\n"
    "\n"
    "With --wire it prints the exact HTTP requests instead. SOAP requests are signed\n"
    "with the real key (the only secret that map reads). What Marketo alone can\n"
    "tell is shown as <token>, the REST access token, and <id>, the lead's id that\n"
    "Sync Leads answers with. Each event is shown by itself: the courier merges and\n"
    "batches those that wait. Exit code 1: an event was rejected.\n",
    run,
};
