#include "mkto_map_visit.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "mkto_event_time.h"
#include "mkto_map_address.h"
#include "mkto_map_identity.h"
#include "mkto_munchkin.h"
#include "mkto_net.h"

#define CLICK_OPTION "clickLink"
#define EVENT_PREFIX "/event/"
#define SCREEN_PREFIX "/screen"
#define ADDR_MAX 45 /* bytes of the longest text form of an IPv6 address */

struct visit {
    const struct mkto_event *event;
    const struct mkto_subscription *subscription;
    struct mkto_map_identity identity;
    struct mkto_map_address base; /* host is absent when nothing tells it */
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
    if (mkto_map_address_root("https:", host, &visit->base)) {
        return;
    }
    if (!visit->identity.made) {
        host = mkto_cookie_token_domain(mkto_slice_str(visit->identity.own.token));
        if (mkto_map_address_root("https:", host, &visit->base)) {
            return;
        }
    }
    const char *scheme = has_flag(visit->event, MKTO_ENVELOPE_HTTPS) ? "https:" : "http:";
    if (!mkto_map_address_root(scheme, visit->event->envelope->host, &visit->base)) {
        visit->base.host = MKTO_SLICE_NONE;
    }
}

static bool has_base(const struct visit *visit)
{
    return visit->base.host.data != NULL;
}

static bool parse(const struct visit *visit, struct mkto_slice url,
                  struct mkto_map_address *address)
{
    return mkto_map_address_parse(url, has_base(visit) ? &visit->base : NULL, address);
}

/* The page that a browser's call came from: it stands in the Referer of a same-origin call. */
static bool parse_referer(const struct visit *visit, struct mkto_map_address *address)
{
    return has_flag(visit->event, MKTO_ENVELOPE_BROWSER) &&
           mkto_map_address_parse(visit->event->envelope->referer, NULL, address);
}

static bool use_base(const struct visit *visit, struct mkto_map_address *address)
{
    *address = visit->base;
    return has_base(visit);
}

/* A URL without a query may have it beside it, as `search`. */
static void add_search(const struct visit *visit, struct mkto_map_address *address)
{
    if (address->query.len > 0) {
        return;
    }
    struct mkto_slice search = string_of(visit->event->properties, "search");
    if (search.len == 0) {
        search = string_of(page_of(visit->event), "search");
    }
    if (search.len > 0 && search.data[0] == '?') {
        search = (struct mkto_slice){search.data + 1, search.len - 1};
    }
    address->query = search;
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
    if (!has_base(visit) || (!parse(visit, path, address) && !use_base(visit, address))) {
        return false;
    }
    add_search(visit, address);
    return true;
}

/* A screen without an address has none of its own: then its path is made of its name. */
static bool find_screen(const struct visit *visit, struct mkto_map_address *address)
{
    if (parse(visit, string_of(visit->event->properties, "url"), address)) {
        return true;
    }
    bool found = use_base(visit, address);
    address->path = MKTO_SLICE_NONE;
    return found;
}

static bool find_track(const struct visit *visit, struct mkto_map_address *address)
{
    return parse(visit, string_of(page_of(visit->event), "url"), address) ||
           parse_referer(visit, address) || use_base(visit, address);
}

/* ---- clicks ---- */

/* Where a link of a page can lead: a path, or what stands in an anchor's href as a browser gives
 * it. Munchkin records the two without a host since its version 162. */
static bool is_link(struct mkto_slice href)
{
    struct mkto_map_address address;
    return (mkto_slice_begins_fold(href, "/") && !mkto_slice_begins_fold(href, "//")) ||
           mkto_slice_begins_fold(href, "mailto:") || mkto_slice_begins_fold(href, "tel:") ||
           (mkto_slice_begins_fold(href, "http") && mkto_map_address_parse(href, NULL, &address));
}

/* The link that a track says was clicked; absent: it is no click. What is no link counts as
 * nothing, as a marketoCookie does that is none. */
static struct mkto_slice clicked(const struct mkto_event *event)
{
    struct mkto_slice href =
        string_of(mkto_json_find(event->integrations, "Marketo"), CLICK_OPTION);
    return is_link(href) ? href : MKTO_SLICE_NONE;
}

/* ---- paths of our own ---- */

/* "Signed Up" -> "Signed-Up", each character for itself. */
static char *dashed(struct mkto_slice name, apr_pool_t *pool)
{
    char *copy = apr_pstrmemdup(pool, name.data, name.len);
    for (char *c = copy; *c != '\0'; c++) {
        *c = *c == ' ' || *c == '_' ? '-' : *c;
    }
    return copy;
}

/* The path of a page is percent-encoded, so that this one must be too. */
static const char *screen_path(struct mkto_slice name, apr_pool_t *pool)
{
    return name.len == 0
               ? SCREEN_PREFIX
               : apr_pstrcat(pool, SCREEN_PREFIX "/",
                             mkto_munchkin_encode(mkto_slice_str(dashed(name, pool)), pool), NULL);
}

static const char *track_path(struct mkto_slice name, apr_pool_t *pool)
{
    bool prefixed = name.len >= strlen(EVENT_PREFIX) &&
                    memcmp(name.data, EVENT_PREFIX, strlen(EVENT_PREFIX)) == 0;
    return apr_pstrcat(pool, prefixed ? "" : EVENT_PREFIX, dashed(name, pool), NULL);
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

/* What was stored before the config said so goes out cut all the same. */
static const char *network_text(struct mkto_slice addr, apr_pool_t *pool)
{
    struct mkto_net net;
    char text[MKTO_NET_MAX];
    if (!mkto_net_read(addr, &net)) {
        return NULL;
    }
    mkto_net_format(&net, text);
    return apr_pstrdup(pool, text);
}

/* What a sender without a write key says about ip and userAgent does not count: anybody could. */
static void put_headers(const struct visit *visit, struct mkto_visit *out, apr_pool_t *pool)
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
    out->user_agent = header_text(agent, pool);
    out->remote_addr =
        visit->subscription->anonymize_ip ? network_text(addr, pool) : header_text(addr, pool);
    out->accept_language = header_text(envelope->accept_language, pool);
    out->dnt = header_text(envelope->dnt, pool);
    out->gpc = header_text(envelope->gpc, pool);
}

/* ---- visits ---- */

static bool reject(struct mkto_delivery *delivery, const char *reason, const char *detail)
{
    delivery->kind = MKTO_DELIVERY_REJECTED;
    delivery->reason = reason;
    delivery->detail = detail;
    return false;
}

typedef bool find_fn(const struct visit *visit, struct mkto_map_address *address);

/* Whose visit it is and of what page. false: one of the two is not known, and the delivery says so.
 */
static bool decide(struct visit *visit, find_fn *find, const char *no_page,
                   struct mkto_map_address *address, struct mkto_delivery *delivery)
{
    mkto_map_identity_find(visit->event, visit->subscription, &visit->identity);
    if (!visit->identity.found) {
        return reject(delivery, "no_identity",
                      "userId or anonymousId: a visit needs one of them, or the visitor's cookie");
    }
    find_base(visit);
    if (!find(visit, address)) {
        return reject(delivery, "no_page", no_page);
    }
    delivery->kind = MKTO_DELIVERY_VISIT;
    delivery->api = MKTO_API_MUNCHKIN;
    return true;
}

static void write_down(const struct visit *visit, const struct mkto_map_address *address,
                       struct mkto_visit *out, apr_pool_t *pool)
{
    *out = (struct mkto_visit){
        .token = mkto_map_identity_token(&visit->identity, visit->subscription, pool),
        .at_ms = mkto_event_time(visit->event),
        .anonymize = visit->subscription->anonymize_ip,
    };
    mkto_map_address_write(address, out, pool);
    put_headers(visit, out, pool);
}

static const char *copy(struct mkto_slice text, apr_pool_t *pool)
{
    return text.len == 0 ? "" : apr_pstrmemdup(pool, text.data, text.len);
}

/* Without "user:password@": that is nobody's business, here as in a page's own address. */
static const char *copy_link(struct mkto_slice href, apr_pool_t *pool)
{
    struct mkto_map_address address;
    if (!mkto_map_address_parse(href, NULL, &address)) {
        return copy(href, pool);
    }
    const size_t front = strlen(address.scheme) + strlen("//");
    const char *host = address.host.data;
    const struct mkto_slice rest = {host, (size_t)(href.data + href.len - host)};
    return apr_pstrcat(pool, copy((struct mkto_slice){href.data, front}, pool), copy(rest, pool),
                       NULL);
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

#define NO_HOST ": nothing tells the page's host; set `host` in the configuration"

void mkto_map_visit_page(const struct mkto_event *event,
                         const struct mkto_subscription *subscription, bool build,
                         struct mkto_delivery *delivery, apr_pool_t *pool)
{
    struct visit visit = {.event = event, .subscription = subscription};
    struct mkto_map_address address;
    bool screen = event->call == MKTO_CALL_SCREEN;
    if (!decide(&visit, screen ? find_screen : find_page, "properties.url" NO_HOST, &address,
                delivery) ||
        !build) {
        return;
    }
    write_down(&visit, &address, &delivery->visit, pool);
    if (screen && address.path.data == NULL) {
        delivery->visit.path = screen_path(event->name, pool);
    }
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
                          const struct mkto_subscription *subscription, bool build,
                          struct mkto_delivery *delivery, apr_pool_t *pool)
{
    struct visit visit = {.event = event, .subscription = subscription};
    struct mkto_map_address address;
    if (!decide(&visit, find_track, "context.page.url" NO_HOST, &address, delivery) || !build) {
        return;
    }
    write_down(&visit, &address, &delivery->visit, pool);
    delivery->visit.referrer = copy(string_of(page_of(event), "referrer"), pool);
    struct mkto_slice href = clicked(event);
    if (href.len > 0) {
        delivery->visit.href = copy_link(href, pool);
        delivery->visit.api = href.data[0] == '/'; /* an anchor's own href is never a mere path */
        return;
    }
    delivery->visit.path = track_path(event->name, pool);
    delivery->visit.query = params(event->properties, pool);
    delivery->visit.hash = "";
    delivery->visit.api = true;
}
