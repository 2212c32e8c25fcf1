#include "ngx_http_marketo.h"

static char *ngx_http_marketo_must_be_absolute(ngx_conf_t *cf, const ngx_str_t *path)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "MKTO0120 \"%V\" must be an absolute path", path);
    return NGX_CONF_ERROR;
}

static char *ngx_http_marketo_wrong_word(ngx_conf_t *cf, const ngx_command_t *cmd,
                                         const ngx_str_t *word, const char *wrong)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "MKTO0132 \"%V\": \"%V\" %s", &cmd->name, word, wrong);
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
    if (mmcf->spawn != NGX_CONF_UNSET) {
        return "is duplicate";
    }
    ngx_http_marketo_spawn_stands_here(cf, mmcf);
    if (ngx_strcmp(args[1].data, "external") == 0) {
        mmcf->spawn = 0;
        return cf->args->nelts == 2
                   ? NGX_CONF_OK
                   : ngx_http_marketo_wrong_word(cf, cmd, &args[2], "must not follow \"external\"");
    }
    if (ngx_strcmp(args[1].data, "spawn") != 0) {
        return ngx_http_marketo_wrong_word(cf, cmd, &args[1],
                                           "must be spawn, spawn PROGRAM or external");
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

/* Notes where a directive stands that needs marketo.conf and the courier. */
static ngx_http_marketo_place_t *ngx_http_marketo_stands_here(ngx_conf_t *cf,
                                                              const ngx_command_t *cmd)
{
    ngx_http_marketo_main_conf_t *mmcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_marketo_module);
    ngx_http_marketo_place_t *place = ngx_pcalloc(cf->pool, sizeof(*place));
    ngx_http_marketo_place_t **slot = ngx_array_push(&mmcf->places);
    if (place == NULL || slot == NULL) {
        return NULL;
    }
    place->directive = cmd->name;
    place->file = cf->conf_file->file.name;
    place->line = cf->conf_file->line;
    *slot = place;
    return place;
}

/* One that takes the location for itself. */
static char *ngx_http_marketo_take_location(ngx_conf_t *cf, const ngx_command_t *cmd,
                                            ngx_http_handler_pt handler,
                                            ngx_http_marketo_place_t **place)
{
    ngx_http_core_loc_conf_t *clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    *place = ngx_http_marketo_stands_here(cf, cmd);
    if (*place == NULL) {
        return NGX_CONF_ERROR;
    }
    (*place)->location = clcf;
    (*place)->handler = handler;
    clcf->handler = handler;
    return NGX_CONF_OK;
}

char *ngx_http_marketo_set_use(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_loc_conf_t *mlcf = conf;
    const ngx_http_core_loc_conf_t *clcf =
        ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    const ngx_str_t *args = cf->args->elts;
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
    char *rc = ngx_http_marketo_take_location(cf, cmd, ngx_http_marketo_handler, &mlcf->use);
    if (rc == NGX_CONF_OK && cf->args->nelts == 2) {
        mlcf->use->name = args[1];
    }
    return rc;
}

char *ngx_http_marketo_set_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_loc_conf_t *mlcf = conf;
    if (mlcf->status != NULL) {
        return "is duplicate";
    }
    return ngx_http_marketo_take_location(cf, cmd, ngx_http_marketo_status_handler, &mlcf->status);
}

char *ngx_http_marketo_set_subscription(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_loc_conf_t *mlcf = conf;
    const ngx_str_t *args = cf->args->elts;
    if (mlcf->named != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }
    mlcf->named = ngx_http_marketo_stands_here(cf, cmd);
    if (mlcf->named == NULL) {
        return NGX_CONF_ERROR;
    }
    mlcf->named->name = args[1];
    return NGX_CONF_OK;
}

char *ngx_http_marketo_set_track_pages(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_loc_conf_t *mlcf = conf;
    ngx_http_marketo_main_conf_t *mmcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_marketo_module);
    char *rc = ngx_conf_set_flag_slot(cf, cmd, conf);
    if (rc != NGX_CONF_OK || !mlcf->track_pages) {
        return rc;
    }
    mmcf->tracks_pages = true;
    mlcf->tracks = ngx_http_marketo_stands_here(cf, cmd);
    return mlcf->tracks == NULL ? NGX_CONF_ERROR : NGX_CONF_OK;
}

char *ngx_http_marketo_set_ack(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_loc_conf_t *mlcf = conf;
    const ngx_str_t *args = cf->args->elts;
    const struct mkto_slice word = ngx_http_marketo_slice(args[1]);
    if (mlcf->ack != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }
    if (mkto_slice_is_fold(word, "disk")) {
        mlcf->ack = MKTO_ACK_DISK;
    } else if (mkto_slice_is_fold(word, "memory")) {
        mlcf->ack = MKTO_ACK_MEMORY;
    } else {
        return ngx_http_marketo_wrong_word(cf, cmd, &args[1], "must be disk or memory");
    }
    return NGX_CONF_OK;
}

/* marketo_cookie off|refresh|mint [domain=DOMAIN] [httponly] */

static bool ngx_http_marketo_cookie_mode(const ngx_str_t *word, struct mkto_cookie_rule *rule)
{
    const struct mkto_slice mode = ngx_http_marketo_slice(*word);
    if (mkto_slice_is(mode, "refresh")) {
        rule->mode = MKTO_COOKIE_REFRESH;
    } else if (mkto_slice_is(mode, "mint")) {
        rule->mode = MKTO_COOKIE_MINT;
    } else {
        return mkto_slice_is(mode, "off");
    }
    return true;
}

/* Returns NULL, or what is wrong with the argument. */
static const char *ngx_http_marketo_cookie_option(ngx_conf_t *cf, const ngx_str_t *word,
                                                  struct mkto_cookie_rule *rule)
{
    static const char domain[] = "domain=";
    const size_t start = sizeof(domain) - 1;
    if (rule->mode == MKTO_COOKIE_OFF) {
        return "has no place behind off";
    }
    if (mkto_slice_is(ngx_http_marketo_slice(*word), "httponly")) {
        const bool again = rule->http_only;
        rule->http_only = true;
        return again ? "stands there twice" : NULL;
    }
    if (word->len < start || ngx_strncmp(word->data, domain, start) != 0) {
        return "must be domain=DOMAIN or httponly";
    }
    if (rule->domain.data != NULL) {
        return "stands there twice";
    }
    char *out = ngx_pnalloc(cf->pool, MKTO_COOKIE_DOMAIN_MAX + 1);
    if (out == NULL) {
        return "finds no memory";
    }
    const struct mkto_slice value = {(const char *)word->data + start, word->len - start};
    const char *wrong = mkto_cookie_domain_read(value, out);
    rule->domain = mkto_slice_str(wrong == NULL ? out : NULL);
    return wrong;
}

char *ngx_http_marketo_set_cookie(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_loc_conf_t *mlcf = conf;
    ngx_http_marketo_main_conf_t *mmcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_marketo_module);
    const ngx_str_t *args = cf->args->elts;
    if (mlcf->cookie != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }
    ngx_http_marketo_cookie_t *cookie = ngx_pcalloc(cf->pool, sizeof(*cookie));
    if (cookie == NULL) {
        return NGX_CONF_ERROR;
    }
    const char *wrong = ngx_http_marketo_cookie_mode(&args[1], &cookie->rule)
                            ? NULL
                            : "must be off, refresh or mint";
    ngx_uint_t at = 1;
    while (wrong == NULL && ++at < cf->args->nelts) {
        wrong = ngx_http_marketo_cookie_option(cf, &args[at], &cookie->rule);
    }
    if (wrong != NULL) {
        return ngx_http_marketo_wrong_word(cf, cmd, &args[at], wrong);
    }
    mlcf->cookie = NULL;
    if (cookie->rule.mode != MKTO_COOKIE_OFF) {
        mmcf->sets_cookies = true;
        mlcf->cookie = cookie;
        cookie->place = ngx_http_marketo_stands_here(cf, cmd);
        return cookie->place == NULL ? NGX_CONF_ERROR : NGX_CONF_OK;
    }
    return NGX_CONF_OK;
}

/* Values with variables. nginx has said what is wrong with one. */
static ngx_int_t ngx_http_marketo_compile(ngx_conf_t *cf, ngx_http_complex_value_t *value)
{
    ngx_str_t *args = cf->args->elts;
    ngx_http_compile_complex_value_t compile;
    ngx_memzero(&compile, sizeof(compile));
    compile.cf = cf;
    compile.value = &args[1];
    compile.complex_value = value;
    return ngx_http_compile_complex_value(&compile);
}

char *ngx_http_marketo_set_consent(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_loc_conf_t *mlcf = conf;
    const ngx_str_t *args = cf->args->elts;
    (void)cmd;
    if (mlcf->consent != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }
    mlcf->consent = ngx_pcalloc(cf->pool, sizeof(*mlcf->consent));
    if (mlcf->consent == NULL || ngx_http_marketo_compile(cf, &mlcf->consent->value) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    if (cf->args->nelts == 3) {
        if (!mkto_slice_is(ngx_http_marketo_slice(args[2]), "absent=granted")) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "MKTO0133 \"marketo_consent\": \"%V\" must be absent=granted",
                               &args[2]);
            return NGX_CONF_ERROR;
        }
        mlcf->consent->absent_grants = true;
    }
    return NGX_CONF_OK;
}

static char *ngx_http_marketo_set_value(ngx_conf_t *cf, ngx_http_complex_value_t **value)
{
    if (*value != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }
    *value = ngx_pcalloc(cf->pool, sizeof(**value));
    return *value == NULL || ngx_http_marketo_compile(cf, *value) != NGX_OK ? NGX_CONF_ERROR
                                                                            : NGX_CONF_OK;
}

char *ngx_http_marketo_set_email(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_loc_conf_t *mlcf = conf;
    (void)cmd;
    return ngx_http_marketo_set_value(cf, &mlcf->email);
}

char *ngx_http_marketo_set_scheme(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_loc_conf_t *mlcf = conf;
    const ngx_str_t *args = cf->args->elts;
    const struct mkto_slice word = ngx_http_marketo_slice(args[1]);
    (void)cmd;
    if (ngx_strlchr(args[1].data, args[1].data + args[1].len, '$') == NULL &&
        !mkto_slice_is_fold(word, "https") && !mkto_slice_is_fold(word, "http")) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "MKTO0135 \"marketo_scheme\": \"%V\" must be http, https or a variable",
                           &args[1]);
        return NGX_CONF_ERROR;
    }
    return ngx_http_marketo_set_value(cf, &mlcf->scheme);
}

/* marketo_allow_origin off | ORIGIN ... */

static char *ngx_http_marketo_wrong_origin(ngx_conf_t *cf, const ngx_str_t *value,
                                           const char *wrong)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "MKTO0134 \"marketo_allow_origin\": \"%V\" %s", value,
                       wrong);
    return NGX_CONF_ERROR;
}

static const char *ngx_http_marketo_add_origin(ngx_conf_t *cf, const ngx_str_t *value,
                                               ngx_array_t *origins)
{
    struct mkto_slice *origin = ngx_array_push(origins);
    char *out = ngx_pnalloc(cf->pool, MKTO_ORIGIN_MAX + 1);
    if (origin == NULL || out == NULL) {
        return "finds no memory";
    }
    const char *wrong = mkto_slice_is(ngx_http_marketo_slice(*value), "off")
                            ? "must stand alone"
                            : mkto_origin_read(ngx_http_marketo_slice(*value), out);
    *origin = mkto_slice_str(wrong == NULL ? out : NULL);
    return wrong;
}

char *ngx_http_marketo_set_allow_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_marketo_loc_conf_t *mlcf = conf;
    const ngx_str_t *args = cf->args->elts;
    (void)cmd;
    if (mlcf->origins != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }
    if (mkto_slice_is(ngx_http_marketo_slice(args[1]), "off") && cf->args->nelts == 2) {
        mlcf->origins = NULL;
        return NGX_CONF_OK;
    }
    if (cf->args->nelts - 1 > MKTO_ORIGINS_MAX) {
        return ngx_http_marketo_wrong_origin(cf, &args[MKTO_ORIGINS_MAX + 1],
                                             "is one too many: 64 fit");
    }
    mlcf->origins = ngx_array_create(cf->pool, cf->args->nelts - 1, sizeof(struct mkto_slice));
    if (mlcf->origins == NULL) {
        return NGX_CONF_ERROR;
    }
    for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
        const char *wrong = ngx_http_marketo_add_origin(cf, &args[i], mlcf->origins);
        if (wrong != NULL) {
            return ngx_http_marketo_wrong_origin(cf, &args[i], wrong);
        }
    }
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
