/*
 * fuzz_request: a request as a web server's worker shows it to the rules. Input: a line with method
 * and URL, one with the host, then headers, one a line. What crosses to the courier as a page view
 * must come out there as it went in, and name the same visitor.
 */
#include <stdlib.h>

#include "check.h"
#include "mkto_host.h"
#include "mkto_origin.h"
#include "mkto_page.h"
#include "mkto_privacy.h"
#include "mkto_view.h"

#define OURS "561-HYG-937"

static bool same(struct mkto_slice a, struct mkto_slice b)
{
    return a.len == b.len && (a.data == NULL) == (b.data == NULL) &&
           (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static struct mkto_request read_request(struct mkto_slice rest)
{
    struct mkto_slice line = check_line(&rest);
    const struct mkto_slice method = mkto_slice_cut(&line, ' ');
    struct mkto_request request = {
        .method = method,
        .uri = line,
        .host = check_line(&rest),
        .remote_addr = MKTO_SLICE_LIT("192.0.2.1"),
        .munchkin_id = MKTO_SLICE_LIT(OURS),
    };
    while (rest.data != NULL) {
        struct mkto_slice value = check_line(&rest);
        const struct mkto_slice name = mkto_slice_cut(&value, ':');
        mkto_request_header(&request, name, mkto_slice_trim(value));
    }
    return request;
}

static void check_parts(const struct mkto_request *request, const void *data, size_t size)
{
    const struct mkto_slice host = mkto_host_of_url(request->uri);
    HOLDS(check_within(host, data, size));
    HOLDS(request->cookie_count <= MKTO_REQUEST_COOKIES_MAX);
    for (size_t i = 0; i < request->cookie_count; i++) {
        HOLDS(check_within(request->cookies[i], data, size));
        HOLDS(request->cookies[i].len <= MKTO_COOKIE_RAW_MAX);
    }
}

static void check_rules(const struct mkto_request *request)
{
    static const char app[] = "https://app.example.com";
    const struct mkto_slice allowed = MKTO_SLICE_LIT(app);
    const enum mkto_site site = mkto_origin_judge(request, &allowed, 1);
    HOLDS(site <= MKTO_SITE_FOREIGN);
    HOLDS(site != MKTO_SITE_ALLOWED ||
          mkto_slice_is_fold(request->header[MKTO_HEADER_ORIGIN], app));

    const struct mkto_privacy_rule all = {.respect = MKTO_RESPECT_GPC | MKTO_RESPECT_DNT};
    const struct mkto_privacy_rule none = {.respect = 0};
    const enum mkto_skip strict = mkto_privacy_judge(request, &all);
    const enum mkto_skip lax = mkto_privacy_judge(request, &none);
    HOLDS(lax == MKTO_SKIP_NONE || lax == MKTO_SKIP_OPT_OUT);
    HOLDS(lax == MKTO_SKIP_NONE || strict == lax);

    const struct mkto_page_response page = {200, MKTO_SLICE_LIT("text/html"), MKTO_SLICE_NONE};
    enum mkto_skip skip = MKTO_SKIP_COUNT;
    const bool shown = mkto_page_judge(request, &page, &skip);
    HOLDS(skip == MKTO_SKIP_NONE || (skip == MKTO_SKIP_PREFETCH && !shown));
}

static void check_body(const struct mkto_request *request)
{
    static char body[MKTO_PAGE_BODY_MAX];
    const size_t len = mkto_page_body(request, body, sizeof(body));
    HOLDS(len <= sizeof(body));
    for (size_t i = 0; i < len; i++) {
        HOLDS(body[i] >= 0x20 && body[i] < 0x7f);
    }
}

static void check_arrived(const struct mkto_request *sent, struct mkto_request *came)
{
    struct mkto_slice uri = sent->uri, referrer = sent->header[MKTO_HEADER_REFERER];
    HOLDS(mkto_page_fit(&uri, &referrer));
    HOLDS(same(came->uri, uri) && same(came->header[MKTO_HEADER_REFERER], referrer));
    HOLDS(came->host.len == sent->host.len || sent->host.len > MKTO_VIEW_TEXT_MAX);
    HOLDS(came->cookie_count == sent->cookie_count);
    for (size_t i = 0; i < came->cookie_count; i++) {
        HOLDS(same(came->cookies[i], sent->cookies[i]));
    }
    struct mkto_request settled = *sent;
    mkto_request_settle(&settled);
    came->munchkin_id = sent->munchkin_id;
    mkto_request_settle(came);
    if (sent->host.len <= MKTO_VIEW_TEXT_MAX) { /* it decides between cookies */
        HOLDS(came->visitor.found == settled.visitor.found);
        HOLDS_FOR(strcmp(came->visitor.best.token, settled.visitor.best.token) == 0,
                  settled.visitor.best.token);
    }
}

static void check_view(const struct mkto_request *request)
{
    struct mkto_view view = {.deadline_ms = 2, .received_ms = 1};
    struct mkto_request cut = *request;
    const size_t size = mkto_view_fit(&view, &cut);
    if (size == 0) {
        return; /* path and referrer are too long, however they are cut */
    }
    const size_t len = MKTO_VIEW_HEAD + size;
    uint8_t *data = malloc(len);
    HOLDS(data != NULL);
    mkto_view_head(7, view.deadline_ms, len, data);
    HOLDS(mkto_view_put(&view, &cut, data + MKTO_VIEW_HEAD) == data + len);

    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_view_iter iter = {0};
    struct mkto_request came;
    struct mkto_frame frame;
    struct mkto_view again;
    HOLDS(mkto_frame_next(data, len, &frame, &err) == (long)len);
    HOLDS_FOR(mkto_views_next(&frame, &iter, &again, &came, &err) == 1, err.text);
    HOLDS(iter.seq == 7 && again.deadline_ms == 2 && again.received_ms == 1);
    check_arrived(request, &came);
    HOLDS(mkto_views_next(&frame, &iter, &again, &came, &err) == 0);
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mkto_request request = read_request((struct mkto_slice){(const char *)data, size});
    check_parts(&request, data, size);
    check_rules(&request);
    check_body(&request);
    check_view(&request);
    return 0;
}
