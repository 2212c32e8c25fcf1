#include "mkto_map_address.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <stdlib.h>
#include <strings.h>

#define PORT_DIGITS 5
#define PORT_MAX 65535
#define HOST_MAX 255 /* bytes */

static struct mkto_slice from(struct mkto_slice text, size_t at)
{
    return (struct mkto_slice){text.data + at, text.len - at};
}

/* Bytes up to the first of some characters. */
static size_t span_to(struct mkto_slice text, const char *ends)
{
    size_t at = 0;
    while (at < text.len && (text.data[at] == '\0' || strchr(ends, text.data[at]) == NULL)) {
        at++;
    }
    return at;
}

static bool starts_with(struct mkto_slice text, const char *word)
{
    size_t len = strlen(word);
    return text.len >= len && strncasecmp(text.data, word, len) == 0;
}

/* Bytes of "scheme:" at the front, 0 when there is none. */
static size_t scheme_len(struct mkto_slice text)
{
    size_t at = 0;
    while (at < text.len && (apr_isalnum(text.data[at]) || strchr("+-.", text.data[at]) != NULL)) {
        at++;
    }
    bool scheme = at > 0 && at < text.len && text.data[at] == ':' && apr_isalpha(text.data[0]);
    return scheme ? at + 1 : 0;
}

static bool is_host(struct mkto_slice host)
{
    if (host.len == 0 || host.len > HOST_MAX) {
        return false;
    }
    bool bracketed = host.data[0] == '[' && host.data[host.len - 1] == ']' && host.len > 2;
    const char *others = bracketed ? "[]:.%" : "-._~";
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.data[i];
        if (c < 0x80 && !apr_isalnum(c) && (c == '\0' || strchr(others, c) == NULL)) {
            return false;
        }
    }
    return true;
}

/* The port as location.port has it. false: it is none. */
static bool read_port(struct mkto_slice text, const char *scheme, const char **port,
                      apr_pool_t *pool)
{
    *port = "";
    if (text.len == 0) {
        return true;
    }
    if (text.len > PORT_DIGITS) {
        return false;
    }
    char *digits = apr_pstrmemdup(pool, text.data, text.len);
    long number = strtol(digits, NULL, 10);
    if (strspn(digits, "0123456789") != text.len || number > PORT_MAX) {
        return false;
    }
    if (number != (strcmp(scheme, "https:") == 0 ? 443 : 80)) {
        *port = apr_ltoa(pool, number);
    }
    return true;
}

/* "user@host:port": what stands before the '@' is nobody's business. */
static bool read_authority(struct mkto_slice text, struct mkto_map_address *address,
                           apr_pool_t *pool)
{
    for (size_t at = text.len; at > 0; at--) {
        if (text.data[at - 1] == '@') {
            text = from(text, at);
            break;
        }
    }
    size_t len = text.len > 0 && text.data[0] == '[' ? span_to(text, "]") + 1 : span_to(text, ":");
    if (len > text.len || (len < text.len && text.data[len] != ':')) {
        return false;
    }
    struct mkto_slice host = {text.data, len};
    struct mkto_slice port = len < text.len ? from(text, len + 1) : MKTO_SLICE_NONE;
    if (!is_host(host) || !read_port(port, address->scheme, &address->port, pool)) {
        return false;
    }
    char *lower = apr_pstrmemdup(pool, host.data, host.len);
    for (char *c = lower; *c != '\0'; c++) {
        *c = (char)apr_tolower(*c);
    }
    address->host = lower;
    return true;
}

/* "/path?query#hash" */
static void read_rest(struct mkto_slice text, struct mkto_map_address *address, apr_pool_t *pool)
{
    size_t path = span_to(text, "?#");
    size_t query = path + span_to(from(text, path), "#");
    bool rooted = path > 0 && text.data[0] == '/';
    address->path = apr_psprintf(pool, "%s%.*s", rooted ? "" : "/", (int)path, text.data);
    address->query =
        query > path ? apr_pstrmemdup(pool, text.data + path + 1, query - path - 1) : "";
    bool hash = text.len > query + 1; /* a bare '#' is no hash in a browser either */
    address->hash = hash ? apr_pstrmemdup(pool, text.data + query, text.len - query) : "";
}

/* Behind "https:": "//host:port/path" */
static bool read_behind_scheme(struct mkto_slice text, struct mkto_map_address *address,
                               apr_pool_t *pool)
{
    if (!starts_with(text, "//")) {
        return false;
    }
    text = from(text, 2);
    size_t authority = span_to(text, "/?#");
    if (!read_authority((struct mkto_slice){text.data, authority}, address, pool)) {
        return false;
    }
    read_rest(from(text, authority), address, pool);
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
                            struct mkto_map_address *address, apr_pool_t *pool)
{
    url = trim(url);
    size_t scheme = scheme_len(url);
    if (url.len == 0) {
        return false;
    }
    if (scheme > 0) {
        bool https = starts_with(url, "https:");
        if (!https && !starts_with(url, "http:")) {
            return false;
        }
        address->scheme = https ? "https:" : "http:";
        return read_behind_scheme(from(url, scheme), address, pool);
    }
    if (base == NULL) {
        return false;
    }
    *address = *base;
    if (starts_with(url, "//")) {
        return read_behind_scheme(url, address, pool);
    }
    read_rest(url, address, pool);
    return true;
}

bool mkto_map_address_root(const char *scheme, struct mkto_slice host,
                           struct mkto_map_address *address, apr_pool_t *pool)
{
    *address = (struct mkto_map_address){.scheme = scheme, .path = "/", .query = "", .hash = ""};
    return read_authority(host, address, pool);
}
