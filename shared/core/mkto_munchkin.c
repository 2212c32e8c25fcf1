#include "mkto_munchkin.h"

#include <apr_strings.h>
#include <arpa/inet.h>

#include "mkto_utf8.h"

/* What may be cut from a URL that is too long, in this order. */
enum cut {
    CUT_REFERRER,
    CUT_QUERY,
    CUT_HASH,
    CUT_LINK,
    CUT_PATH,
    CUT_OTHER,
    CUT_ORDER,
    CUT_NEVER = CUT_ORDER,
};

struct param {
    const char *name;
    const char *value; /* encoded */
    size_t len;        /* of value, less what was cut */
    enum cut cut;
};

enum { PARAMS_MAX = 18 };

struct params {
    struct param at[PARAMS_MAX];
    size_t count;
    bool open; /* an '&' stands behind the last, too */
};

/* The characters that encodeURIComponent leaves alone. */
static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-_.!~*'()", c) != NULL);
}

const char *mkto_munchkin_encode(struct mkto_slice text, apr_pool_t *pool)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = apr_palloc(pool, 3 * text.len + 1);
    size_t used = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (is_plain(c)) {
            out[used++] = (char)c;
            continue;
        }
        out[used++] = '%';
        out[used++] = digits[c >> 4];
        out[used++] = digits[c & 15];
    }
    out[used] = '\0';
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that the escape at data stands for, or -1. */
static int escaped_byte(const char *data, size_t len)
{
    if (len < 3 || data[0] != '%' || hex_digit(data[1]) < 0 || hex_digit(data[2]) < 0) {
        return -1;
    }
    return hex_digit(data[1]) << 4 | hex_digit(data[2]);
}

/*
 * The escaped character at data, one to four escapes, into out. Returns how many bytes it has, 0
 * when it is malformed. As in JavaScript, the bytes of one character must all be escaped.
 */
static size_t escaped_char(const char *data, size_t len, char out[4])
{
    for (size_t have = 0; have < 4; have++) {
        int byte = escaped_byte(data + 3 * have, len - 3 * have);
        if (byte < 0) {
            return 0;
        }
        out[have] = (char)(unsigned char)byte;
        if (mkto_utf8_valid((struct mkto_slice){out, have + 1}) == have + 1) {
            return have + 1;
        }
        if (len < 3 * (have + 2)) {
            return 0;
        }
    }
    return 0;
}

/* decodeURIComponent into out (as long as text). Returns the length, or -1 where it would throw. */
static long decode(struct mkto_slice text, char *out)
{
    size_t used = 0;

    for (size_t i = 0; i < text.len;) {
        if (text.data[i] != '%') {
            out[used++] = text.data[i++];
            continue;
        }
        char bytes[4];
        size_t size = escaped_char(text.data + i, text.len - i, bytes);
        if (size == 0) {
            return -1;
        }
        memcpy(out + used, bytes, size);
        used += size;
        i += 3 * size;
    }
    return (long)used;
}

/* "Decode-safe": the whole, else the part before the first '?', else nothing is decoded. */
static struct mkto_slice decode_safe(struct mkto_slice text, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, text.len + 1);
    long len = decode(text, out);
    if (len >= 0) {
        return (struct mkto_slice){out, (size_t)len};
    }
    const char *mark = memchr(text.data, '?', text.len);
    if (mark == NULL) {
        return text;
    }
    size_t before = (size_t)(mark - text.data);
    len = decode((struct mkto_slice){text.data, before}, out);
    if (len < 0) {
        return text;
    }
    memcpy(out + len, mark, text.len - before);
    return (struct mkto_slice){out, (size_t)len + text.len - before};
}

const char *mkto_munchkin_recode(struct mkto_slice text, apr_pool_t *pool)
{
    return mkto_munchkin_encode(decode_safe(text, pool), pool);
}

static void add(struct params *params, const char *name, const char *encoded, enum cut cut)
{
    params->at[params->count++] = (struct param){name, encoded, strlen(encoded), cut};
}

static void add_text(struct params *params, const char *name, const char *text, enum cut cut,
                     apr_pool_t *pool)
{
    add(params, name, mkto_munchkin_encode(mkto_slice_str(text), pool), cut);
}

static void add_recoded(struct params *params, const char *name, const char *text, enum cut cut,
                        apr_pool_t *pool)
{
    add(params, name, mkto_munchkin_recode(mkto_slice_str(text), pool), cut);
}

/* A page's query as it is recorded: every '&' as "__-__" before anything is decoded. */
static const char *page_query(const char *query, apr_pool_t *pool)
{
    static const char mark[] = "__-__";
    size_t len = query == NULL ? 0 : strlen(query);
    char *out = apr_palloc(pool, len * (sizeof(mark) - 1) + 1);
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        if (query[i] == '&') {
            memcpy(out + used, mark, sizeof(mark) - 1);
            used += sizeof(mark) - 1;
        } else {
            out[used++] = query[i];
        }
    }
    out[used] = '\0';
    return mkto_munchkin_recode((struct mkto_slice){out, used}, pool);
}

/* The e-mail click token in a query: decoded when that is possible, an absent slice when none. */
static struct mkto_slice mail_token(const char *query, apr_pool_t *pool)
{
    static const char name[] = "mkt_tok=";

    while (query != NULL && *query != '\0') {
        size_t len = strcspn(query, "&#");
        if (strncmp(query, name, sizeof(name) - 1) == 0 && len > sizeof(name) - 1) {
            struct mkto_slice raw = {query + sizeof(name) - 1, len - (sizeof(name) - 1)};
            char *out = apr_palloc(pool, raw.len);
            long size = decode(raw, out);
            return size < 0 ? raw : (struct mkto_slice){out, (size_t)size};
        }
        query = query[len] == '&' ? query + len + 1 : NULL;
    }
    return MKTO_SLICE_NONE;
}

static bool is_click(const struct mkto_visit *visit)
{
    return visit->href != NULL;
}

static struct mkto_slice visit_mail_token(const struct mkto_visit *visit, apr_pool_t *pool)
{
    /* The query of an api visit is its parameters, not the page's. */
    struct mkto_slice token =
        visit->api && !is_click(visit) ? MKTO_SLICE_NONE : mail_token(visit->query, pool);
    const char *referrer = visit->referrer == NULL ? NULL : strchr(visit->referrer, '?');

    if (token.data == NULL && referrer != NULL) {
        token = mail_token(referrer + 1, pool);
    }
    return token;
}

static const char *or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

static const char *page_path(const struct mkto_visit *visit)
{
    return visit->path == NULL || *visit->path == '\0' ? "/" : visit->path;
}

/* A click by API names its link twice; a real one recodes it as it does the page's path. */
static void add_link(struct params *params, const struct mkto_visit *visit, apr_pool_t *pool)
{
    struct mkto_slice href = mkto_slice_str(visit->href);

    if (visit->api) {
        const char *encoded = mkto_munchkin_encode(href, pool);
        add(params, "_mchLr", encoded, CUT_LINK);
        add(params, "_mchHr", encoded, CUT_LINK);
    } else {
        add(params, "_mchHr", mkto_munchkin_recode(href, pool), CUT_LINK);
    }
}

/* What comes before the part that all requests share. */
static void add_head(struct params *params, const struct mkto_visit *visit, apr_pool_t *pool)
{
    add(params, "_mchNc", apr_psprintf(pool, "%" APR_INT64_T_FMT, (apr_int64_t)visit->at_ms),
        CUT_NEVER);
    if (is_click(visit)) {
        add_link(params, visit, pool);
        return;
    }
    if (!visit->api) {
        add_text(params, "_mchCn", or_empty(visit->name), CUT_OTHER, pool);
        return;
    }
    if (visit->path != NULL) {
        add_text(params, "_mchRu", visit->path, CUT_PATH, pool);
    }
    if (visit->query != NULL) {
        add_text(params, "_mchQp", visit->query, CUT_QUERY, pool);
    }
    if (visit->name != NULL) {
        add_text(params, "_mchCn", visit->name, CUT_OTHER, pool);
    }
}

/* The part that all requests share: who, and on which page. */
static void add_page(struct params *params, const char *munchkin_id, const struct mkto_visit *visit,
                     apr_pool_t *pool)
{
    struct mkto_slice token = visit_mail_token(visit, pool);

    add_text(params, "_mchId", munchkin_id, CUT_NEVER, pool);
    add_text(params, "_mchTk", or_empty(visit->token), CUT_OTHER, pool);
    if (token.len > 0) {
        add(params, "mkt_tok", mkto_munchkin_encode(token, pool), CUT_OTHER);
    }
    if (visit->workspace != NULL) {
        add_text(params, "_mchWs", visit->workspace, CUT_OTHER, pool);
    }
    if (is_click(visit)) {
        add_text(params, "_mchCn", or_empty(visit->name), CUT_OTHER, pool);
    }
    add_text(params, "_mchHo", or_empty(visit->host), CUT_OTHER, pool);
    add_text(params, "_mchPo", or_empty(visit->port), CUT_OTHER, pool);
    if (!visit->api || is_click(visit) || visit->path == NULL) {
        add_recoded(params, "_mchRu", page_path(visit), CUT_PATH, pool);
    }
    add_text(params, "_mchPc", visit->scheme == NULL ? "https:" : visit->scheme, CUT_OTHER, pool);
    add(params, "_mchVr", MKTO_MUNCHKIN_VERSION, CUT_NEVER);
    if (visit->anonymize) {
        add(params, "aip", "1", CUT_NEVER);
    }
    if (visit->external_source != NULL) {
        add_text(params, "_mchEs", visit->external_source, CUT_OTHER, pool);
    }
    add(params, "_mchEcid", "", CUT_NEVER);
}

/* A click has an empty tail: its request ends in the '&' before it. */
static void add_tail(struct params *params, const struct mkto_visit *visit, apr_pool_t *pool)
{
    if (is_click(visit)) {
        params->open = true;
        return;
    }
    if (!visit->api) {
        add_recoded(params, "_mchHa", or_empty(visit->hash), CUT_HASH, pool);
    }
    add_recoded(params, "_mchRe", or_empty(visit->referrer), CUT_REFERRER, pool);
    if (!visit->api) {
        add(params, "_mchQp", page_query(visit->query, pool), CUT_QUERY);
    }
}

/*
 * The longest start of an encoded value that has at most len bytes and ends neither inside an
 * escape nor inside a character that takes several.
 */
static size_t whole_start(const char *value, size_t len)
{
    size_t whole = strlen(value);
    size_t end = 0;

    while (end < whole) {
        size_t size = 1;
        if (value[end] == '%') {
            char bytes[4];
            size_t chars = escaped_char(value + end, whole - end, bytes);
            size = 3 * (chars == 0 ? 1 : chars);
        }
        if (end + size > len) {
            break;
        }
        end += size;
    }
    return end;
}

static size_t params_size(const struct params *params)
{
    size_t size = 0;

    for (size_t i = 0; i < params->count; i++) {
        size += strlen(params->at[i].name) + 1 + params->at[i].len + 1;
    }
    return params->open ? size : size - 1;
}

/* Takes at least `over` bytes away from a value, half of them from its copy, if it has one. */
static void shorten(struct params *params, size_t at, size_t over)
{
    struct param *param = &params->at[at];
    struct param *copy = NULL;

    for (size_t i = at + 1; i < params->count; i++) {
        if (params->at[i].value == param->value) {
            copy = &params->at[i];
        }
    }
    size_t off = copy == NULL ? over : (over + 1) / 2;
    param->len = whole_start(param->value, off < param->len ? param->len - off : 0);
    if (copy != NULL) {
        copy->len = param->len;
    }
}

static void cut_to(struct params *params, size_t max)
{
    for (enum cut cut = 0; cut < CUT_ORDER; cut++) {
        for (size_t i = 0; i < params->count; i++) {
            size_t size = params_size(params);
            if (size <= max) {
                return;
            }
            if (params->at[i].cut == cut) {
                shorten(params, i, size - max);
            }
        }
    }
}

static const char *url_of(const char *base, const struct params *params, apr_pool_t *pool)
{
    size_t len = strlen(base);
    char *url = apr_palloc(pool, len + params_size(params) + 2);

    memcpy(url, base, len);
    for (size_t i = 0; i < params->count; i++) {
        const struct param *param = &params->at[i];
        size_t name = strlen(param->name);
        memcpy(url + len, param->name, name);
        url[len + name] = '=';
        memcpy(url + len + name + 1, param->value, param->len);
        len += name + 1 + param->len;
        url[len++] = '&';
    }
    url[params->open ? len : len - 1] = '\0';
    return url;
}

/* A header's value: control characters become blanks, none at the ends; NULL when nothing stays. */
static const char *header_value(const char *text, apr_pool_t *pool)
{
    if (text == NULL) {
        return NULL;
    }
    char *value = apr_pstrndup(pool, text, MKTO_MUNCHKIN_HEADER_MAX);
    size_t len = strlen(value);

    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f) {
            value[i] = ' ';
        }
    }
    while (len > 0 && value[len - 1] == ' ') {
        value[--len] = '\0';
    }
    value += strspn(value, " ");
    return *value == '\0' ? NULL : value;
}

/* An address, or NULL: whatever else stood in X-Forwarded-For would only mislead the reader. */
static const char *address(const char *text)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    if (text == NULL ||
        (inet_pton(AF_INET, text, bytes) != 1 && inet_pton(AF_INET6, text, bytes) != 1)) {
        return NULL;
    }
    return text;
}

static void set_headers(struct mkto_http_request *request, const struct mkto_visit *visit,
                        apr_pool_t *pool)
{
    const struct mkto_http_header all[] = {
        {"User-Agent", header_value(visit->user_agent, pool)},
        {"Accept", "*/*"},
        {"Accept-Language", header_value(visit->accept_language, pool)},
        {"DNT", header_value(visit->dnt, pool)},
        {"Sec-GPC", header_value(visit->gpc, pool)},
        {"X-Forwarded-For", address(visit->remote_addr)},
    };
    struct mkto_http_header *headers = apr_palloc(pool, sizeof(all));

    request->header_count = 0;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].value != NULL) {
            headers[request->header_count++] = all[i];
        }
    }
    request->headers = headers;
}

void mkto_munchkin_visit(const struct mkto_subscription *subscription,
                         const struct mkto_visit *visit, struct mkto_http_request *request,
                         apr_pool_t *pool)
{
    struct params params = {.count = 0};
    const char *base =
        apr_pstrcat(pool, subscription->munchkin_endpoint,
                    is_click(visit) ? "/webevents/clickLink?" : "/webevents/visitWebPage?", NULL);

    add_head(&params, visit, pool);
    add_page(&params, subscription->munchkin_id, visit, pool);
    add_tail(&params, visit, pool);
    cut_to(&params, MKTO_MUNCHKIN_URL_MAX - strlen(base));
    request->method = "POST";
    request->url = url_of(base, &params, pool);
    request->body = MKTO_SLICE_NONE;
    set_headers(request, visit, pool);
}
