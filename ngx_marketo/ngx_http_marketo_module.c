#include "ngx_http_marketo.h"

static ngx_int_t ngx_http_marketo_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_marketo_init_process(ngx_cycle_t *cycle);
static void ngx_http_marketo_exit_process(ngx_cycle_t *cycle);

ngx_http_marketo_link_t ngx_http_marketo_events;
ngx_http_marketo_link_t ngx_http_marketo_presence;

/* clang-format off */
static ngx_conf_enum_t ngx_http_marketo_acks[] = {
    { ngx_string("disk"),   MKTO_ACK_DISK },
    { ngx_string("memory"), MKTO_ACK_MEMORY },
    { ngx_null_string, 0 }
};

static ngx_conf_post_t ngx_http_marketo_timeout_post = { ngx_http_marketo_check_timeout };
static ngx_conf_post_t ngx_http_marketo_max_body_post = { ngx_http_marketo_check_max_body };

static ngx_command_t ngx_http_marketo_commands[] = {

    { ngx_string("marketo_config"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_marketo_set_config,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("marketo_courier"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_marketo_set_courier,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("marketo_socket"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_marketo_set_socket,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("marketo"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_marketo_set_use,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("marketo_ack"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_marketo_loc_conf_t, ack),
      &ngx_http_marketo_acks },

    { ngx_string("marketo_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_marketo_loc_conf_t, timeout),
      &ngx_http_marketo_timeout_post },

    { ngx_string("marketo_max_body"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_marketo_loc_conf_t, max_body),
      &ngx_http_marketo_max_body_post },

      ngx_null_command
};

static ngx_http_module_t ngx_http_marketo_module_ctx = {
    ngx_http_marketo_add_variables,        /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_marketo_create_main_conf,     /* create main configuration */
    ngx_http_marketo_init_main_conf,       /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_marketo_create_loc_conf,      /* create location configuration */
    ngx_http_marketo_merge_loc_conf        /* merge location configuration */
};

ngx_module_t ngx_http_marketo_module = {
    NGX_MODULE_V1,
    &ngx_http_marketo_module_ctx,          /* module context */
    ngx_http_marketo_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_marketo_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_marketo_exit_process,         /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};
/* clang-format on */

/* Variables. */

static ngx_int_t ngx_http_marketo_verdict_variable(ngx_http_request_t *r,
                                                   ngx_http_variable_value_t *v, uintptr_t data)
{
    const ngx_http_marketo_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_marketo_module);
    (void)data;
    if (ctx == NULL || ctx->answer == MKTO_ANSWER_COUNT) {
        v->not_found = 1;
        return NGX_OK;
    }
    /* A const word of the table; nginx only reads it, and its type has no const. */
    union {
        const char *in;
        u_char *out;
    } word = {mkto_answer_name(ctx->answer)};
    v->data = word.out;
    v->len = (unsigned)ngx_strlen(v->data) & 0xfffffffu;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    return NGX_OK;
}

static ngx_int_t ngx_http_marketo_event_id_variable(ngx_http_request_t *r,
                                                    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_marketo_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_marketo_module);
    (void)data;
    if (ctx == NULL || ctx->id[0] == '\0') {
        v->not_found = 1;
        return NGX_OK;
    }
    v->data = ctx->id;
    v->len = sizeof(ctx->id);
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    return NGX_OK;
}

static ngx_int_t ngx_http_marketo_add_variables(ngx_conf_t *cf)
{
    static ngx_str_t names[] = {ngx_string("marketo_verdict"), ngx_string("marketo_event_id")};
    static const ngx_http_get_variable_pt handlers[] = {ngx_http_marketo_verdict_variable,
                                                        ngx_http_marketo_event_id_variable};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ngx_http_variable_t *variable =
            ngx_http_add_variable(cf, &names[i], NGX_HTTP_VAR_NOCACHEABLE);
        if (variable == NULL) {
            return NGX_ERROR;
        }
        variable->get_handler = handlers[i];
    }
    return NGX_OK;
}

/* Start and end of a worker. */

static ngx_int_t ngx_http_marketo_init_process(ngx_cycle_t *cycle)
{
    const ngx_http_marketo_main_conf_t *mmcf;
    mmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_marketo_module);

    /* The cache manager and loader come here too: they serve nobody. */
    if ((ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) || mmcf == NULL ||
        mmcf->config == NULL || mmcf->uses.nelts == 0) {
        return NGX_OK;
    }
    if (ngx_worker == 0) { /* one worker tells of the courier, and starts it */
        ngx_http_marketo_events.changed = ngx_http_marketo_presence_changed;
        ngx_http_marketo_presence.changed = ngx_http_marketo_presence_changed;
    }
    if ((ngx_worker == 0 && mmcf->spawn &&
         ngx_http_marketo_link_start(&ngx_http_marketo_presence, mmcf, MKTO_ROLE_PRESENCE) !=
             NGX_OK) ||
        ngx_http_marketo_link_start(&ngx_http_marketo_events, mmcf, MKTO_ROLE_EVENTS) != NGX_OK) {
        /* Not an error of the worker: the site is served, and events are answered 503. */
        ngx_log_error(NGX_LOG_ERR, cycle->log, 0, "MKTO0131 out of memory for the courier");
    }
    return NGX_OK;
}

static void ngx_http_marketo_exit_process(ngx_cycle_t *cycle)
{
    (void)cycle;
    ngx_http_marketo_link_stop(&ngx_http_marketo_events);
    ngx_http_marketo_link_stop(&ngx_http_marketo_presence);
}
