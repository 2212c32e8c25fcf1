/*
 * fuzz_cookie: the _mkto_trk cookie. Input: a line with the host, then Cookie headers, one a line;
 * each is also tried as a bare value, as a token and as a host.
 */
#include "check.h"
#include "mkto_cookie.h"

static bool is_safe(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text <= 0x20 || *text >= 0x7f || *text == ';' || *text == ',') {
            return false;
        }
    }
    return true;
}

static void check_cookie(const struct mkto_cookie *cookie)
{
    struct mkto_cookie again;
    char value[MKTO_COOKIE_MAX];

    HOLDS(memchr(cookie->token, '\0', sizeof(cookie->token)) != NULL && cookie->token[0] != '\0');
    HOLDS(memchr(cookie->id, '\0', sizeof(cookie->id)) != NULL);
    HOLDS_FOR(is_safe(cookie->token), cookie->token);
    HOLDS_FOR(is_safe(cookie->id), cookie->id);
    if (cookie->id[0] == '\0') {
        return;
    }
    const size_t len = mkto_cookie_format(cookie->id, cookie->token, value, sizeof(value));
    if (len == 0) {
        return; /* encoded it does not fit */
    }
    HOLDS(len == strlen(value) && len < sizeof(value) && is_safe(value));
    HOLDS_FOR(mkto_cookie_parse((struct mkto_slice){value, len}, &again) == 0, value);
    HOLDS_FOR(strcmp(again.id, cookie->id) == 0, value);
    HOLDS_FOR(strcmp(again.token, cookie->token) == 0, value);
    const struct mkto_slice token = mkto_slice_str(cookie->token);
    HOLDS(check_within(mkto_cookie_token_domain(token), token.data, token.len));
}

static void check_value(struct mkto_slice value)
{
    static const struct mkto_cookie zero;
    struct mkto_cookie cookie;

    if (mkto_cookie_parse(value, &cookie) == 0) {
        HOLDS(value.len <= MKTO_COOKIE_RAW_MAX);
        check_cookie(&cookie);
    } else {
        HOLDS(memcmp(&cookie, &zero, sizeof(zero)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mkto_slice rest = {(const char *)data, size};
    const struct mkto_slice host = check_line(&rest);
    struct mkto_cookie_pick pick = {.found = false};

    HOLDS(check_within(mkto_cookie_domain(host), host.data, host.len));
    while (rest.data != NULL) {
        const struct mkto_slice line = check_line(&rest);
        check_value(line);
        HOLDS(check_within(mkto_cookie_token_domain(line), line.data, line.len));
        HOLDS(check_within(mkto_cookie_domain(line), line.data, line.len));
        mkto_cookie_scan(&pick, line, MKTO_SLICE_LIT("561-HYG-937"), host);
    }
    if (pick.found) {
        check_cookie(&pick.best);
    }
    return 0;
}
