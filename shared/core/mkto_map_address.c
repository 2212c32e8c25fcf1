#include "mkto_map_address.h"

#include <apr_lib.h>
#include <apr_strings.h>

#define PORT_DIGITS 5
#define PORT_MAX 65535
#define HOST_MAX 255 /* bytes */

static struct mkto_slice from(struct mkto_slice text, size_t at)
{
    return (struct mkto_slice){text.data + at, text.len - at};
}

/* Bytes up to the first of two characters. */
static size_t span_to(struct mkto_slice text, char end, char other)
{
    size_t at = 0;
    while (at < text.len && text.data[at] != end && text.data[at] != other) {
        at++;
    }
    return at;
}

/* Bytes of "scheme:" at the front, 0 when there is none. */
static size_t scheme_len(struct mkto_slice text)
{
    size_t at = 0;
    while (at < text.len && (apr_isalnum(text.data[at]) || text.data[at] == '+' ||
                             text.data[at] == '-' || text.data[at] == '.')) {
        at++;
    }
    bool scheme = at > 0 && at < text.len && text.data[at] == ':' && apr_isalpha(text.data[0]);
    return scheme ? at + 1 : 0;
}

static bool is_host_char(unsigned char c, bool bracketed)
{
    if (c >= 0x80 || apr_isalnum(c)) {
        return true;
    }
    return c != '\0' && strchr(bracketed ? "[]:.%" : "-._~", c) != NULL;
}

static bool is_host(struct mkto_slice host)
{
    if (host.len == 0 || host.len > HOST_MAX) {
        return false;
    }
    bool bracketed = host.data[0] == '[' && host.data[host.len - 1] == ']' && host.len > 2;
    for (size_t i = 0; i < host.len; i++) {
        if (!is_host_char((unsigned char)host.data[i], bracketed)) {
            return false;
        }
    }
    return true;
}

/* The port as location.port has it. false: it is none. */
static bool read_port(struct mkto_slice text, const char *scheme, int *port)
{
    int number = 0;
    *port = MKTO_MAP_PORT_OWN;
    if (text.len == 0) {
        return true;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i == PORT_DIGITS) {
            return false;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    if (number != (strcmp(scheme, "https:") == 0 ? 443 : 80)) {
        *port = number;
    }
    return number <= PORT_MAX;
}

/* "user@host:port": what stands before the '@' is nobody's business. */
static bool read_authority(struct mkto_slice text, struct mkto_map_address *address)
{
    const char *at = text.len == 0 ? NULL : memrchr(text.data, '@', text.len);
    if (at != NULL) {
        text = from(text, (size_t)(at - text.data) + 1);
    }
    size_t len =
        text.len > 0 && text.data[0] == '[' ? span_to(text, ']', ']') + 1 : span_to(text, ':', ':');
    if (len > text.len || (len < text.len && text.data[len] != ':')) {
        return false;
    }
    address->host = (struct mkto_slice){text.data, len};
    struct mkto_slice port = len < text.len ? from(text, len + 1) : MKTO_SLICE_NONE;
    return is_host(address->host) && read_port(port, address->scheme, &address->port);
}

/* "/path?query#hash"; a bare '#' is no hash in a browser either. */
static void read_rest(struct mkto_slice text, struct mkto_map_address *address)
{
    size_t path = span_to(text, '?', '#');
    size_t query = path + span_to(from(text, path), '#', '#');
    address->path = (struct mkto_slice){text.data, path};
    address->query = query > path ? (struct mkto_slice){text.data + path + 1, query - path - 1}
                                  : MKTO_SLICE_NONE;
    address->hash = text.len > query + 1 ? from(text, query) : MKTO_SLICE_NONE;
}

/* Behind "https:": "//host:port/path" */
static bool read_behind_scheme(struct mkto_slice text, struct mkto_map_address *address)
{
    if (!mkto_slice_begins_fold(text, "//")) {
        return false;
    }
    text = from(text, 2);
    size_t query = span_to(text, '?', '#');
    size_t authority = span_to((struct mkto_slice){text.data, query}, '/', '/');
    if (!read_authority((struct mkto_slice){text.data, authority}, address)) {
        return false;
    }
    read_rest(from(text, authority), address);
    return true;
}

static struct mkto_slice trim(struct mkto_slice text)
{
    while (text.len > 0 && (unsigned char)text.data[0] <= ' ') {
        text = from(text, 1);
    }
    while (text.len > 0 && (unsigned char)text.data[text.len - 1] <= ' ') {
        text.len--;
    }
    return text;
}

bool mkto_map_address_parse(struct mkto_slice url, const struct mkto_map_address *base,
                            struct mkto_map_address *address)
{
    url = trim(url);
    size_t scheme = scheme_len(url);
    if (url.len == 0) {
        return false;
    }
    if (scheme > 0) {
        bool https = mkto_slice_begins_fold(url, "https:");
        if (!https && !mkto_slice_begins_fold(url, "http:")) {
            return false;
        }
        address->scheme = https ? "https:" : "http:";
        return read_behind_scheme(from(url, scheme), address);
    }
    if (base == NULL) {
        return false;
    }
    *address = *base;
    if (mkto_slice_begins_fold(url, "//")) {
        return read_behind_scheme(url, address);
    }
    read_rest(url, address);
    return true;
}

bool mkto_map_address_root(const char *scheme, struct mkto_slice host,
                           struct mkto_map_address *address)
{
    *address = (struct mkto_map_address){.scheme = scheme, .path = MKTO_SLICE_LIT("/")};
    return read_authority(host, address);
}

static const char *copy(struct mkto_slice text, apr_pool_t *pool)
{
    return text.len == 0 ? "" : apr_pstrmemdup(pool, text.data, text.len);
}

static const char *rooted(struct mkto_slice path, apr_pool_t *pool)
{
    if (path.len > 0 && path.data[0] == '/') {
        return apr_pstrmemdup(pool, path.data, path.len);
    }
    return apr_pstrcat(pool, "/", copy(path, pool), NULL);
}

void mkto_map_address_write(const struct mkto_map_address *address, struct mkto_visit *visit,
                            apr_pool_t *pool)
{
    char *host = apr_pstrmemdup(pool, address->host.data, address->host.len);
    for (char *c = host; *c != '\0'; c++) {
        *c = (char)apr_tolower(*c);
    }
    visit->scheme = address->scheme;
    visit->host = host;
    visit->port = address->port == MKTO_MAP_PORT_OWN ? "" : apr_itoa(pool, address->port);
    visit->path = rooted(address->path, pool);
    visit->query = copy(address->query, pool);
    visit->hash = copy(address->hash, pool);
}
