#include "mkto_map_visit.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "mkto_map_address.h"
#include "mkto_map_identity.h"
#include "mkto_munchkin.h"

#define EVENT_PREFIX "/event/"
#define SCREEN_PREFIX "/screen"
#define ADDR_MAX 45 /* bytes of the longest text form of an IPv6 address */

struct visit {
    const struct mkto_event *event;
    const struct mkto_subscription *subscription;
    struct mkto_map_identity identity;
    struct mkto_map_address base; /* host is NULL when nothing tells it */
    apr_pool_t *pool;
};

static struct mkto_slice string_of(const struct mkto_json *object, const char *key)
{
    return mkto_json_string(mkto_json_find(object, key));
}

static const struct mkto_json *page_of(const struct mkto_event *event)
{
    return mkto_json_get(event->context, "page");
}

/* ---- where it was ---- */

static bool has_flag(const struct mkto_event *event, enum mkto_envelope_flag flag)
{
    return (event->envelope->flags & (uint32_t)flag) != 0;
}

static void find_base(struct visit *visit)
{
    struct mkto_slice host = mkto_slice_str(visit->subscription->host);
    if (mkto_map_address_root("https:", host, &visit->base, visit->pool)) {
        return;
    }
    if (!visit->identity.made && visit->identity.token != NULL) {
        host = mkto_cookie_token_domain(mkto_slice_str(visit->identity.token));
        if (mkto_map_address_root("https:", host, &visit->base, visit->pool)) {
            return;
        }
    }
    const char *scheme = has_flag(visit->event, MKTO_ENVELOPE_HTTPS) ? "https:" : "http:";
    if (!mkto_map_address_root(scheme, visit->event->envelope->host, &visit->base, visit->pool)) {
        visit->base.host = NULL;
    }
}

static bool parse(const struct visit *visit, struct mkto_slice url,
                  struct mkto_map_address *address)
{
    return mkto_map_address_parse(url, visit->base.host == NULL ? NULL : &visit->base, address,
                                  visit->pool);
}

/* The page that a browser's call came from: it stands in the Referer of a same-origin call. */
static bool parse_referer(const struct visit *visit, struct mkto_map_address *address)
{
    return has_flag(visit->event, MKTO_ENVELOPE_BROWSER) &&
           mkto_map_address_parse(visit->event->envelope->referer, NULL, address, visit->pool);
}

static bool use_base(const struct visit *visit, struct mkto_map_address *address)
{
    *address = visit->base;
    return visit->base.host != NULL;
}

/* A URL without a query may have it beside it, as `search`. */
static void add_search(const struct visit *visit, struct mkto_map_address *address)
{
    if (address->query[0] != '\0') {
        return;
    }
    struct mkto_slice search = string_of(visit->event->properties, "search");
    if (search.len == 0) {
        search = string_of(page_of(visit->event), "search");
    }
    if (search.len > 0 && search.data[0] == '?') {
        search = (struct mkto_slice){search.data + 1, search.len - 1};
    }
    if (search.len > 0) {
        address->query = apr_pstrmemdup(visit->pool, search.data, search.len);
    }
}

static bool find_page(const struct visit *visit, struct mkto_map_address *address)
{
    const struct mkto_json *properties = visit->event->properties;
    const struct mkto_json *page = page_of(visit->event);
    if (parse(visit, string_of(properties, "url"), address) ||
        parse(visit, string_of(page, "url"), address)) {
        add_search(visit, address);
        return true;
    }
    if (parse_referer(visit, address)) {
        return true;
    }
    struct mkto_slice path = string_of(properties, "path");
    path = path.len > 0 ? path : string_of(page, "path");
    if (visit->base.host == NULL || (!parse(visit, path, address) && !use_base(visit, address))) {
        return false;
    }
    add_search(visit, address);
    return true;
}

/* "Signed Up" -> "Signed-Up", each character for itself. */
static char *dashed(struct mkto_slice name, apr_pool_t *pool)
{
    char *copy = apr_pstrmemdup(pool, name.data, name.len);
    for (char *c = copy; *c != '\0'; c++) {
        *c = *c == ' ' || *c == '_' ? '-' : *c;
    }
    return copy;
}

static bool find_screen(const struct visit *visit, struct mkto_map_address *address)
{
    if (parse(visit, string_of(visit->event->properties, "url"), address)) {
        return true;
    }
    if (!use_base(visit, address)) {
        return false;
    }
    /* The path of a page is percent-encoded, so that this one must be too. */
    struct mkto_slice name = visit->event->name;
    const char *encoded =
        name.len == 0
            ? ""
            : mkto_munchkin_encode(mkto_slice_str(dashed(name, visit->pool)), visit->pool);
    address->path =
        apr_pstrcat(visit->pool, SCREEN_PREFIX, name.len == 0 ? "" : "/", encoded, NULL);
    return true;
}

static bool find_place(const struct visit *visit, struct mkto_map_address *address)
{
    return parse(visit, string_of(page_of(visit->event), "url"), address) ||
           parse_referer(visit, address) || use_base(visit, address);
}

/* ---- request headers ---- */

/* A header's value without control characters: some come out of JSON, where anything can stand. */
static const char *header_text(struct mkto_slice text, apr_pool_t *pool)
{
    if (text.len == 0) {
        return NULL;
    }
    size_t len = text.len > MKTO_ENVELOPE_HEADER_MAX ? MKTO_ENVELOPE_HEADER_MAX : text.len;
    char *copy = apr_pstrmemdup(pool, text.data, len);
    for (size_t i = 0; i < len; i++) {
        copy[i] = apr_iscntrl(copy[i]) ? ' ' : copy[i];
    }
    return copy;
}

static bool is_addr(struct mkto_slice text)
{
    if (text.len < 2 || text.len > ADDR_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!apr_isxdigit(text.data[i]) && text.data[i] != '.' && text.data[i] != ':') {
            return false;
        }
    }
    return true;
}

/* What a sender without a write key says about ip and userAgent does not count: anybody could. */
static void put_headers(const struct visit *visit, struct mkto_visit *out)
{
    const struct mkto_envelope *envelope = visit->event->envelope;
    struct mkto_slice agent = envelope->user_agent;
    struct mkto_slice addr = envelope->remote_addr;
    if (has_flag(visit->event, MKTO_ENVELOPE_KEYED)) {
        struct mkto_slice own = string_of(visit->event->context, "userAgent");
        agent = own.len > 0 ? own : agent;
        own = string_of(visit->event->context, "ip");
        addr = is_addr(own) ? own : addr;
    }
    out->user_agent = header_text(agent, visit->pool);
    out->remote_addr = header_text(addr, visit->pool);
    out->accept_language = header_text(envelope->accept_language, visit->pool);
    out->dnt = header_text(envelope->dnt, visit->pool);
    out->gpc = header_text(envelope->gpc, visit->pool);
}

/* ---- visits ---- */

static void reject(struct mkto_delivery *delivery, const char *reason, const char *detail)
{
    delivery->kind = MKTO_DELIVERY_REJECTED;
    delivery->reason = reason;
    delivery->detail = detail;
}

/* false: nobody's visit, and the delivery says so. */
static bool begin(struct visit *visit, const struct mkto_event *event,
                  const struct mkto_subscription *subscription, struct mkto_delivery *delivery,
                  apr_pool_t *pool)
{
    *visit = (struct visit){.event = event, .subscription = subscription, .pool = pool};
    mkto_map_identity_read(event, subscription, &visit->identity, pool);
    if (visit->identity.token == NULL) {
        reject(delivery, "no_identity",
               "userId or anonymousId: a visit needs one of them, or the visitor's cookie");
        return false;
    }
    find_base(visit);
    return true;
}

static void end(const struct visit *visit, const struct mkto_map_address *address,
                struct mkto_delivery *delivery)
{
    delivery->kind = MKTO_DELIVERY_VISIT;
    delivery->api = MKTO_API_MUNCHKIN;
    delivery->visit = (struct mkto_visit){
        .token = visit->identity.token,
        .scheme = address->scheme,
        .host = address->host,
        .port = address->port,
        .path = address->path,
        .query = address->query,
        .hash = address->hash,
        .referrer = "",
        .at_ms = visit->event->envelope->received_ms,
    };
    put_headers(visit, &delivery->visit);
}

static const char *copy(struct mkto_slice text, apr_pool_t *pool)
{
    return text.len == 0 ? "" : apr_pstrmemdup(pool, text.data, text.len);
}

static const char *page_referrer(const struct mkto_event *event, apr_pool_t *pool)
{
    struct mkto_slice referrer = string_of(mkto_json_get(event->context, "referrer"), "url");
    if (referrer.len == 0) {
        referrer = string_of(page_of(event), "referrer");
    }
    if (referrer.len == 0) {
        referrer = string_of(event->properties, "referrer");
    }
    return copy(referrer, pool);
}

#define NO_PAGE "properties.url: nothing tells the page's host; set `host` in the configuration"

void mkto_map_visit_page(const struct mkto_event *event,
                         const struct mkto_subscription *subscription,
                         struct mkto_delivery *delivery, apr_pool_t *pool)
{
    struct visit visit;
    struct mkto_map_address address;
    if (!begin(&visit, event, subscription, delivery, pool)) {
        return;
    }
    bool screen = event->call == MKTO_CALL_SCREEN;
    if (screen ? !find_screen(&visit, &address) : !find_page(&visit, &address)) {
        reject(delivery, "no_page", NO_PAGE);
        return;
    }
    end(&visit, &address, delivery);
    delivery->visit.referrer = page_referrer(event, pool);
}

/* One property as "key=value", both encoded; NULL for null. */
static const char *param(const struct mkto_json *property, apr_pool_t *pool)
{
    struct mkto_slice value = property->text;
    switch (property->type) {
    case MKTO_JSON_NULL: return NULL;
    case MKTO_JSON_FALSE: value = MKTO_SLICE_LIT("false"); break;
    case MKTO_JSON_TRUE: value = MKTO_SLICE_LIT("true"); break;
    case MKTO_JSON_NUMBER:
    case MKTO_JSON_STRING: break;
    case MKTO_JSON_ARRAY:
    case MKTO_JSON_OBJECT: value = mkto_json_text(property, pool); break;
    }
    return apr_pstrcat(pool, mkto_munchkin_encode(property->key, pool), "=",
                       mkto_munchkin_encode(value, pool), NULL);
}

static const char *params(const struct mkto_json *properties, apr_pool_t *pool)
{
    if (properties == NULL) {
        return "";
    }
    apr_array_header_t *list = apr_array_make(pool, (int)properties->count, sizeof(const char *));
    for (const struct mkto_json *node = properties->first; node != NULL; node = node->next) {
        const char *text = param(node, pool);
        if (text != NULL) {
            APR_ARRAY_PUSH(list, const char *) = text;
        }
    }
    return apr_array_pstrcat(pool, list, '&');
}

void mkto_map_visit_track(const struct mkto_event *event,
                          const struct mkto_subscription *subscription,
                          struct mkto_delivery *delivery, apr_pool_t *pool)
{
    struct visit visit;
    struct mkto_map_address address;
    if (!begin(&visit, event, subscription, delivery, pool)) {
        return;
    }
    if (!find_place(&visit, &address)) {
        reject(delivery, "no_page",
               "context.page.url: nothing tells the page's host; set `host` in the configuration");
        return;
    }
    bool prefixed = event->name.len >= strlen(EVENT_PREFIX) &&
                    memcmp(event->name.data, EVENT_PREFIX, strlen(EVENT_PREFIX)) == 0;
    address.path = apr_pstrcat(pool, prefixed ? "" : EVENT_PREFIX, dashed(event->name, pool), NULL);
    address.query = params(event->properties, pool);
    address.hash = "";
    end(&visit, &address, delivery);
    delivery->visit.api = true;
    delivery->visit.referrer = copy(string_of(page_of(event), "referrer"), pool);
}
