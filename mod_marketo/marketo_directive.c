#include "mod_marketo.h"

#include "apr_fnmatch.h"
#include "apr_lib.h"
#include "apr_strings.h"
#include "http_core.h"

#include "mkto_build.h"

APLOG_USE_MODULE(marketo);

static struct marketo *current; /* what is being read */

void marketo_directive_begin(struct marketo *marketo)
{
    current = marketo;
}

/* Directives. Each returns NULL or what is wrong; httpd adds file and line. */

static const char *wrong(const cmd_parms *cmd, const char *words)
{
    return apr_pstrcat(cmd->pool, cmd->cmd->name, " ", words, NULL);
}

static const char *set_config(cmd_parms *cmd, void *conf, const char *file)
{
    (void)conf;
    const char *misplaced = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    if (misplaced != NULL) {
        return misplaced;
    }
    current->file = ap_server_root_relative(cmd->pool, file);
    current->file_at = cmd->directive;
    return current->file == NULL ? wrong(cmd, "must be a path") : NULL;
}

static const char *set_courier(cmd_parms *cmd, void *conf, const char *how, const char *program)
{
    (void)conf;
    const char *misplaced = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    if (misplaced != NULL) {
        return misplaced;
    }
    current->courier_at = cmd->directive;
    current->external = ap_cstr_casecmp(how, "external") == 0;
    if (current->external) {
        return program == NULL ? NULL : wrong(cmd, "external takes no program: others start it");
    }
    if (ap_cstr_casecmp(how, "spawn") != 0) {
        return wrong(cmd, "must be 'spawn [program]' or 'external'");
    }
    current->program = program != NULL ? program : MKTO_PROGRAM;
    return current->program[0] == '/' ? NULL : wrong(cmd, "needs an absolute path of the program");
}

static const char *set_socket(cmd_parms *cmd, void *conf, const char *path)
{
    (void)conf;
    const char *misplaced = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    if (misplaced != NULL) {
        return misplaced;
    }
    current->socket = ap_server_root_relative(cmd->pool, path);
    if (current->socket == NULL || strlen(current->socket) > MKTO_SOCKET_PATH_MAX) {
        return apr_psprintf(
            cmd->pool, "MarketoSocket must be a path of at most %d bytes, the limit of a socket",
            MKTO_SOCKET_PATH_MAX);
    }
    return NULL;
}

/* Only the path of a plain <Location> tells where a tracking location begins. */
static const char *location_prefix(cmd_parms *cmd, const char **prefix)
{
    const ap_directive_t *section = cmd->directive->parent;
    if (section == NULL || ap_cstr_casecmp(section->directive, "<Location") != 0 ||
        cmd->path == NULL || cmd->path[0] != '/' || apr_fnmatch_test(cmd->path)) {
        return apr_psprintf(cmd->pool,
                            "%s belongs right into a <Location \"/path/\"> with a "
                            "plain path, not into %s %s",
                            cmd->cmd->name, section == NULL ? "the" : section->directive,
                            section == NULL ? "server" : section->args);
    }
    size_t len = strlen(cmd->path);
    while (len > 0 && cmd->path[len - 1] == '/') {
        len--;
    }
    *prefix = apr_pstrmemdup(cmd->pool, cmd->path, len);
    return NULL;
}

/* What the configuration needs, it needs for its first directive that does something. */
static void note_use(const cmd_parms *cmd, bool of_subscription)
{
    if (current->used_at == NULL) {
        current->used_at = cmd->directive;
    }
    if (of_subscription && current->named_at == NULL) {
        current->named_at = cmd->directive;
    }
}

static const char *set_place(cmd_parms *cmd, struct marketo_dir *dir, enum marketo_place place,
                             int on)
{
    const char *misplaced = location_prefix(cmd, &dir->prefix);
    if (misplaced != NULL) {
        return misplaced;
    }
    const bool other = dir->place > MARKETO_PLACE_SITE && dir->place != (int)place;
    if (other && on) {
        return wrong(cmd, "cannot stand in one <Location> with MarketoCollect or MarketoStatus");
    }
    if (!other) {
        dir->place = on ? (int)place : MARKETO_PLACE_SITE;
    }
    if (on) {
        note_use(cmd, place == MARKETO_PLACE_COLLECT);
    }
    return NULL;
}

static const char *set_collect(cmd_parms *cmd, void *conf, int on)
{
    return set_place(cmd, conf, MARKETO_PLACE_COLLECT, on);
}

static const char *set_status(cmd_parms *cmd, void *conf, int on)
{
    return set_place(cmd, conf, MARKETO_PLACE_STATUS, on);
}

/* A claimed request never walks through directories and files: there these would do nothing. */
static const char *wrong_place(cmd_parms *cmd)
{
    return ap_check_cmd_context(cmd, NOT_IN_DIRECTORY | NOT_IN_FILES | NOT_IN_LIMIT);
}

static const char *set_subscription(cmd_parms *cmd, void *conf, const char *name)
{
    struct marketo_dir *dir = conf;
    struct marketo_mention *mention = apr_array_push(current->names);
    mention->name = dir->subscription = name;
    mention->at = cmd->directive;
    return ap_check_cmd_context(cmd, NOT_IN_LIMIT);
}

static const char *set_ack(cmd_parms *cmd, void *conf, const char *level)
{
    struct marketo_dir *dir = conf;
    if (ap_cstr_casecmp(level, "disk") == 0) {
        dir->ack = MKTO_ACK_DISK;
    } else if (ap_cstr_casecmp(level, "memory") == 0) {
        dir->ack = MKTO_ACK_MEMORY;
    } else {
        return wrong(cmd, "must be 'disk' or 'memory'");
    }
    return wrong_place(cmd);
}

static const char *set_timeout(cmd_parms *cmd, void *conf, const char *text)
{
    struct marketo_dir *dir = conf;
    apr_interval_time_t time;
    if (ap_timeout_parameter_parse(text, &time, "s") != APR_SUCCESS ||
        time < apr_time_from_msec(MARKETO_TIMEOUT_MIN) ||
        time > apr_time_from_msec(MARKETO_TIMEOUT_MAX)) {
        return apr_psprintf(cmd->pool, "MarketoTimeout must be a time from %dms to %ds, like 5s",
                            MARKETO_TIMEOUT_MIN, MARKETO_TIMEOUT_MAX / 1000);
    }
    dir->timeout = (int)apr_time_as_msec(time);
    return wrong_place(cmd);
}

/* As nginx writes sizes: bytes, or a number with k or m. Returns 0 for what is none. */
static int parse_size(const char *text, int max)
{
    apr_off_t number;
    char *end;
    if (apr_strtoff(&number, text, &end, 10) != APR_SUCCESS || number < 1 || number > max) {
        return 0;
    }
    const int unit = apr_tolower(*end);
    if (unit == 'k' || unit == 'm') {
        number *= unit == 'k' ? 1024 : 1024 * 1024;
        end++;
    }
    return *end == '\0' && number <= max ? (int)number : 0;
}

static const char *set_max_body(cmd_parms *cmd, void *conf, const char *text)
{
    struct marketo_dir *dir = conf;
    const int bytes = parse_size(text, MKTO_BODY_MAX);
    if (bytes == 0) {
        return apr_psprintf(cmd->pool,
                            "MarketoMaxBody must be a size from 1 to %d bytes, like 500k",
                            MKTO_BODY_MAX);
    }
    dir->max_body = bytes;
    return wrong_place(cmd);
}

/* Pages and cookies */

static const char *set_track_pages(cmd_parms *cmd, void *conf, int on)
{
    struct marketo_dir *dir = conf;
    dir->track_pages = on;
    if (on) {
        note_use(cmd, true);
    }
    return ap_check_cmd_context(cmd, NOT_IN_LIMIT);
}

static const char *cookie_mode(cmd_parms *cmd, struct mkto_cookie_rule *rule, const char *word)
{
    static const char *const words[] = {
        [MKTO_COOKIE_OFF] = "off",
        [MKTO_COOKIE_REFRESH] = "refresh",
        [MKTO_COOKIE_MINT] = "mint",
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (ap_cstr_casecmp(word, words[i]) == 0) {
            rule->mode = (enum mkto_cookie_mode)i;
            return NULL;
        }
    }
    return wrong(cmd, "must be 'off', 'refresh' or 'mint'");
}

static const char *cookie_option(cmd_parms *cmd, struct mkto_cookie_rule *rule, const char *word)
{
    static const char domain[] = "domain=";
    if (rule->mode == MKTO_COOKIE_OFF) {
        return wrong(cmd, "off takes nothing behind it");
    }
    if (ap_cstr_casecmp(word, "httponly") == 0 && !rule->http_only) {
        rule->http_only = true;
        return NULL;
    }
    if (ap_cstr_casecmpn(word, domain, sizeof(domain) - 1) == 0 && rule->domain.data == NULL) {
        char *name = apr_palloc(cmd->pool, MKTO_COOKIE_DOMAIN_MAX + 1);
        const char *words =
            mkto_cookie_domain_read(mkto_slice_str(word + sizeof(domain) - 1), name);
        rule->domain = mkto_slice_str(words == NULL ? name : NULL);
        return words == NULL ? NULL : apr_pstrcat(cmd->pool, "MarketoCookie domain ", words, NULL);
    }
    return apr_psprintf(cmd->pool,
                        "MarketoCookie: '%s' is neither domain=NAME nor httponly, or stands there "
                        "twice",
                        word);
}

static const char *set_cookie(cmd_parms *cmd, void *conf, int count, char *const words[])
{
    struct marketo_dir *dir = conf;
    struct mkto_cookie_rule *rule = apr_pcalloc(cmd->pool, sizeof(*rule));
    const char *mistake = count > 0 ? cookie_mode(cmd, rule, words[0])
                                    : wrong(cmd, "must be 'off', 'refresh' or 'mint'");
    for (int i = 1; i < count && mistake == NULL; i++) {
        mistake = cookie_option(cmd, rule, words[i]);
    }
    if (mistake != NULL) {
        return mistake;
    }
    dir->cookie = rule;
    if (rule->mode != MKTO_COOKIE_OFF) {
        note_use(cmd, true);
    }
    return ap_check_cmd_context(cmd, NOT_IN_LIMIT);
}

/* A response must not vary in caches by what only we look at. */
static const char *read_expr(cmd_parms *cmd, const char *text, const ap_expr_info_t **expr)
{
    const char *mistake = NULL;
    *expr = ap_expr_parse_cmd(cmd, text, AP_EXPR_FLAG_STRING_RESULT | AP_EXPR_FLAG_DONT_VARY,
                              &mistake, NULL);
    return mistake == NULL
               ? NULL
               : apr_psprintf(cmd->pool, "%s: cannot read '%s': %s", cmd->cmd->name, text, mistake);
}

static const char *set_consent(cmd_parms *cmd, void *conf, const char *text, const char *option)
{
    struct marketo_dir *dir = conf;
    struct marketo_consent *consent = apr_pcalloc(cmd->pool, sizeof(*consent));
    const char *mistake = read_expr(cmd, text, &consent->expr);
    consent->absent_grants = option != NULL;
    if (mistake == NULL && option != NULL && ap_cstr_casecmp(option, "absent=granted") != 0) {
        mistake = apr_psprintf(cmd->pool, "MarketoConsent: '%s' must be absent=granted", option);
    }
    dir->consent = consent;
    return mistake != NULL ? mistake : ap_check_cmd_context(cmd, NOT_IN_LIMIT);
}

static const char *set_email(cmd_parms *cmd, void *conf, const char *text)
{
    struct marketo_dir *dir = conf;
    const char *mistake = read_expr(cmd, text, &dir->email);
    return mistake != NULL ? mistake : ap_check_cmd_context(cmd, NOT_IN_LIMIT);
}

static const char *set_scheme(cmd_parms *cmd, void *conf, const char *text)
{
    struct marketo_dir *dir = conf;
    if (strpbrk(text, "%$") == NULL && ap_cstr_casecmp(text, "https") != 0 &&
        ap_cstr_casecmp(text, "http") != 0) {
        return wrong(cmd, "must be http, https or an expression");
    }
    const char *mistake = read_expr(cmd, text, &dir->scheme);
    return mistake != NULL ? mistake : ap_check_cmd_context(cmd, NOT_IN_LIMIT);
}

/* Called for each of the words; those of several lines add up. */
static const char *set_allow_origin(cmd_parms *cmd, void *conf, const char *word)
{
    struct marketo_dir *dir = conf;
    char *origin = apr_palloc(cmd->pool, MKTO_ORIGIN_MAX + 1);
    if (dir->origins == NULL) {
        dir->origins = apr_pcalloc(cmd->pool, sizeof(*dir->origins));
    }
    const bool off = ap_cstr_casecmp(word, "off") == 0;
    if (dir->origins->off || (off && dir->origins->count > 0)) {
        return wrong(cmd, "must not have 'off' beside origins");
    }
    dir->origins->off = off;
    if (off) {
        return wrong_place(cmd);
    }
    if (dir->origins->count == MKTO_ORIGINS_MAX) {
        return apr_psprintf(cmd->pool, "MarketoAllowOrigin takes at most %d origins",
                            MKTO_ORIGINS_MAX);
    }
    const char *mistake = mkto_origin_read(mkto_slice_str(word), origin);
    if (mistake != NULL) {
        return apr_psprintf(cmd->pool, "MarketoAllowOrigin: '%s' %s", word, mistake);
    }
    dir->origins->of[dir->origins->count++] = mkto_slice_str(origin);
    return wrong_place(cmd);
}

/* clang-format off */
#define ANYWHERE (RSRC_CONF | ACCESS_CONF)

const command_rec marketo_directives[] = {
    AP_INIT_TAKE1("MarketoConfig", set_config, NULL, RSRC_CONF,
                  "path of marketo.conf"),
    AP_INIT_TAKE12("MarketoCourier", set_courier, NULL, RSRC_CONF,
                   "'spawn [program]' (the default) or 'external'"),
    AP_INIT_TAKE1("MarketoSocket", set_socket, NULL, RSRC_CONF,
                  "path of the courier's socket; default: courier.sock in the spool"),
    AP_INIT_FLAG("MarketoCollect", set_collect, NULL, ANYWHERE,
                 "On: the <Location> that this stands in takes tracking calls"),
    AP_INIT_TAKE1("MarketoSubscription", set_subscription, NULL, ANYWHERE,
                  "name of the [marketo name] section that takes the events"),
    AP_INIT_TAKE1("MarketoAck", set_ack, NULL, ANYWHERE,
                  "'disk' (the default): answer when the event is on disk; or 'memory'"),
    AP_INIT_TAKE1("MarketoTimeout", set_timeout, NULL, ANYWHERE,
                  "how long a call waits for the courier; default 5s"),
    AP_INIT_TAKE1("MarketoMaxBody", set_max_body, NULL, ANYWHERE,
                  "largest body, in bytes or like 500k; default 512000"),
    AP_INIT_FLAG("MarketoStatus", set_status, NULL, ANYWHERE,
                 "On: the <Location> that this stands in shows the state of the courier"),
    AP_INIT_FLAG("MarketoTrackPages", set_track_pages, NULL, ANYWHERE,
                 "On: page views are recorded here"),
    AP_INIT_TAKE_ARGV("MarketoCookie", set_cookie, NULL, ANYWHERE,
                      "'off' (the default), 'refresh' or 'mint'; then domain=NAME, httponly"),
    AP_INIT_TAKE12("MarketoConsent", set_consent, NULL, ANYWHERE,
                   "expression that gives granted or denied, and perhaps absent=granted"),
    AP_INIT_TAKE1("MarketoEmail", set_email, NULL, ANYWHERE,
                  "expression that gives the visitor's e-mail address"),
    AP_INIT_TAKE1("MarketoScheme", set_scheme, NULL, ANYWHERE,
                  "http, https, or an expression that gives the scheme of the visitor's connection"),
    AP_INIT_ITERATE("MarketoAllowOrigin", set_allow_origin, NULL, ANYWHERE,
                    "origins like https://app.example.com whose pages may send events; or 'off'"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}
};
/* clang-format on */
