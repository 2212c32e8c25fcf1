#include "mkto_origin.h"

#include "mkto_host.h"

_Static_assert(sizeof("https://:65535") - 1 + MKTO_HOST_MAX <= MKTO_ORIGIN_MAX,
               "fits the longest host");

#define SECURE "https://"
#define PLAIN "http://"

/* Browsers send an origin in the one form that mkto_origin_read writes. */
static bool is_allowed(struct mkto_slice origin, const struct mkto_slice *allowed, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (mkto_slice_eq_fold(origin, allowed[i])) {
            return true;
        }
    }
    return false;
}

/* Nothing behind the host: "https://www.example.com/x" is no origin. */
static bool is_own(struct mkto_slice origin, struct mkto_slice host)
{
    const struct mkto_slice sender = mkto_host_of_url(origin);
    return sender.len > 0 && sender.data + sender.len == origin.data + origin.len &&
           mkto_host_same(sender, host);
}

enum mkto_site mkto_origin_judge(const struct mkto_request *request,
                                 const struct mkto_slice *allowed, size_t count)
{
    const struct mkto_slice site = request->header[MKTO_HEADER_SEC_FETCH_SITE];
    const struct mkto_slice origin = request->header[MKTO_HEADER_ORIGIN];
    if (mkto_slice_is(site, "same-origin") || mkto_slice_is(site, "none")) {
        return MKTO_SITE_OWN;
    }
    if (origin.len == 0) {
        return site.len == 0 ? MKTO_SITE_UNKNOWN : MKTO_SITE_FOREIGN;
    }
    if (is_allowed(origin, allowed, count)) {
        return MKTO_SITE_ALLOWED;
    }
    const bool other = mkto_slice_is(site, "same-site") || mkto_slice_is(site, "cross-site");
    return !other && is_own(origin, request->host) ? MKTO_SITE_OWN : MKTO_SITE_FOREIGN;
}

/* Leading zeros are not what a browser writes. */
static bool port_counts(struct mkto_slice port)
{
    return port.data == NULL || (port.len > 0 && port.data[0] != '0');
}

/* Takes the scheme off the front of value; https when there is none. */
static struct mkto_slice take_scheme(struct mkto_slice *value)
{
    static const struct mkto_slice schemes[] = {{PLAIN, sizeof(PLAIN) - 1},
                                                {SECURE, sizeof(SECURE) - 1}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const size_t len = schemes[i].len;
        if (value->len > len &&
            mkto_slice_eq_fold((struct mkto_slice){value->data, len}, schemes[i])) {
            *value = (struct mkto_slice){value->data + len, value->len - len};
            return schemes[i];
        }
    }
    return MKTO_SLICE_LIT(SECURE);
}

const char *mkto_origin_read(struct mkto_slice value, char *out)
{
    if (value.len > MKTO_ORIGIN_MAX) {
        return "is longer than any origin";
    }
    if (value.len > 0 && memchr(value.data, '*', value.len) != NULL) {
        return "must name one host; there are no wildcards";
    }
    const struct mkto_slice scheme = take_scheme(&value);
    const struct mkto_slice name = mkto_host_name(value);
    struct mkto_slice port = mkto_host_port(value);
    if (!mkto_host_is_clean(value) || !port_counts(port) || mkto_slice_is_fold(name, "null")) {
        return "must be an origin like https://app.example.com";
    }
    if (mkto_slice_is(port, mkto_slice_is(scheme, SECURE) ? "443" : "80")) {
        port = MKTO_SLICE_NONE;
    }
    out = mkto_slice_lower(name, mkto_slice_lower(scheme, out));
    if (port.data != NULL) {
        *out++ = ':';
        out = mkto_slice_lower(port, out);
    }
    *out = '\0';
    return NULL;
}
