#include "mkto_cookie_set.h"

#include <stdio.h>

#include "mkto_host.h"
#include "mkto_page.h"
#include "mkto_privacy.h"

#define TO_TEXT(number) #number
#define SECONDS(number) TO_TEXT(number)

#define LIFE "; Max-Age=" SECONDS(MKTO_COOKIE_LIFE)
#define END "; Max-Age=0"

_Static_assert(sizeof("_mch--") - 1 + MKTO_COOKIE_DOMAIN_MAX + 2 * MKTO_COOKIE_RANDOM <=
                   MKTO_COOKIE_TOKEN_MAX,
               "a token of the longest domain");
_Static_assert(sizeof("_mkto_trk=" LIFE "; Path=/; Domain=; SameSite=Lax; Secure; HttpOnly") +
                       MKTO_COOKIE_MAX + MKTO_HOST_MAX <=
                   MKTO_SET_COOKIE_MAX,
               "the longest cookie");

/* The directive. */

static bool is_label(struct mkto_slice label)
{
    for (size_t i = 0; i < label.len; i++) {
        const char c = label.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              c == '-')) {
            return false;
        }
    }
    return label.len > 0 && label.len <= 63 && label.data[0] != '-' &&
           label.data[label.len - 1] != '-';
}

const char *mkto_cookie_domain_read(struct mkto_slice value, char *out)
{
    if (value.len > 0 && value.data[0] == '.') {
        value.data++;
        value.len--;
    }
    if (value.len > MKTO_COOKIE_DOMAIN_MAX) {
        return "is longer than a cookie's domain can be";
    }
    struct mkto_slice rest = value;
    size_t labels = 0;
    bool clean = value.len > 0 && value.data[value.len - 1] != '.';
    while (clean && rest.len > 0) {
        clean = is_label(mkto_slice_cut(&rest, '.'));
        labels++;
    }
    if (!clean || labels < 2 || mkto_host_is_address(value)) {
        return "must be a domain like example.com";
    }
    if (mkto_host_is_shared(value)) {
        return "is a domain that many sites share; browsers refuse its cookies";
    }
    *mkto_slice_lower(value, out) = '\0';
    return NULL;
}

/* Whether it may be set. */

bool mkto_cookie_is_ours(struct mkto_slice value)
{
    struct mkto_slice ignored;
    return mkto_cookie_is(value, MKTO_SLICE_LIT(MKTO_COOKIE_NAME), &ignored) ||
           mkto_cookie_is(value, MKTO_SLICE_LIT(MKTO_OPT_OUT_NAME), &ignored);
}

/* Cuts one directive off a Cache-Control list; a comma in quotes is none. */
static struct mkto_slice next_directive(struct mkto_slice *list)
{
    bool quoted = false;
    size_t end = 0;
    while (end < list->len && (quoted || list->data[end] != ',')) {
        quoted = quoted != (list->data[end] == '"');
        end++;
    }
    const struct mkto_slice directive = {list->data, end};
    const size_t used = end < list->len ? end + 1 : end;
    list->data += used;
    list->len -= used;
    return mkto_slice_trim(directive);
}

/* What no number is, counts as a long time. */
static bool is_zero(struct mkto_slice seconds)
{
    seconds = mkto_slice_unquote(mkto_slice_trim(seconds));
    for (size_t i = 0; i < seconds.len; i++) {
        if (seconds.data[i] != '0') {
            return false;
        }
    }
    return seconds.len > 0;
}

struct caching {
    bool no_store, is_private, is_public, lasts;
};

static struct caching read_caching(struct mkto_slice list)
{
    struct caching caching = {false, false, false, false};
    while (list.len > 0) {
        struct mkto_slice value = next_directive(&list);
        const struct mkto_slice name = mkto_slice_trim(mkto_slice_cut(&value, '='));
        if (mkto_slice_is_fold(name, "no-store")) {
            caching.no_store = true;
        } else if (mkto_slice_is_fold(name, "private") && value.data == NULL) {
            caching.is_private = true; /* private="field" is about a field only */
        } else if (mkto_slice_is_fold(name, "public") || mkto_slice_is_fold(name, "s-maxage")) {
            caching.is_public = true;
        } else if (mkto_slice_is_fold(name, "max-age")) {
            caching.lasts = caching.lasts || !is_zero(value);
        }
    }
    return caching;
}

static enum mkto_cookie_step by_caching(const struct mkto_cookie_response *response)
{
    const struct caching caching = read_caching(response->cache_control);
    const struct caching cdn = read_caching(response->cdn_control);
    if (!cdn.no_store && !cdn.is_private && (cdn.is_public || cdn.lasts)) {
        return MKTO_COOKIE_LEAVE;
    }
    if (caching.no_store) {
        return MKTO_COOKIE_SET;
    }
    if (caching.is_public) {
        return MKTO_COOKIE_LEAVE;
    }
    if (caching.is_private) {
        return MKTO_COOKIE_SET;
    }
    if (caching.lasts || (response->expires && response->cache_control.len == 0)) {
        return MKTO_COOKIE_LEAVE;
    }
    return MKTO_COOKIE_SET_PRIVATE;
}

/* A page; no answer to HEAD, no part, no image. A 304 hardly ever says its type. */
static bool is_page(const struct mkto_request *request, const struct mkto_cookie_response *response)
{
    return mkto_slice_is(request->method, "GET") &&
           (response->status == 304 || mkto_page_is_document(response->content_type));
}

enum mkto_cookie_step mkto_cookie_may_set(const struct mkto_request *request,
                                          const struct mkto_cookie_rule *rule,
                                          const struct mkto_cookie_response *response)
{
    if (rule->mode == MKTO_COOKIE_OFF || response->has_cookie || response->status < 200 ||
        response->status == 206) {
        return MKTO_COOKIE_LEAVE;
    }
    if (response->ours && response->status >= 400) { /* no place for a visitor to begin */
        return MKTO_COOKIE_LEAVE;
    }
    if (!response->ours && !is_page(request, response)) {
        return MKTO_COOKIE_LEAVE;
    }
    const enum mkto_cookie_step step =
        response->status == 304 ? MKTO_COOKIE_LEAVE : by_caching(response);
    return step == MKTO_COOKIE_LEAVE && mkto_privacy_opt_out(request) >= 0 ? MKTO_COOKIE_SET_OPT_OUT
                                                                           : step;
}

/* Which cookie. */

/* For a cookie with this token ("" for none), absent when it is for this very host only. */
static struct mkto_slice pick_domain(const struct mkto_request *request,
                                     const struct mkto_cookie_rule *rule, const char *token)
{
    const struct mkto_slice host = mkto_host_name(request->host);
    const struct mkto_slice own = mkto_cookie_token_domain(mkto_slice_str(token));
    if (mkto_host_is_address(host) || !mkto_host_is_clean(request->host)) {
        return MKTO_SLICE_NONE;
    }
    if (mkto_host_may_set(host, own)) {
        return own;
    }
    if (mkto_host_may_set(host, rule->domain)) {
        return rule->domain;
    }
    const struct mkto_slice picked = mkto_cookie_domain(host);
    return mkto_host_may_set(host, picked) ? picked : MKTO_SLICE_NONE;
}

static bool make_token(const struct mkto_request *request, const struct mkto_cookie_rule *rule,
                       const uint8_t *random, char *token)
{
    struct mkto_slice domain = pick_domain(request, rule, "");
    if (domain.data == NULL) {
        domain = mkto_host_name(request->host);
    }
    if (!mkto_host_is_clean(request->host) || domain.len > MKTO_COOKIE_DOMAIN_MAX ||
        domain.data[0] == '[') { /* Marketo takes no visit with brackets in its token */
        return false;
    }
    char name[MKTO_COOKIE_DOMAIN_MAX + 1];
    *mkto_slice_lower(domain, name) = '\0';
    int len = snprintf(token, MKTO_COOKIE_TOKEN_MAX + 1, "_mch-%s-", name);
    for (size_t i = 0; i < MKTO_COOKIE_RANDOM; i++) {
        len += snprintf(token + len, 3, "%02x", random[i]);
    }
    return true;
}

bool mkto_cookie_keep(const struct mkto_request *request, const struct mkto_cookie_rule *rule,
                      const uint8_t *random, struct mkto_cookie *cookie)
{
    const struct mkto_cookie *came = &request->visitor.best;
    const struct mkto_slice id = request->munchkin_id;
    memset(cookie, 0, sizeof(*cookie));
    if (rule->mode == MKTO_COOKIE_OFF || id.len == 0 || id.len > MKTO_COOKIE_ID_MAX) {
        return false;
    }
    const bool came_known = request->visitor.found &&
                            mkto_cookie_token_domain(mkto_slice_str(came->token)).data != NULL;
    if (came_known) {
        memcpy(cookie->token, came->token, sizeof(cookie->token));
    } else if (request->visitor.found || rule->mode != MKTO_COOKIE_MINT ||
               !make_token(request, rule, random, cookie->token)) {
        return false;
    }
    memcpy(cookie->id, id.data, id.len);
    return true;
}

/* Writing. */

struct attributes {
    const char *name, *life;
    struct mkto_slice domain;
    bool secure, http_only;
};

static size_t format(const struct attributes *as, const char *value, char *out, size_t size)
{
    const int len = snprintf(out, size, "%s=%s%s; Path=/%s%.*s; SameSite=Lax%s%s", as->name, value,
                             as->life, as->domain.len > 0 ? "; Domain=" : "", (int)as->domain.len,
                             as->domain.len > 0 ? as->domain.data : "",
                             as->secure ? "; Secure" : "", as->http_only ? "; HttpOnly" : "");
    return len < 0 || (size_t)len >= size ? 0 : (size_t)len;
}

size_t mkto_cookie_set_format(const struct mkto_request *request,
                              const struct mkto_cookie_rule *rule, const struct mkto_cookie *cookie,
                              char *out, size_t size)
{
    char value[MKTO_COOKIE_MAX];
    const struct attributes as = {.name = MKTO_COOKIE_NAME,
                                  .life = LIFE,
                                  .domain = pick_domain(request, rule, cookie->token),
                                  .secure = request->https,
                                  .http_only = rule->http_only};
    if (mkto_cookie_format(cookie->id, cookie->token, value, sizeof(value)) == 0) {
        return 0;
    }
    return format(&as, value, out, size);
}

int mkto_cookie_opt_out(const struct mkto_request *request, const struct mkto_cookie_rule *rule,
                        char out[2][MKTO_SET_COOKIE_MAX])
{
    const int says = mkto_privacy_opt_out(request);
    const bool is_out = mkto_privacy_opted_out(request);
    if (says < 0 && !is_out) {
        return 0;
    }
    struct attributes as = {.name = MKTO_OPT_OUT_NAME,
                            .life = is_out ? LIFE : END,
                            .domain = pick_domain(request, rule, ""),
                            .secure = request->https};
    format(&as, is_out ? "id:true" : "", out[0], MKTO_SET_COOKIE_MAX);
    if (says == 0 || (says < 0 && request->cookie_count == 0)) {
        return 1;
    }
    as.name = MKTO_COOKIE_NAME;
    as.life = END;
    as.domain = pick_domain(request, rule, request->visitor.best.token);
    format(&as, "", out[1], MKTO_SET_COOKIE_MAX);
    return 2;
}
