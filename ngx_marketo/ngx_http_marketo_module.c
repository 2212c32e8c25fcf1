#include "ngx_http_marketo.h"

static ngx_int_t ngx_http_marketo_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_marketo_init_process(ngx_cycle_t *cycle);
static void ngx_http_marketo_exit_process(ngx_cycle_t *cycle);

ngx_http_marketo_link_t ngx_http_marketo_events;
ngx_http_marketo_link_t ngx_http_marketo_presence;

/* clang-format off */
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

    { ngx_string("marketo_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_marketo_set_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("marketo_subscription"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_marketo_set_subscription,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("marketo_ack"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_marketo_set_ack,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

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

    { ngx_string("marketo_track_pages"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_marketo_set_track_pages,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_marketo_loc_conf_t, track_pages),
      NULL },

    { ngx_string("marketo_cookie"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_marketo_set_cookie,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("marketo_consent"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_marketo_set_consent,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("marketo_email"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_marketo_set_email,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("marketo_scheme"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_marketo_set_scheme,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("marketo_allow_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_marketo_set_allow_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};

static ngx_http_module_t ngx_http_marketo_module_ctx = {
    ngx_http_marketo_add_variables,        /* preconfiguration */
    ngx_http_marketo_postconfiguration,    /* postconfiguration */

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

/* The end of the configuration. */

/* Before access_log, whose lines show what became of the page view. */
static ngx_int_t ngx_http_marketo_add_page_handler(ngx_conf_t *cf)
{
    ngx_http_core_main_conf_t *cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_array_t *handlers = &cmcf->phases[NGX_HTTP_LOG_PHASE].handlers;
    if (ngx_array_push(handlers) == NULL) {
        return NGX_ERROR;
    }
    ngx_http_handler_pt *first = handlers->elts;
    ngx_memmove(first + 1, first, (handlers->nelts - 1) * sizeof(*first));
    *first = ngx_http_marketo_page_handler;
    return NGX_OK;
}

static ngx_int_t ngx_http_marketo_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_marketo_main_conf_t *mmcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_marketo_module);
    mmcf->shows_variables = ngx_http_marketo_variables_are_used(cf);
    if (mmcf->sets_cookies) {
        ngx_http_marketo_cookie_install();
    }
    return mmcf->tracks_pages ? ngx_http_marketo_add_page_handler(cf) : NGX_OK;
}

/* Start and end of a worker. */

static ngx_int_t ngx_http_marketo_init_process(ngx_cycle_t *cycle)
{
    const ngx_http_marketo_main_conf_t *mmcf;
    mmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_marketo_module);

    /* The cache manager and loader come here too: they serve nobody. */
    if ((ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) || mmcf == NULL ||
        mmcf->config == NULL || mmcf->places.nelts == 0) {
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
