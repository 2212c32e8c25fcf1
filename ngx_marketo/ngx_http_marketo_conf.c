#include <stdio.h>
#include <unistd.h>

#include "ngx_http_marketo.h"
#include "mkto_build.h"

void *ngx_http_marketo_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_marketo_main_conf_t *mmcf = ngx_pcalloc(cf->pool, sizeof(*mmcf));
    if (mmcf == NULL) {
        return NULL;
    }
    mmcf->spawn = NGX_CONF_UNSET;
    if (ngx_array_init(&mmcf->uses, cf->pool, 4, sizeof(ngx_http_marketo_use_t *)) != NGX_OK) {
        return NULL;
    }
    return mmcf;
}

void *ngx_http_marketo_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_marketo_loc_conf_t *mlcf = ngx_pcalloc(cf->pool, sizeof(*mlcf));
    if (mlcf == NULL) {
        return NULL;
    }
    mlcf->ack = NGX_CONF_UNSET_UINT;
    mlcf->timeout = NGX_CONF_UNSET_MSEC;
    mlcf->max_body = NGX_CONF_UNSET_SIZE;
    return mlcf;
}

/* nginx looks at its own limit first, and answers with a page of HTML. */
static void ngx_http_marketo_check_limit(ngx_conf_t *cf, const ngx_http_core_loc_conf_t *clcf,
                                         const ngx_http_marketo_loc_conf_t *conf)
{
    const off_t limit = clcf->client_max_body_size; /* 0: none */
    if (conf->use != NULL && !clcf->noname && limit != 0 && limit < (off_t)conf->max_body) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "MKTO0129 client_max_body_size, %O bytes, is lower than marketo_max_body, "
                      "%uz, for \"marketo\" in %V:%ui",
                      limit, conf->max_body, &conf->use->file, conf->use->line);
    }
}

char *ngx_http_marketo_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    const ngx_http_marketo_loc_conf_t *prev = parent;
    ngx_http_marketo_loc_conf_t *conf = child;
    const ngx_http_core_loc_conf_t *clcf =
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* nginx keeps the handler of the location in its `if` and limit_except blocks, and there only.
     */
    if (conf->use == NULL && clcf->noname) {
        conf->use = prev->use;
    }
    ngx_conf_merge_uint_value(conf->ack, prev->ack, MKTO_ACK_DISK);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, NGX_HTTP_MARKETO_TIMEOUT);
    ngx_conf_merge_size_value(conf->max_body, prev->max_body, MKTO_BODY_DEFAULT);
    ngx_http_marketo_check_limit(cf, clcf, conf);
    return NGX_CONF_OK;
}

/* Directives. */

static char *ngx_http_marketo_must_be_absolute(ngx_conf_t *cf, const ngx_str_t *path)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "MKTO0120 \"%V\" must be an absolute path", path);
    return NGX_CONF_ERROR;
}

static void ngx_http_marketo_spawn_stands_here(const ngx_conf_t *cf,
                                               ngx_http_marketo_main_conf_t *mmcf)
{
    mmcf->spawn_file = cf->conf_file->file.name;
    mmcf->spawn_line = cf->conf_file->line;
}

char *ngx_http_marketo_set_config(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_main_conf_t *mmcf = conf;
    const ngx_str_t *args = cf->args->elts;
    (void)cmd;
    if (mmcf->config_file.data != NULL) {
        return "is duplicate";
    }
    mmcf->config_file = args[1];
    if (mmcf->spawn == NGX_CONF_UNSET) {
        ngx_http_marketo_spawn_stands_here(cf, mmcf);
    }
    return ngx_conf_full_name(cf->cycle, &mmcf->config_file, 1) == NGX_OK ? NGX_CONF_OK
                                                                          : NGX_CONF_ERROR;
}

char *ngx_http_marketo_set_courier(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_main_conf_t *mmcf = conf;
    const ngx_str_t *args = cf->args->elts;
    (void)cmd;
    if (mmcf->spawn != NGX_CONF_UNSET) {
        return "is duplicate";
    }
    ngx_http_marketo_spawn_stands_here(cf, mmcf);
    if (ngx_strcmp(args[1].data, "external") == 0 && cf->args->nelts == 2) {
        mmcf->spawn = 0;
        return NGX_CONF_OK;
    }
    if (ngx_strcmp(args[1].data, "spawn") != 0) {
        return "takes \"spawn\", \"spawn PROGRAM\" or \"external\"";
    }
    mmcf->spawn = 1;
    if (cf->args->nelts == 3) {
        if (args[2].data[0] != '/') {
            return ngx_http_marketo_must_be_absolute(cf, &args[2]);
        }
        mmcf->program = args[2];
    }
    return NGX_CONF_OK;
}

char *ngx_http_marketo_set_socket(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_main_conf_t *mmcf = conf;
    const ngx_str_t *args = cf->args->elts;
    (void)cmd;
    if (mmcf->socket.data != NULL) {
        return "is duplicate";
    }
    if (args[1].data[0] != '/') {
        return ngx_http_marketo_must_be_absolute(cf, &args[1]);
    }
    if (args[1].len > MKTO_SOCKET_PATH_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "MKTO0121 the path of the socket has %uz bytes; at most %d fit",
                           args[1].len, MKTO_SOCKET_PATH_MAX);
        return NGX_CONF_ERROR;
    }
    mmcf->socket = args[1];
    return NGX_CONF_OK;
}

/* The path of a call is what follows the location's prefix, so there must be one. */
static bool ngx_http_marketo_has_prefix(const ngx_http_core_loc_conf_t *clcf)
{
#if (NGX_PCRE)
    if (clcf->regex != NULL) {
        return false;
    }
#endif
    return !clcf->exact_match && !clcf->named;
}

char *ngx_http_marketo_set_use(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_loc_conf_t *mlcf = conf;
    ngx_http_marketo_main_conf_t *mmcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_marketo_module);
    ngx_http_core_loc_conf_t *clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    const ngx_str_t *args = cf->args->elts;
    (void)cmd;
    if (mlcf->use != NULL) {
        return "is duplicate";
    }
    if (!ngx_http_marketo_has_prefix(clcf)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "MKTO0122 \"marketo\" needs a location with a prefix, as in "
                           "\"location ^~ /mkto/ { marketo; }\"");
        return NGX_CONF_ERROR;
    }
    if (clcf->name.len == 0 || clcf->name.data[clcf->name.len - 1] != '/') {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "MKTO0128 the location \"%V\" should end in \"/\": it takes pages like "
                           "\"%Vx\" from the site",
                           &clcf->name, &clcf->name);
    }
    ngx_http_marketo_use_t *use = ngx_pcalloc(cf->pool, sizeof(*use));
    ngx_http_marketo_use_t **slot = ngx_array_push(&mmcf->uses);
    if (use == NULL || slot == NULL) {
        return NGX_CONF_ERROR;
    }
    use->location = clcf;
    use->file = cf->conf_file->file.name;
    use->line = cf->conf_file->line;
    if (cf->args->nelts == 2) {
        use->name = args[1];
    }
    *slot = use;
    mlcf->use = use;
    clcf->handler = ngx_http_marketo_handler;
    return NGX_CONF_OK;
}

char *ngx_http_marketo_check_timeout(ngx_conf_t *cf, void *post, void *data)
{
    const ngx_msec_t *timeout = data;
    (void)cf;
    (void)post;
    return *timeout >= 1 && *timeout <= NGX_HTTP_MARKETO_TIMEOUT_MAX ? NGX_CONF_OK
                                                                     : "must be 1ms to 60s";
}

char *ngx_http_marketo_check_max_body(ngx_conf_t *cf, void *post, void *data)
{
    const size_t *size = data;
    (void)cf;
    (void)post;
    return *size >= 1 && *size <= MKTO_BODY_MAX ? NGX_CONF_OK : "must be 1 to 1m";
}

/* The end of http {}. */

static void ngx_http_marketo_free_config(void *data)
{
    mkto_config_free(data);
}

/* With spawn the courier runs as the worker's user, and must be able to read the secrets. */
static uid_t ngx_http_marketo_reader(const ngx_conf_t *cf)
{
    const ngx_core_conf_t *ccf =
        (const ngx_core_conf_t *)ngx_get_conf(cf->cycle->conf_ctx, ngx_core_module);
    if (geteuid() != 0) {
        return geteuid();
    }
    /* No `user` so far; one may follow after http {}, so nothing can be said. */
    return ccf->user == (ngx_uid_t)NGX_CONF_UNSET_UINT ? (uid_t)-1 : ccf->user;
}

/* One mistake a line; `err` carries the first. */
static void ngx_http_marketo_say_mistakes(ngx_conf_t *cf, const struct mkto_error *err,
                                          const char *mistakes)
{
    const char *line = mistakes != NULL && *mistakes != '\0' ? mistakes : err->text;
    while (*line != '\0') {
        const size_t len = strcspn(line, "\n");
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "MKTO0123 %*s", len, line);
        line += len + (line[len] == '\n');
    }
}

static ngx_int_t ngx_http_marketo_read_config(ngx_conf_t *cf, ngx_http_marketo_main_conf_t *mmcf)
{
    const struct mkto_config_options options = {
        .reader = ngx_http_marketo_reader(cf),
        .skip_secret_files = !mmcf->spawn,
    };
    struct mkto_error err = MKTO_ERROR_INIT;
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    if (cleanup == NULL) {
        return NGX_ERROR;
    }
    char *mistakes = NULL;
    size_t len = 0;
    FILE *all = open_memstream(&mistakes, &len);
    mmcf->config = mkto_config_read((const char *)mmcf->config_file.data, &options, &err, all);
    if (all != NULL) {
        fclose(all);
    }
    if (mmcf->config == NULL) {
        ngx_http_marketo_say_mistakes(cf, &err, mistakes);
    }
    free(mistakes);
    if (mmcf->config == NULL) {
        return NGX_ERROR;
    }
    cleanup->handler = ngx_http_marketo_free_config;
    cleanup->data = (void *)(uintptr_t)mmcf->config; /* freed there; const for everybody else */
    return NGX_OK;
}

static ngx_int_t ngx_http_marketo_check_use(ngx_conf_t *cf,
                                            const ngx_http_marketo_main_conf_t *mmcf,
                                            ngx_http_marketo_use_t *use)
{
    if (use->location->handler != ngx_http_marketo_handler) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "MKTO0124 another directive takes the location \"%V\" away from "
                      "\"marketo\" in %V:%ui",
                      &use->location->name, &use->file, use->line);
        return NGX_ERROR;
    }
    use->subscription = mkto_config_subscription(mmcf->config, ngx_http_marketo_slice(use->name));
    if (use->subscription == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "MKTO0125 %V has no section [marketo%s%V], which \"marketo\" asks for "
                      "in %V:%ui",
                      &mmcf->config_file, use->name.len == 0 ? "" : " ", &use->name, &use->file,
                      use->line);
        return NGX_ERROR;
    }
    return NGX_OK;
}

/* Not an error: without its courier the site still works. */
static void ngx_http_marketo_check_program(ngx_conf_t *cf, const ngx_http_marketo_main_conf_t *mmcf)
{
    if (mmcf->spawn && mmcf->uses.nelts > 0 &&
        access((const char *)mmcf->program.data, X_OK) != 0) {
        ngx_log_error(NGX_LOG_WARN, cf->log, ngx_errno,
                      "MKTO0126 \"marketo_courier spawn\" cannot run \"%V\" in %V:%ui",
                      &mmcf->program, &mmcf->spawn_file, mmcf->spawn_line);
    }
}

char *ngx_http_marketo_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_marketo_main_conf_t *mmcf = conf;
    ngx_http_marketo_use_t **uses = mmcf->uses.elts;

    ngx_conf_init_value(mmcf->spawn, 1);
    if (mmcf->program.data == NULL) {
        ngx_str_set(&mmcf->program, MKTO_PROGRAM);
    }
    if (mmcf->config_file.data == NULL) {
        if (mmcf->uses.nelts == 0) {
            return NGX_CONF_OK;
        }
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "MKTO0127 \"marketo\" in %V:%ui needs a \"marketo_config\" in http {}",
                      &uses[0]->file, uses[0]->line);
        return NGX_CONF_ERROR;
    }
    if (ngx_http_marketo_read_config(cf, mmcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    if (mmcf->socket.data == NULL) {
        mmcf->socket.len = ngx_strlen(mmcf->config->socket);
        mmcf->socket.data = (u_char *)(uintptr_t)mmcf->config->socket; /* nobody writes to it */
    }
    for (ngx_uint_t i = 0; i < mmcf->uses.nelts; i++) {
        if (ngx_http_marketo_check_use(cf, mmcf, uses[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }
    ngx_http_marketo_check_program(cf, mmcf);
    return NGX_CONF_OK;
}
