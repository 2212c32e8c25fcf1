#include "mkto_config_endpoint.h"

#include <arpa/inet.h>
#include <stdint.h>

#include "mkto_config.h"

#define HOST_MAX 253 /* bytes of a DNS name as text */

struct endpoint {
    bool secure;
    bool bracketed; /* [::1] */
    struct mkto_slice host;
    struct mkto_slice port; /* absent when there is no ':' */
    struct mkto_slice path; /* "/soap/mktows/3_1", or empty */
};

bool mkto_config_endpoint_is_name(struct mkto_slice host)
{
    char before = '.';

    if (host.len == 0 || host.len > HOST_MAX || host.data[host.len - 1] == '.') {
        return false;
    }
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                    c == '-' || c == '_';

        if (!word && (c != '.' || before == '.')) {
            return false;
        }
        before = c;
    }
    return true;
}

/* Host as text for inet_pton; false when it cannot be an address. */
static bool address_text(struct mkto_slice host, char out[INET6_ADDRSTRLEN])
{
    if (host.len == 0 || host.len >= INET6_ADDRSTRLEN) {
        return false;
    }
    memcpy(out, host.data, host.len);
    out[host.len] = '\0';
    return true;
}

static bool is_local(const struct endpoint *endpoint)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;

    if (!address_text(endpoint->host, text)) {
        return false;
    }
    if (endpoint->bracketed) {
        return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    }
    if (inet_pton(AF_INET, text, &v4) == 1) {
        return ntohl(v4.s_addr) >> 24 == 127;
    }
    return strcmp(text, "localhost") == 0;
}

static bool is_host(const struct endpoint *endpoint)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr v6;

    if (endpoint->bracketed) {
        return address_text(endpoint->host, text) && inet_pton(AF_INET6, text, &v6) == 1;
    }
    return mkto_config_endpoint_is_name(endpoint->host);
}

static bool is_port(struct mkto_slice port)
{
    uint32_t number = 0;

    if (port.len == 0 || port.len > 5) {
        return false;
    }
    for (size_t i = 0; i < port.len; i++) {
        if (port.data[i] < '0' || port.data[i] > '9') {
            return false;
        }
        number = number * 10 + (uint32_t)(port.data[i] - '0');
    }
    return number >= 1 && number <= 65535;
}

static struct mkto_slice span(const char *from, const char *to)
{
    return (struct mkto_slice){from, (size_t)(to - from)};
}

/* Cuts "HOST[:PORT]" or "[V6][:PORT]". */
static int split_authority(struct mkto_slice text, struct endpoint *endpoint)
{
    const char *end = text.data + text.len;
    const char *colon;

    endpoint->bracketed = text.len > 0 && text.data[0] == '[';
    if (endpoint->bracketed) {
        const char *close = memchr(text.data, ']', text.len);

        if (close == NULL || (close + 1 != end && close[1] != ':')) {
            return -1;
        }
        endpoint->host = span(text.data + 1, close);
        colon = close + 1 == end ? NULL : close + 1;
    } else {
        colon = memchr(text.data, ':', text.len);
        endpoint->host = span(text.data, colon == NULL ? end : colon);
    }
    endpoint->port = colon == NULL ? MKTO_SLICE_NONE : span(colon + 1, end);
    return 0;
}

static int split(const char *url, size_t len, struct endpoint *endpoint, struct mkto_error *err)
{
    const char *end = url + len;
    const char *start;
    const char *slash;

    endpoint->secure = len > 8 && strncmp(url, "https://", 8) == 0;
    if (!endpoint->secure && (len <= 7 || strncmp(url, "http://", 7) != 0)) {
        return mkto_error_set(err, "must be a URL that begins with https://");
    }
    start = url + (endpoint->secure ? 8 : 7);
    slash = memchr(start, '/', (size_t)(end - start));
    slash = slash == NULL ? end : slash;
    endpoint->path = span(slash, end);
    if (memchr(start, '@', (size_t)(slash - start)) != NULL) {
        return mkto_error_set(err, "must not hold credentials before the host");
    }
    if (split_authority(span(start, slash), endpoint) != 0 || !is_host(endpoint)) {
        return mkto_error_set(err, "has no valid host");
    }
    if (endpoint->port.data != NULL && !is_port(endpoint->port)) {
        return mkto_error_set(err, "has no valid port (1..65535)");
    }
    if (memmem(endpoint->path.data, endpoint->path.len, "//", 2) != NULL) {
        return mkto_error_set(err, "must not hold '//' in its path");
    }
    return 0;
}

int mkto_config_endpoint_check(const char *url, size_t *len, struct mkto_error *err)
{
    struct endpoint endpoint = {.secure = false};

    *len = strlen(url);
    if (*len > MKTO_CONFIG_URL_MAX) {
        return mkto_error_set(err, "has %zu bytes; at most %d are allowed", *len,
                              MKTO_CONFIG_URL_MAX);
    }
    for (const char *p = url; *p != '\0'; p++) {
        if ((unsigned char)*p <= ' ' || (unsigned char)*p > '~' || strchr("\"<>\\^`{|}", *p)) {
            return mkto_error_set(err, "holds a character that no URL may hold");
        }
    }
    if (strpbrk(url, "?#") != NULL) {
        return mkto_error_set(err, "must not have a query or fragment ('?', '#')");
    }
    while (*len > 0 && url[*len - 1] == '/') {
        (*len)--;
    }
    if (split(url, *len, &endpoint, err) != 0) {
        return -1;
    }
    if (!endpoint.secure && !is_local(&endpoint)) {
        return mkto_error_set(err, "must begin with https://; http:// is for 127.0.0.0/8, ::1 and "
                                   "localhost only");
    }
    return 0;
}
