#include "mod_marketo.h"

#include "apr_strings.h"
#include "http_request.h"

#define COLLECT_HANDLER "marketo-collect"
#define STATUS_HANDLER "marketo-status"

/*
 * The claim. httpd walks the locations before it asks anybody to translate the name, so our
 * directive is known first of all; from here on nobody else is asked what the request is, and no
 * directory or .htaccess is looked at. Authentication and `Require` of the location are not
 * touched.
 */

const char *marketo_claim_path(const request_rec *r, const struct marketo_dir *dir,
                               enum marketo_place place)
{
    if (dir == NULL || dir->place != (int)place || r->uri == NULL) {
        return NULL;
    }
    const size_t len = strlen(dir->prefix);
    if (strncmp(r->uri, dir->prefix, len) != 0 || (r->uri[len] != '/' && r->uri[len] != '\0')) {
        return NULL;
    }
    return r->uri + len;
}

static enum marketo_place place_of(const request_rec *r)
{
    const struct marketo_dir *dir = ap_get_module_config(r->per_dir_config, &marketo_module);
    if (r->proxyreq == PROXYREQ_PROXY) {
        return MARKETO_PLACE_SITE;
    }
    if (marketo_claim_path(r, dir, MARKETO_PLACE_COLLECT) != NULL) {
        return MARKETO_PLACE_COLLECT;
    }
    return marketo_claim_path(r, dir, MARKETO_PLACE_STATUS) != NULL ? MARKETO_PLACE_STATUS
                                                                    : MARKETO_PLACE_SITE;
}

static bool is_claimed(const request_rec *r)
{
    const struct marketo_request *request = marketo_request_known(r);
    return request != NULL && request->place != MARKETO_PLACE_SITE;
}

static void take(request_rec *r, enum marketo_place place)
{
    r->proxyreq = PROXYREQ_NONE;
    r->handler = place == MARKETO_PLACE_STATUS ? STATUS_HANDLER : COLLECT_HANDLER;
}

/* Before mod_proxy, which maps encoded paths here. */
static int claim_encoded(request_rec *r)
{
    return place_of(r) != MARKETO_PLACE_SITE ? OK : DECLINED;
}

static int claim_name(request_rec *r)
{
    const enum marketo_place place = place_of(r);
    if (place == MARKETO_PLACE_SITE) {
        return DECLINED;
    }
    marketo_request_get(r)->place = place;
    take(r, place);
    r->filename = apr_pstrcat(r->pool, "marketo:", r->uri, NULL); /* no file, but never NULL */
    return OK;
}

static int claim_storage(request_rec *r)
{
    return is_claimed(r) ? OK : DECLINED;
}

static int claim_type(request_rec *r)
{
    return is_claimed(r) ? OK : DECLINED;
}

/* After everybody else: a rewrite in the location may have set another handler. */
static int claim_fixup(request_rec *r)
{
    if (!is_claimed(r)) {
        return DECLINED;
    }
    take(r, marketo_request_known(r)->place);
    return OK;
}

/* Whoever names our handlers himself (SetHandler) has claimed nothing. */
static int handle(request_rec *r)
{
    if (!is_claimed(r) || r->handler == NULL) {
        return DECLINED;
    }
    if (strcmp(r->handler, COLLECT_HANDLER) == 0) {
        return marketo_handler_run(r);
    }
    return strcmp(r->handler, STATUS_HANDLER) == 0 ? marketo_status_run(r) : DECLINED;
}

void marketo_claim_hooks(void)
{
    ap_hook_pre_translate_name(claim_encoded, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_translate_name(claim_name, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_map_to_storage(claim_storage, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_type_checker(claim_type, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(claim_fixup, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
