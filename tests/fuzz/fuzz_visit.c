/*
 * fuzz_visit: the Munchkin request of any visit. Input: lines "page", "api", "click" or "api
 * click", host, port, path, query, hash, referrer, name, token, user agent, address, link of a
 * click. The texts that go in come out again.
 */
#include "check_core.h"

#include <apr_strings.h>
#include <curl/curl.h>

#include "mkto_munchkin.h"

static const char *next(struct mkto_slice *rest, apr_pool_t *pool)
{
    const struct mkto_slice line = check_line(rest);
    return apr_pstrndup(pool, line.data == NULL ? "" : line.data, line.len);
}

/* encodeURIComponent is undone by curl; encoding the encoding again, decoded, changes nothing. */
static void check_encoding(struct mkto_slice text, apr_pool_t *pool)
{
    const char *encoded = mkto_munchkin_encode(text, pool);
    int len = 0;
    char *decoded = curl_easy_unescape(NULL, encoded, 0, &len);

    HOLDS(decoded != NULL && (size_t)len == text.len && memcmp(decoded, text.data, text.len) == 0);
    curl_free(decoded);
    const char *once = mkto_munchkin_recode(text, pool);
    HOLDS(
        strspn(once, "%-_.!~*'()ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") ==
        strlen(once));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mkto_slice rest = {(const char *)data, size};
    apr_pool_t *pool = check_pool();
    struct mkto_visit visit = {.at_ms = 1700000000000, .scheme = "https:"};

    if (size > 0) {
        check_encoding(rest, pool);
    }
    const struct mkto_slice kind = check_line(&rest);
    const bool api_click = mkto_slice_is(kind, "api click");
    visit.api = api_click || mkto_slice_is(kind, "api");
    visit.host = next(&rest, pool);
    visit.port = next(&rest, pool);
    visit.path = next(&rest, pool);
    visit.query = next(&rest, pool);
    visit.hash = next(&rest, pool);
    visit.referrer = next(&rest, pool);
    visit.name = next(&rest, pool);
    visit.token = next(&rest, pool);
    visit.user_agent = next(&rest, pool);
    visit.remote_addr = next(&rest, pool);
    if (api_click || mkto_slice_is(kind, "click")) {
        visit.href = next(&rest, pool);
    }
    check_visit(&visit, pool);
    check_pool_end(pool);
    return 0;
}
