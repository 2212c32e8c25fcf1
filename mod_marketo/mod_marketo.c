#include "mod_marketo.h"

#include <unistd.h>

#include "ap_mpm.h"
#include "apr_strings.h"
#include "http_core.h"
#include "http_request.h"
#include "mpm_common.h"
#include "unixd.h"

#include "mkto_build.h"
#include "mkto_spawn.h"

#define UNSET (-1)

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
    dir->place = MARKETO_PLACE_UNSET;
    dir->ack = dir->timeout = dir->max_body = dir->track_pages = UNSET;
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
    dir->place = pick(add->place, base->place);
    dir->prefix = add->place != UNSET ? add->prefix : base->prefix;
    dir->subscription = add->subscription != NULL ? add->subscription : base->subscription;
    dir->ack = pick(add->ack, base->ack);
    dir->timeout = pick(add->timeout, base->timeout);
    dir->max_body = pick(add->max_body, base->max_body);
    dir->track_pages = pick(add->track_pages, base->track_pages);
    dir->cookie = add->cookie != NULL ? add->cookie : base->cookie;
    dir->consent = add->consent != NULL ? add->consent : base->consent;
    dir->email = add->email != NULL ? add->email : base->email;
    dir->scheme = add->scheme != NULL ? add->scheme : base->scheme;
    dir->origins = add->origins != NULL ? add->origins : base->origins;
    return dir;
}

/* Start */

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    current = apr_pcalloc(pconf, sizeof(*current));
    current->program = MKTO_PROGRAM;
    current->names = apr_array_make(pconf, 4, sizeof(struct marketo_mention));
    marketo_directive_begin(current);
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
        const struct marketo_mention *mention =
            &APR_ARRAY_IDX(current->names, i, struct marketo_mention);
        if (mkto_config_subscription(current->config, mkto_slice_str(mention->name)) == NULL) {
            status = refuse(mention->at, apr_psprintf(ptemp, "there is no [marketo %s] in %s",
                                                      mention->name, current->file));
        }
    }
    if (current->names->nelts == 0 && current->named_at != NULL &&
        mkto_config_subscription(current->config, MKTO_SLICE_LIT("")) == NULL) {
        status = refuse(current->named_at,
                        "marketo.conf has several sections, all named: MarketoSubscription must "
                        "say which");
    }
    return status;
}

static int check_spawn(void)
{
    const ap_directive_t *at = current->courier_at != NULL ? current->courier_at : current->file_at;
    if (ap_find_linked_module("mod_watchdog.c") == NULL) {
        return refuse(at, "MarketoCourier spawn needs mod_watchdog; load it, or "
                          "start the courier yourself and set 'external'");
    }
    /* No error, in nginx neither: without its courier the site still works. */
    if (!mkto_spawn_can_run(current->program)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, NULL,
                     "MKTO0126 %s:%d: %s cannot be run, so that there is no courier: install it, "
                     "or name it",
                     at->filename, at->line_num, current->program);
    }
    return OK;
}

/* Also what configtest runs: looks at files, at neither network nor spool. */
static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *server)
{
    (void)plog;
    (void)server;
    if (current->file == NULL) {
        return current->used_at == NULL
                   ? OK
                   : refuse(current->used_at, "needs MarketoConfig, which is missing");
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
    const int status = current->external ? OK : check_spawn();
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
    (void)pool;
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* mod_watchdog looks for callbacks in its own, at APR_HOOK_LAST. */
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    marketo_claim_hooks();
    marketo_cookie_hooks();
    marketo_page_hooks();
}

AP_DECLARE_MODULE(marketo) = {
    STANDARD20_MODULE_STUFF, create_dir,     merge_dir, NULL, NULL,
    marketo_directives,      register_hooks, 0,
};
