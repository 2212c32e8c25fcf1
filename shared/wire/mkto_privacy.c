#include "mkto_privacy.h"

#include "mkto_host.h"

#define OPT_OUT_PARAMETER "marketo_opt_out"

static bool is_one_of(struct mkto_slice value, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (mkto_slice_is_fold(value, words[i])) {
            return true;
        }
    }
    return false;
}

enum mkto_consent mkto_consent_read(struct mkto_slice value)
{
    static const char *const granted[] = {"granted", "yes", "true", "on", "1"};
    value = mkto_slice_trim(value);
    if (value.len == 0) {
        return MKTO_CONSENT_ABSENT;
    }
    return is_one_of(value, granted, sizeof(granted) / sizeof(granted[0])) ? MKTO_CONSENT_GRANTED
                                                                           : MKTO_CONSENT_DENIED;
}

static int opt_out_of(struct mkto_slice url)
{
    if (url.len == 0 || memchr(url.data, '?', url.len) == NULL) { /* most */
        return -1;
    }
    const struct mkto_slice value =
        mkto_request_parameter(mkto_request_query(url), OPT_OUT_PARAMETER);
    if (mkto_slice_is(value, "true")) {
        return 1;
    }
    return mkto_slice_is(value, "false") ? 0 : -1;
}

int mkto_privacy_opt_out(const struct mkto_request *request)
{
    return opt_out_of(request->uri);
}

/* The page that a call comes from: another site's must not end an opt-out. */
static int opt_out_of_page(const struct mkto_request *request)
{
    const struct mkto_slice referer = request->header[MKTO_HEADER_REFERER];
    const int says = opt_out_of(referer);
    return says >= 0 && mkto_host_same(mkto_host_of_url(referer), request->host) ? says : -1;
}

bool mkto_privacy_opted_out(const struct mkto_request *request)
{
    int says = mkto_privacy_opt_out(request);
    if (says < 0) {
        says = opt_out_of_page(request);
    }
    return says < 0 ? request->opt_out : says == 1;
}

static bool consents(const struct mkto_privacy_rule *rule)
{
    if (!rule->asks) {
        return true;
    }
    return rule->consent == MKTO_CONSENT_GRANTED ||
           (rule->consent == MKTO_CONSENT_ABSENT && rule->absent_grants);
}

static bool asks_for_privacy(const struct mkto_request *request, enum mkto_header header)
{
    return mkto_header_asks(header, request->header[header]);
}

enum mkto_skip mkto_privacy_judge(const struct mkto_request *request,
                                  const struct mkto_privacy_rule *rule)
{
    if (!consents(rule)) {
        return MKTO_SKIP_CONSENT;
    }
    if (mkto_privacy_opted_out(request)) {
        return MKTO_SKIP_OPT_OUT;
    }
    if ((rule->respect & MKTO_RESPECT_GPC) != 0 && asks_for_privacy(request, MKTO_HEADER_SEC_GPC)) {
        return MKTO_SKIP_GPC;
    }
    if ((rule->respect & MKTO_RESPECT_DNT) != 0 && asks_for_privacy(request, MKTO_HEADER_DNT)) {
        return MKTO_SKIP_DNT;
    }
    return MKTO_SKIP_NONE;
}
