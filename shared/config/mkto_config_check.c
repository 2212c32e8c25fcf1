#include "mkto_config_check.h"

#include <unistd.h>

#include "mkto_config_access.h"
#include "mkto_config_secret.h"

#define RESERVE_SHARE 10 /* calls_reserve, when not set, is at most a tenth of calls_per_day */

/* One subscription under check. */
struct subject {
    struct mkto_config_draft *draft;
    struct mkto_subscription *subscription;
    const unsigned *lines;
};

static void add(struct mkto_config_draft *draft, unsigned line, const char *key, const char *reason)
{
    mkto_config_report_add(&draft->report, line, key, reason);
}

static unsigned line_of(const struct subject *s, const char *key)
{
    return mkto_config_draft_line(s->lines, "marketo", key);
}

/* A key that must be there; one with a bad value has its mistake already. */
static void need(const struct subject *s, const char *key, const char *reason)
{
    if (line_of(s, key) == 0) {
        add(s->draft, s->subscription->line, key, reason);
    }
}

/* Two keys of which neither makes sense without the other. */
static void pair(const struct subject *s, const char *a, const char *b)
{
    char reason[MKTO_CONFIG_TEXT_MAX];

    if ((line_of(s, a) == 0) == (line_of(s, b) == 0)) {
        return;
    }
    snprintf(reason, sizeof(reason), "needs %s beside it", line_of(s, a) == 0 ? a : b);
    add(s->draft, line_of(s, a) + line_of(s, b), line_of(s, a) == 0 ? b : a, reason);
}

static void check_api(const struct subject *s)
{
    bool rest = s->subscription->api == MKTO_API_REST;
    bool any_rest = line_of(s, "rest_client_id") != 0 || line_of(s, "rest_client_secret_file") != 0;

    if (rest && !any_rest) {
        need(s, "rest_client_id", "missing; api = rest needs it");
        need(s, "rest_client_secret_file", "missing; api = rest needs it");
    }
    if (s->subscription->api == MKTO_API_SOAP) {
        need(s, "soap_endpoint", "missing; api = soap needs it");
        need(s, "soap_user_id", "missing; api = soap needs it");
        need(s, "soap_encryption_key_file", "missing; api = soap needs it");
    } else {
        pair(s, "soap_user_id", "soap_encryption_key_file");
    }
    pair(s, "rest_client_id", "rest_client_secret_file");
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text);

    return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

/* "https://<id in lower case>.DOMAIN" when the key is not there. */
static void derive(const struct subject *s, const char *key, const char *domain, const char **url)
{
    char text[64];

    if (line_of(s, key) != 0 || s->subscription->munchkin_id == NULL) {
        return;
    }
    snprintf(text, sizeof(text), "https://%s.%s", s->subscription->munchkin_id, domain);
    for (char *p = text; *p != '\0'; p++) {
        if (*p >= 'A' && *p <= 'Z') {
            *p = (char)(*p - 'A' + 'a');
        }
    }
    *url = mkto_config_arena_text(s->draft->arena, text, strlen(text));
}

static void check_endpoints(const struct subject *s)
{
    const char *rest = s->subscription->rest_endpoint;

    /* What Marketo's own admin page shows, and most people paste. */
    if (rest != NULL && (ends_with(rest, "/rest") || ends_with(rest, "/identity"))) {
        add(s->draft, line_of(s, "rest_endpoint"), "rest_endpoint",
            "must be written without /rest or /identity at its end");
    }
    derive(s, "rest_endpoint", "mktorest.com", &s->subscription->rest_endpoint);
    derive(s, "munchkin_endpoint", "mktoresp.com", &s->subscription->munchkin_endpoint);
}

static void check_limits(const struct subject *s)
{
    struct mkto_subscription *sub = s->subscription;

    if (line_of(s, "calls_reserve") == 0 &&
        sub->calls_reserve > sub->calls_per_day / RESERVE_SHARE) {
        sub->calls_reserve = sub->calls_per_day / RESERVE_SHARE;
    }
    if (sub->calls_reserve > sub->calls_per_day) {
        add(s->draft, line_of(s, "calls_reserve"), "calls_reserve", "is larger than calls_per_day");
    }
    if (sub->connect_timeout_ms > sub->timeout_ms) {
        bool set = line_of(s, "connect_timeout") != 0;

        add(s->draft, line_of(s, set ? "connect_timeout" : "timeout"),
            set ? "connect_timeout" : "timeout",
            set ? "is longer than timeout" : "is shorter than connect_timeout");
    }
}

static void check_files(const struct subject *s, const struct mkto_config_options *options)
{
    size_t count;
    const struct mkto_config_key *keys = mkto_config_keys(&count);

    for (size_t i = 0; i < count; i++) {
        struct mkto_error reason = MKTO_ERROR_INIT;
        const char *file;
        int rc;

        if (s->lines[i] == 0 ||
            (keys[i].kind != MKTO_CONFIG_KIND_SECRET && keys[i].kind != MKTO_CONFIG_KIND_FILE)) {
            continue;
        }
        file = *(const char *const *)((const char *)s->subscription + keys[i].offset);
        if (file == NULL) {
            continue;
        }
        rc = keys[i].kind == MKTO_CONFIG_KIND_SECRET
                 ? mkto_config_secret_check(file, options->reader, &reason)
                 : mkto_config_secret_check_plain(file, options->reader, &reason);
        if (rc != 0) {
            add(s->draft, s->lines[i], keys[i].key, reason.text);
        }
    }
}

/* The rows of [fields], then those of the subscription's own section. */
static void join_fields(struct mkto_config_draft *draft, struct mkto_subscription *subscription)
{
    struct mkto_config_field *joined;
    size_t count = 0;

    joined = mkto_config_arena_get(draft->arena, (draft->row_count + 1) * sizeof(*joined));
    if (joined == NULL) {
        return;
    }
    for (int own = 0; own < 2; own++) {
        const char *name = own ? subscription->name : "";

        for (size_t i = 0; i < draft->fields_count; i++) {
            const struct mkto_config_draft_fields *fields = &draft->fields[i];

            if (strcmp(fields->name, name) == 0 && fields->count > 0) {
                memcpy(joined + count, draft->rows + fields->first,
                       fields->count * sizeof(*joined));
                count += fields->count;
            }
        }
        if (subscription->name[0] == '\0') {
            break;
        }
    }
    subscription->fields = joined;
    subscription->field_count = count;
}

static void check_subscription(const struct subject *s, const struct mkto_config_options *options)
{
    need(s, "munchkin_id", "missing; every [marketo] section needs it");
    check_api(s);
    check_endpoints(s);
    check_limits(s);
    if (!options->skip_secret_files) {
        check_files(s, options);
    }
    join_fields(s->draft, s->subscription);
}

static void check_field_sections(struct mkto_config_draft *draft)
{
    for (size_t i = 0; i < draft->fields_count; i++) {
        const struct mkto_config_draft_fields *fields = &draft->fields[i];
        bool found = fields->name[0] == '\0';

        for (size_t j = 0; j < draft->subscription_count; j++) {
            found = found || strcmp(draft->subscriptions[j].name, fields->name) == 0;
        }
        if (!found) {
            add(draft, fields->line, NULL, "there is no [marketo] section of this name");
        }
    }
}

/* In a directory that everybody may write to, somebody else can put a socket of his own there. */
static bool is_shared_directory(const char *socket)
{
    static const char *const shared[] = {"/tmp", "/var/tmp", "/dev/shm"};
    size_t len = (size_t)(strrchr(socket, '/') - socket);

    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        if (strlen(shared[i]) == len && strncmp(socket, shared[i], len) == 0) {
            return true;
        }
    }
    return false;
}

static void check_socket(struct mkto_config_draft *draft)
{
    struct mkto_config *config = draft->config;
    char text[MKTO_CONFIG_PATH_MAX + 32];
    unsigned line = mkto_config_draft_line(draft->key_lines, "courier", "socket");
    bool derived = line == 0;
    size_t len;

    if (derived) {
        line = mkto_config_draft_line(draft->key_lines, "spool", "path");
        snprintf(text, sizeof(text), "%s/courier.sock", config->spool_path);
        config->socket = mkto_config_arena_text(draft->arena, text, strlen(text));
    }
    if (config->socket == NULL) {
        return;
    }
    len = strlen(config->socket);
    if (len > MKTO_SOCKET_PATH_MAX) {
        snprintf(text, sizeof(text), "the socket's path%s has %zu bytes; at most %d are possible",
                 derived ? ", <path>/courier.sock," : "", len, MKTO_SOCKET_PATH_MAX);
        add(draft, line, derived ? "path" : "socket", text);
    }
    if (is_shared_directory(config->socket)) {
        add(draft, line, derived ? "path" : "socket",
            "the socket must not lie directly in a directory that everybody may write to");
    }
}

/* The courier reads the file itself, as its own user. */
static void check_own_file(struct mkto_config_draft *draft,
                           const struct mkto_config_options *options)
{
    struct mkto_error reason = MKTO_ERROR_INIT;

    if (options->skip_secret_files || options->reader == (uid_t)-1 ||
        options->reader == geteuid()) {
        return;
    }
    if (mkto_config_access(draft->config->file, options->reader, MKTO_CONFIG_ACCESS_READ,
                           &reason) != 0) {
        add(draft, 0, NULL, reason.text);
    }
}

void mkto_config_check(struct mkto_config_draft *draft, const struct mkto_config_options *options)
{
    struct mkto_config *config = draft->config;

    for (size_t i = 0; i < draft->subscription_count; i++) {
        const struct subject subject = {draft, &draft->subscriptions[i],
                                        draft->subscription_lines[i]};

        check_subscription(&subject, options);
    }
    if (draft->subscription_count == 0) {
        add(draft, 0, NULL, "there is no [marketo] section");
    }
    check_own_file(draft, options);
    check_field_sections(draft);
    check_socket(draft);
    config->subscriptions = draft->subscriptions;
    config->subscription_count = draft->subscription_count;
    config->sources = draft->sources;
    config->source_count = draft->source_count;
}
