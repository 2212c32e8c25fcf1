#include "mod_marketo.h"

#include <sys/stat.h>
#include <unistd.h>

#include "ap_mpm.h"
#include "apr_fnmatch.h"
#include "apr_lib.h"
#include "apr_strings.h"
#include "http_core.h"
#include "http_request.h"
#include "mpm_common.h"
#include "unixd.h"

#include "mkto_build.h"

#define UNSET (-1)

/* One MarketoSubscription, to be looked up when marketo.conf has been read. */
struct mention {
    const char *name;
    const ap_directive_t *at;
};

/* httpd has no place for what is set once for all virtual hosts. Lives in pconf. */
static struct marketo *current;
static struct marketo_link *child_link; /* of this child process */

const struct marketo *marketo_get(void)
{
    return current;
}

struct marketo_link *marketo_link_get(void)
{
    return child_link;
}

/* Directory configuration */

static void *create_dir(apr_pool_t *pool, char *path)
{
    (void)path;
    struct marketo_dir *dir = apr_pcalloc(pool, sizeof(*dir));
    dir->collect = dir->ack = dir->timeout = dir->max_body = UNSET;
    return dir;
}

static int pick(int add, int base)
{
    return add != UNSET ? add : base;
}

static void *merge_dir(apr_pool_t *pool, void *base_conf, void *add_conf)
{
    const struct marketo_dir *base = base_conf;
    const struct marketo_dir *add = add_conf;
    struct marketo_dir *dir = apr_palloc(pool, sizeof(*dir));
    dir->collect = pick(add->collect, base->collect);
    dir->prefix = add->collect != UNSET ? add->prefix : base->prefix;
    dir->subscription = add->subscription != NULL ? add->subscription : base->subscription;
    dir->ack = pick(add->ack, base->ack);
    dir->timeout = pick(add->timeout, base->timeout);
    dir->max_body = pick(add->max_body, base->max_body);
    return dir;
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
                            "MarketoCollect belongs right into a <Location \"/path/\"> with a "
                            "plain path, not into %s %s",
                            section == NULL ? "the" : section->directive,
                            section == NULL ? "server" : section->args);
    }
    size_t len = strlen(cmd->path);
    while (len > 0 && cmd->path[len - 1] == '/') {
        len--;
    }
    *prefix = apr_pstrmemdup(cmd->pool, cmd->path, len);
    return NULL;
}

static const char *set_collect(cmd_parms *cmd, void *conf, int on)
{
    struct marketo_dir *dir = conf;
    const char *misplaced = location_prefix(cmd, &dir->prefix);
    if (misplaced != NULL) {
        return misplaced;
    }
    dir->collect = on;
    if (on && current->collect_at == NULL) {
        current->collect_at = cmd->directive;
    }
    return NULL;
}

/* A claimed request never walks through directories and files: there these would do nothing. */
static const char *wrong_place(cmd_parms *cmd)
{
    return ap_check_cmd_context(cmd, NOT_IN_DIRECTORY | NOT_IN_FILES | NOT_IN_LIMIT);
}

static const char *set_subscription(cmd_parms *cmd, void *conf, const char *name)
{
    struct marketo_dir *dir = conf;
    struct mention *mention = apr_array_push(current->names);
    mention->name = dir->subscription = name;
    mention->at = cmd->directive;
    return wrong_place(cmd);
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

/* clang-format off */
#define ANYWHERE (RSRC_CONF | ACCESS_CONF)

static const command_rec directives[] = {
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
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}
};
/* clang-format on */

/* Start */

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    current = apr_pcalloc(pconf, sizeof(*current));
    current->program = MKTO_PROGRAM;
    current->names = apr_array_make(pconf, 4, sizeof(struct mention));
    return OK;
}

/* In the form of httpd's own complaints about its configuration. */
static int refuse(const ap_directive_t *at, const char *reason)
{
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, NULL, "MKTO0101 %s:%d: %s: %s",
                 at->filename, at->line_num, at->directive, reason);
    return HTTP_INTERNAL_SERVER_ERROR;
}

static apr_status_t free_config(void *data)
{
    mkto_config_free(data);
    return APR_SUCCESS;
}

/* Reads marketo.conf; each mistake in it is one line of the log. */
static const struct mkto_config *read_config(apr_pool_t *pconf)
{
    const struct mkto_config_options options = {
        .reader = geteuid() == 0 ? ap_unixd_config.user_id : geteuid(),
        .skip_secret_files = current->external,
    };
    struct mkto_error err = MKTO_ERROR_INIT;
    char *mistakes = NULL;
    size_t len = 0;
    FILE *all = open_memstream(&mistakes, &len);
    const struct mkto_config *config = mkto_config_read(current->file, &options, &err, all);
    if (all != NULL) {
        fclose(all);
    }
    if (config != NULL) {
        apr_pool_cleanup_register(pconf, (void *)(uintptr_t)config, free_config,
                                  apr_pool_cleanup_null);
    } else if (mistakes == NULL || len == 0) {
        refuse(current->file_at, err.text);
    } else {
        char *rest;
        for (char *line = apr_strtok(mistakes, "\n", &rest); line != NULL;
             line = apr_strtok(NULL, "\n", &rest)) {
            refuse(current->file_at, line);
        }
    }
    free(mistakes);
    return config;
}

static int check_names(apr_pool_t *ptemp)
{
    int status = OK;
    for (int i = 0; i < current->names->nelts; i++) {
        const struct mention *mention = &APR_ARRAY_IDX(current->names, i, struct mention);
        if (mkto_config_subscription(current->config, mkto_slice_str(mention->name)) == NULL) {
            status = refuse(mention->at, apr_psprintf(ptemp, "there is no [marketo %s] in %s",
                                                      mention->name, current->file));
        }
    }
    if (current->names->nelts == 0 && current->collect_at != NULL &&
        mkto_config_subscription(current->config, MKTO_SLICE_LIT("")) == NULL) {
        status = refuse(current->collect_at,
                        "marketo.conf has several sections, all named: MarketoSubscription must "
                        "say which");
    }
    return status;
}

static int check_spawn(apr_pool_t *ptemp)
{
    struct stat program;
    const ap_directive_t *at = current->courier_at != NULL ? current->courier_at : current->file_at;
    if (ap_find_linked_module("mod_watchdog.c") == NULL) {
        return refuse(at, "MarketoCourier spawn needs mod_watchdog; load it, or "
                          "start the courier yourself and set 'external'");
    }
    if (stat(current->program, &program) != 0 || !S_ISREG(program.st_mode) ||
        (program.st_mode & 0111) == 0) {
        return refuse(at, apr_psprintf(ptemp,
                                       "%s is not a program: install it, or name it with "
                                       "MarketoCourier",
                                       current->program));
    }
    return OK;
}

/* Also what configtest runs: looks at files, at neither network nor spool. */
static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *server)
{
    (void)plog;
    (void)server;
    if (current->file == NULL) {
        return current->collect_at == NULL
                   ? OK
                   : refuse(current->collect_at, "needs MarketoConfig, which is missing");
    }
    current->config = read_config(pconf);
    if (current->config == NULL) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (current->socket == NULL) {
        current->socket = current->config->socket;
    }
    if (strlen(current->socket) > MKTO_SOCKET_PATH_MAX) {
        return refuse(current->file_at,
                      apr_psprintf(ptemp, "the socket's path is over %d bytes: %s",
                                   MKTO_SOCKET_PATH_MAX, current->socket));
    }
    const int status = current->external ? OK : check_spawn(ptemp);
    return status != OK ? status : check_names(ptemp);
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *server)
{
    (void)plog;
    (void)ptemp;
    int threaded = AP_MPMQ_NOT_SUPPORTED;
    int most = 1;
    if (current->config == NULL || ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    current->threaded = threaded != AP_MPMQ_NOT_SUPPORTED;
    ap_mpm_query(current->threaded ? AP_MPMQ_MAX_THREADS : AP_MPMQ_MAX_DAEMONS, &most);
    current->wait_max = most >= 4 ? (size_t)most / 4 : 1;
    if (marketo_crowd_create(&current->crowd, current->threaded ? 0 : (size_t)most, pconf) !=
        APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, server,
                     "MKTO0103 no shared memory for the children");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return current->external ? OK : marketo_presence_watch(current, server, pconf);
}

static void child_init(apr_pool_t *pchild, server_rec *server)
{
    child_link = current->config == NULL ? NULL : marketo_link_create(current, pchild);
    if (child_link == NULL && current->config != NULL) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, server, "MKTO0104 out of memory in a new child");
    }
}

static void child_stopping(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    if (child_link != NULL) {
        marketo_link_stop(child_link, graceful != 0);
    }
}

static void register_hooks(apr_pool_t *pool)
{
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* mod_watchdog looks for callbacks in its own, at APR_HOOK_LAST. */
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    marketo_handler_hooks(pool);
}

AP_DECLARE_MODULE(marketo) = {
    STANDARD20_MODULE_STUFF, create_dir, merge_dir, NULL, NULL, directives, register_hooks, 0,
};
