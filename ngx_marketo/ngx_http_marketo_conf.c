#include <stdio.h>
#include <unistd.h>

#include "ngx_http_marketo.h"
#include "mkto_spawn.h"
#include "mkto_build.h"

void *ngx_http_marketo_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_marketo_main_conf_t *mmcf = ngx_pcalloc(cf->pool, sizeof(*mmcf));
    if (mmcf == NULL) {
        return NULL;
    }
    mmcf->spawn = NGX_CONF_UNSET;
    if (ngx_array_init(&mmcf->places, cf->pool, 4, sizeof(ngx_http_marketo_place_t *)) != NGX_OK) {
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
    mlcf->track_pages = NGX_CONF_UNSET;
    mlcf->named = NGX_CONF_UNSET_PTR;
    mlcf->cookie = NGX_CONF_UNSET_PTR;
    mlcf->consent = NGX_CONF_UNSET_PTR;
    mlcf->email = NGX_CONF_UNSET_PTR;
    mlcf->scheme = NGX_CONF_UNSET_PTR;
    mlcf->origins = NGX_CONF_UNSET_PTR;
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

/* Whatever here asks for a section of marketo.conf: the one with a name first. */
static const ngx_http_marketo_place_t *
ngx_http_marketo_asking(const ngx_http_marketo_loc_conf_t *conf)
{
    if (conf->use != NULL && conf->use->name.data != NULL) {
        return conf->use;
    }
    if (conf->named != NULL) {
        return conf->named;
    }
    if (conf->use != NULL) {
        return conf->use;
    }
    if (conf->track_pages) {
        return conf->tracks;
    }
    return conf->cookie == NULL ? NULL : conf->cookie->place;
}

static const struct mkto_subscription *
ngx_http_marketo_find_subscription(ngx_conf_t *cf, const ngx_http_marketo_loc_conf_t *conf)
{
    const ngx_http_marketo_main_conf_t *mmcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_marketo_module);
    const ngx_http_marketo_place_t *place = ngx_http_marketo_asking(conf);
    const ngx_str_t none = ngx_null_string;
    const struct mkto_slice name = ngx_http_marketo_slice(place == NULL ? none : place->name);
    if (mmcf->config == NULL) {
        return NULL;
    }
    if (place == NULL && conf->status != NULL) {
        return mmcf->config->subscriptions; /* any: it shows all of them */
    }
    return mkto_config_subscription(mmcf->config, name);
}

static bool ngx_http_marketo_needs_subscription(ngx_conf_t *cf,
                                                const ngx_http_marketo_loc_conf_t *conf)
{
    const ngx_http_marketo_main_conf_t *mmcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_marketo_module);
    const ngx_http_marketo_place_t *place = ngx_http_marketo_asking(conf);
    if (mmcf->config == NULL || place == NULL) {
        return false;
    }
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "MKTO0125 %V has no section [marketo%s%V], which \"%V\" asks for in %V:%ui",
                  &mmcf->config_file, place->name.len == 0 ? "" : " ", &place->name,
                  &place->directive, &place->file, place->line);
    return true;
}

char *ngx_http_marketo_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    const ngx_http_marketo_loc_conf_t *prev = parent;
    ngx_http_marketo_loc_conf_t *conf = child;
    const ngx_http_core_loc_conf_t *clcf =
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* nginx keeps the handler of the location in its `if` and limit_except blocks, and there only.
     */
    if (clcf->noname && conf->use == NULL && conf->status == NULL) {
        conf->use = prev->use;
        conf->status = prev->status;
    }
    if (conf->track_pages == NGX_CONF_UNSET) {
        conf->tracks = prev->tracks;
    }
    ngx_conf_merge_value(conf->track_pages, prev->track_pages, 0);
    ngx_conf_merge_ptr_value(conf->named, prev->named, NULL);
    ngx_conf_merge_ptr_value(conf->cookie, prev->cookie, NULL);
    ngx_conf_merge_ptr_value(conf->consent, prev->consent, NULL);
    ngx_conf_merge_ptr_value(conf->email, prev->email, NULL);
    ngx_conf_merge_ptr_value(conf->scheme, prev->scheme, NULL);
    ngx_conf_merge_ptr_value(conf->origins, prev->origins, NULL);
    ngx_conf_merge_uint_value(conf->ack, prev->ack, MKTO_ACK_DISK);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, NGX_HTTP_MARKETO_TIMEOUT);
    ngx_conf_merge_size_value(conf->max_body, prev->max_body, MKTO_BODY_DEFAULT);
    ngx_http_marketo_check_limit(cf, clcf, conf);
    conf->subscription = ngx_http_marketo_find_subscription(cf, conf);
    return conf->subscription == NULL && ngx_http_marketo_needs_subscription(cf, conf)
               ? NGX_CONF_ERROR
               : NGX_CONF_OK;
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

static ngx_int_t ngx_http_marketo_check_place(ngx_conf_t *cf, const ngx_http_marketo_place_t *place)
{
    if (place->location == NULL || place->location->handler == place->handler) {
        return NGX_OK;
    }
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "MKTO0124 another directive takes the location \"%V\" away from \"%V\" in "
                  "%V:%ui",
                  &place->location->name, &place->directive, &place->file, place->line);
    return NGX_ERROR;
}

/* No error, in httpd neither: without its courier the site still works. */
static void ngx_http_marketo_check_program(ngx_conf_t *cf, const ngx_http_marketo_main_conf_t *mmcf)
{
    if (mmcf->spawn && mmcf->places.nelts > 0 &&
        !mkto_spawn_can_run((const char *)mmcf->program.data)) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "MKTO0126 %s:%d: %s cannot be run, so that there is no courier: install it, "
                      "or name it",
                      mmcf->spawn_file.data, (int)mmcf->spawn_line, mmcf->program.data);
    }
}

static char *ngx_http_marketo_without_config(ngx_conf_t *cf,
                                             const ngx_http_marketo_main_conf_t *mmcf)
{
    ngx_http_marketo_place_t *const *places = mmcf->places.elts;
    if (mmcf->places.nelts == 0) {
        return NGX_CONF_OK;
    }
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "MKTO0127 \"%V\" in %V:%ui needs a \"marketo_config\" in http {}",
                  &places[0]->directive, &places[0]->file, places[0]->line);
    return NGX_CONF_ERROR;
}

char *ngx_http_marketo_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_marketo_main_conf_t *mmcf = conf;
    ngx_http_marketo_place_t *const *places = mmcf->places.elts;

    ngx_conf_init_value(mmcf->spawn, 1);
    if (mmcf->program.data == NULL) {
        ngx_str_set(&mmcf->program, MKTO_PROGRAM);
    }
    if (mmcf->config_file.data == NULL) {
        return ngx_http_marketo_without_config(cf, mmcf);
    }
    if (ngx_http_marketo_read_config(cf, mmcf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    if (mmcf->socket.data == NULL) {
        mmcf->socket.len = ngx_strlen(mmcf->config->socket);
        mmcf->socket.data = (u_char *)(uintptr_t)mmcf->config->socket; /* nobody writes to it */
    }
    for (ngx_uint_t i = 0; i < mmcf->places.nelts; i++) {
        if (ngx_http_marketo_check_place(cf, places[i]) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }
    ngx_http_marketo_check_program(cf, mmcf);
    return NGX_CONF_OK;
}
