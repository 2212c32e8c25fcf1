#include "mkto_host.h"

#include <libpsl.h>
#include <strings.h>

#define PORT_MAX 65535

struct mkto_slice mkto_host_name(struct mkto_slice host)
{
    if (host.len > 0 && host.data[0] == '[') {
        const char *end = memchr(host.data, ']', host.len);
        return end == NULL ? host : (struct mkto_slice){host.data, (size_t)(end - host.data) + 1};
    }
    host = mkto_slice_cut(&host, ':');
    if (host.len > 1 && host.data[host.len - 1] == '.') {
        host.len--;
    }
    return host;
}

struct mkto_slice mkto_host_port(struct mkto_slice host)
{
    size_t at = mkto_host_name(host).len;
    if (at < host.len && host.data[at] == '.') {
        at++;
    }
    if (at >= host.len || host.data[at] != ':') {
        return MKTO_SLICE_NONE;
    }
    return (struct mkto_slice){host.data + at + 1, host.len - at - 1};
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A number of up to `digits` digits, or -1. */
static long number(struct mkto_slice text, size_t digits)
{
    long value = 0;
    if (text.len == 0 || text.len > digits) {
        return -1;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.data[i])) {
            return -1;
        }
        value = value * 10 + (text.data[i] - '0');
    }
    return value;
}

bool mkto_host_is_address(struct mkto_slice name)
{
    unsigned labels = 0;
    if (name.len > 0 && name.data[0] == '[') {
        return true;
    }
    while (name.len > 0) {
        if (number(mkto_slice_cut(&name, '.'), 3) < 0) {
            return false;
        }
        labels++;
    }
    return labels == 4;
}

/* libpsl wants a string in lower case. false: too long to be a name. */
static bool lower(struct mkto_slice name, char out[MKTO_HOST_MAX + 1])
{
    if (name.len > MKTO_HOST_MAX) {
        return false;
    }
    *mkto_slice_lower(name, out) = '\0';
    return true;
}

bool mkto_host_is_shared(struct mkto_slice domain)
{
    char text[MKTO_HOST_MAX + 1];
    return lower(domain, text) && psl_is_public_suffix(psl_builtin(), text) != 0;
}

bool mkto_host_may_set(struct mkto_slice host, struct mkto_slice domain)
{
    char from[MKTO_HOST_MAX + 1], text[MKTO_HOST_MAX + 1];
    return mkto_host_covers(domain, host) && memchr(domain.data, '.', domain.len) != NULL &&
           lower(host, from) && lower(domain, text) && !mkto_host_is_shared(domain) &&
           psl_is_cookie_domain_acceptable(psl_builtin(), from, text) != 0;
}

struct mkto_slice mkto_host_site(struct mkto_slice name)
{
    char text[MKTO_HOST_MAX + 1];
    const char *site = lower(name, text) ? psl_registrable_domain(psl_builtin(), text) : NULL;
    if (site == NULL) {
        return MKTO_SLICE_NONE;
    }
    const size_t before = (size_t)(site - text);
    return (struct mkto_slice){name.data + before, name.len - before};
}

bool mkto_host_covers(struct mkto_slice domain, struct mkto_slice name)
{
    if (domain.len == 0 || domain.len > name.len) {
        return false;
    }
    const size_t before = name.len - domain.len;
    const struct mkto_slice tail = {name.data + before, domain.len};
    return mkto_slice_eq_fold(tail, domain) && (before == 0 || name.data[before - 1] == '.');
}

static bool is_clean_name(struct mkto_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.data[i];
        if (!is_letter(c) && !is_digit(c) && c != '-' && c != '_' && c != '.') {
            return false;
        }
    }
    return name.len > 0 && name.data[0] != '.' && name.data[name.len - 1] != '.';
}

static bool is_clean_address(struct mkto_slice name)
{
    if (name.len < 4 || name.data[name.len - 1] != ']') { /* [::] */
        return false;
    }
    for (size_t i = 1; i + 1 < name.len; i++) {
        const char c = name.data[i];
        const bool hex = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (!hex && c != ':' && c != '.') {
            return false;
        }
    }
    return true;
}

bool mkto_host_is_clean(struct mkto_slice host)
{
    const struct mkto_slice name = mkto_host_name(host);
    const struct mkto_slice port = mkto_host_port(host);
    const size_t dot = name.len < host.len && host.data[name.len] == '.' ? 1 : 0;
    if (name.len == 0 || name.len > MKTO_HOST_MAX) {
        return false;
    }
    if (name.data[0] == '[' ? dot > 0 || !is_clean_address(name) : !is_clean_name(name)) {
        return false;
    }
    if (port.data == NULL) {
        return host.len == name.len + dot;
    }
    const long value = number(port, 5);
    return value >= 1 && value <= PORT_MAX;
}

static bool is_default_port(struct mkto_slice port)
{
    return port.len == 0 || mkto_slice_is(port, "80") || mkto_slice_is(port, "443");
}

bool mkto_host_same(struct mkto_slice a, struct mkto_slice b)
{
    const struct mkto_slice name = mkto_host_name(a);
    const struct mkto_slice port_a = mkto_host_port(a), port_b = mkto_host_port(b);
    return name.len > 0 && mkto_slice_eq_fold(name, mkto_host_name(b)) &&
           (mkto_slice_eq(port_a, port_b) || (is_default_port(port_a) && is_default_port(port_b)));
}

struct mkto_slice mkto_host_of_url(struct mkto_slice url)
{
    static const struct mkto_slice schemes[] = {{"https://", 8}, {"http://", 7}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const size_t len = schemes[i].len;
        if (url.len > len && strncasecmp(url.data, schemes[i].data, len) == 0) {
            const char *host = url.data + len;
            size_t end = 0;
            while (end < url.len - len && strchr("/?#\\", host[end]) == NULL) {
                end++;
            }
            return end == 0 ? MKTO_SLICE_NONE : (struct mkto_slice){host, end};
        }
    }
    return MKTO_SLICE_NONE;
}
