#include "ngx_http_marketo.h"

static ngx_int_t ngx_http_marketo_show(ngx_http_variable_value_t *v, struct mkto_slice value)
{
    const ngx_str_t text = ngx_http_marketo_str(value);
    v->not_found = value.len == 0;
    v->valid = value.len > 0;
    v->no_cacheable = 0;
    v->len = (unsigned)text.len & 0xfffffffu;
    v->data = text.data;
    return NGX_OK;
}

/* Of the call, or else of the page view. */

static ngx_int_t ngx_http_marketo_verdict_variable(ngx_http_request_t *r,
                                                   ngx_http_variable_value_t *v, uintptr_t data)
{
    const ngx_http_marketo_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_marketo_module);
    const ngx_http_marketo_view_t *view = ngx_http_marketo_view_find(r);
    (void)data;
    if (ctx != NULL) {
        return ngx_http_marketo_show(v, ctx->answer == MKTO_ANSWER_COUNT
                                            ? MKTO_SLICE_NONE
                                            : mkto_slice_str(mkto_answer_name(ctx->answer)));
    }
    return ngx_http_marketo_show(v, mkto_slice_str(view == NULL ? NULL : view->verdict));
}

static ngx_int_t ngx_http_marketo_event_id_variable(ngx_http_request_t *r,
                                                    ngx_http_variable_value_t *v, uintptr_t data)
{
    const ngx_http_marketo_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_marketo_module);
    const ngx_http_marketo_view_t *view = ngx_http_marketo_view_find(r);
    const u_char *id = ctx != NULL ? ctx->id : view != NULL ? view->id : NULL;
    (void)data;
    return ngx_http_marketo_show(v,
                                 id == NULL || id[0] == '\0'
                                     ? MKTO_SLICE_NONE
                                     : (struct mkto_slice){(const char *)id, NGX_HTTP_MARKETO_ID});
}

static ngx_int_t ngx_http_marketo_visitor_variable(ngx_http_request_t *r,
                                                   ngx_http_variable_value_t *v, uintptr_t data)
{
    const ngx_http_marketo_view_t *view = ngx_http_marketo_view(r);
    (void)data;
    if (view == NULL || !view->request.visitor.found ||
        ngx_http_marketo_privacy(r, view) != MKTO_SKIP_NONE) {
        return ngx_http_marketo_show(v, MKTO_SLICE_NONE);
    }
    return ngx_http_marketo_show(v, mkto_slice_str(view->request.visitor.best.token));
}

static ngx_str_t names[] = {ngx_string("marketo_verdict"), ngx_string("marketo_event_id"),
                            ngx_string("marketo_visitor")};
static const ngx_http_get_variable_pt handlers[] = {ngx_http_marketo_verdict_variable,
                                                    ngx_http_marketo_event_id_variable,
                                                    ngx_http_marketo_visitor_variable};
#define COUNT (sizeof(names) / sizeof(names[0]))

ngx_int_t ngx_http_marketo_add_variables(ngx_conf_t *cf)
{
    for (size_t i = 0; i < COUNT; i++) {
        ngx_http_variable_t *variable =
            ngx_http_add_variable(cf, &names[i], NGX_HTTP_VAR_NOCACHEABLE);
        if (variable == NULL) {
            return NGX_ERROR;
        }
        variable->get_handler = handlers[i];
    }
    return NGX_OK;
}

/* Whoever uses a variable has asked for its index while the configuration was read. */
bool ngx_http_marketo_variables_are_used(ngx_conf_t *cf)
{
    const ngx_http_core_main_conf_t *cmcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    const ngx_http_variable_t *used = cmcf->variables.elts;
    for (ngx_uint_t i = 0; i < cmcf->variables.nelts; i++) {
        for (size_t k = 0; k < COUNT; k++) {
            if (used[i].name.len == names[k].len &&
                ngx_strncmp(used[i].name.data, names[k].data, names[k].len) == 0) {
                return true;
            }
        }
    }
    return false;
}
