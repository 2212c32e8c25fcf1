#include "wire_test.h"

#include "mkto_cookie_set.h"

#define ID "561-HYG-937"
#define HEX "00112233445566778899aabbccddeeff"

static const uint8_t random_bytes[MKTO_COOKIE_RANDOM] = {
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};

static const struct mkto_cookie_rule refresh = {.mode = MKTO_COOKIE_REFRESH};
static const struct mkto_cookie_rule mint = {.mode = MKTO_COOKIE_MINT};

static struct mkto_request request_of(const char *host, const char *cookies)
{
    struct mkto_request request = {.method = MKTO_SLICE_LIT("GET"),
                                   .host = mkto_slice_str(host),
                                   .munchkin_id = MKTO_SLICE_LIT(ID)};
    mkto_request_header(&request, MKTO_SLICE_LIT("Cookie"), mkto_slice_str(cookies));
    mkto_request_settle(&request);
    return request;
}

static void domains(void **state)
{
    (void)state;
    static const struct {
        const char *value, *domain;
    } rows[] = {
        {"example.com", "example.com"},
        {".example.com", "example.com"},
        {"WWW.Example.Com", "www.example.com"},
        {"example.co.uk", "example.co.uk"},
        {"a-b.x1.io", "a-b.x1.io"},
        {"com.example", "com.example"},
    };
    char out[MKTO_COOKIE_DOMAIN_MAX + 1];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_null(mkto_cookie_domain_read(mkto_slice_str(rows[i].value), out));
        assert_string_equal(out, rows[i].domain);
    }
}

static void bad_domains(void **state)
{
    (void)state;
    static const char *const bad[] = {
        NULL,     "",        ".",       "com",     "localhost", "a..b",       "..a.b",
        "a.b.",   "a b.com", "a_b.com", "a.com;x", "a.com:80",  "192.0.2.1",  "[::1]",
        "-a.com", "a-.com",  "a.com/",  "*.a.com", "a.com\r\n", "\xc3\xa4.de"};
    char out[MKTO_COOKIE_DOMAIN_MAX + 1];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *wrong = mkto_cookie_domain_read(mkto_slice_str(bad[i]), out);
        assert_non_null(wrong);
        assert_string_equal(wrong, "must be a domain like example.com");
    }
    assert_string_equal(mkto_cookie_domain_read(MKTO_SLICE_LIT("co.uk"), out),
                        "is a domain that many sites share; browsers refuse its cookies");
}

static void longest_domain(void **state)
{
    (void)state;
    char value[MKTO_COOKIE_DOMAIN_MAX + 2], out[MKTO_COOKIE_DOMAIN_MAX + 1];
    for (size_t i = 0; i < sizeof(value); i++) {
        value[i] = i % 50 == 49 ? '.' : 'a';
    }
    value[199] = 'a';
    assert_null(mkto_cookie_domain_read((struct mkto_slice){value, MKTO_COOKIE_DOMAIN_MAX}, out));
    assert_int_equal(strlen(out), MKTO_COOKIE_DOMAIN_MAX);
    assert_string_equal(
        mkto_cookie_domain_read((struct mkto_slice){value, MKTO_COOKIE_DOMAIN_MAX + 1}, out),
        "is longer than a cookie's domain can be");
    char label[70] = "";
    memset(label, 'a', 64);
    memcpy(label + 64, ".com", 5);
    assert_non_null(mkto_cookie_domain_read(mkto_slice_str(label), out));
    assert_null(mkto_cookie_domain_read(mkto_slice_str(label + 1), out));
}

static enum mkto_cookie_step step(const char *method, const struct mkto_cookie_rule *rule,
                                  const struct mkto_cookie_response *response)
{
    const struct mkto_request request = {.method = mkto_slice_str(method)};
    return mkto_cookie_may_set(&request, rule, response);
}

static void caching(void **state)
{
    (void)state;
    static const struct {
        const char *control;
        bool expires;
        enum mkto_cookie_step step;
    } rows[] = {
        {NULL, false, MKTO_COOKIE_SET_PRIVATE},
        {"", false, MKTO_COOKIE_SET_PRIVATE},
        {NULL, true, MKTO_COOKIE_LEAVE},
        {"", true, MKTO_COOKIE_LEAVE},
        {"no-cache", true, MKTO_COOKIE_SET_PRIVATE},
        {"no-cache", false, MKTO_COOKIE_SET_PRIVATE},
        {"max-age=0", false, MKTO_COOKIE_SET_PRIVATE},
        {"max-age=\"0\"", false, MKTO_COOKIE_SET_PRIVATE},
        {"max-age = 000", false, MKTO_COOKIE_SET_PRIVATE},
        {"must-revalidate", false, MKTO_COOKIE_SET_PRIVATE},
        {"max-age=1", false, MKTO_COOKIE_LEAVE},
        {"max-age=\"60\"", false, MKTO_COOKIE_LEAVE},
        {"max-age", false, MKTO_COOKIE_LEAVE},
        {"max-age=", false, MKTO_COOKIE_LEAVE},
        {"max-age=-1", false, MKTO_COOKIE_LEAVE},
        {"max-age=x", false, MKTO_COOKIE_LEAVE},
        {"max-age=0, max-age=5", false, MKTO_COOKIE_LEAVE},
        {"public", false, MKTO_COOKIE_LEAVE},
        {"PUBLIC, Max-Age=0", false, MKTO_COOKIE_LEAVE},
        {"s-maxage=0", false, MKTO_COOKIE_LEAVE},
        {"s-maxage=60, private", false, MKTO_COOKIE_LEAVE},
        {"private", true, MKTO_COOKIE_SET},
        {"Private, max-age=600", false, MKTO_COOKIE_SET},
        {"max-age=600 ,private", false, MKTO_COOKIE_SET},
        {"private=\"Set-Cookie\", max-age=600", false, MKTO_COOKIE_LEAVE},
        {"private=\"a\"", false, MKTO_COOKIE_SET_PRIVATE},
        {"x=\"a, no-store, private\"", false, MKTO_COOKIE_SET_PRIVATE},
        {"x=\"a, private", false, MKTO_COOKIE_SET_PRIVATE}, /* never ends */
        {"no-store", false, MKTO_COOKIE_SET},
        {"public, no-store, max-age=9", false, MKTO_COOKIE_SET},
        {",, ,private,", false, MKTO_COOKIE_SET},
        {"privatex, publicx", false, MKTO_COOKIE_SET_PRIVATE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_cookie_response response = {.status = 200,
                                                .expires = rows[i].expires,
                                                .content_type = MKTO_SLICE_LIT("text/html"),
                                                .cache_control = mkto_slice_str(rows[i].control)};
        assert_int_equal(step("GET", &mint, &response), rows[i].step);
        response.ours = true;
        assert_int_equal(step("POST", &refresh, &response), rows[i].step);
    }
}

static void places(void **state)
{
    (void)state;
    static const struct {
        const char *method, *type;
        int status;
        bool set;
    } rows[] = {
        {"GET", "text/html", 200, true},
        {"GET", "Text/HTML; charset=utf-8", 200, true},
        {"GET", "application/xhtml+xml", 404, true},
        {"GET", "text/html", 302, true},
        {"GET", "text/html", 500, true},
        {"GET", "text/html", 199, false},
        {"GET", "text/html", 103, false},
        {"GET", "text/html", 206, false},
        {"GET", "text/html", 304, false},
        {"HEAD", "text/html", 200, false},
        {"POST", "text/html", 200, false},
        {"GET", NULL, 200, false},
        {"GET", "text/htmlx", 200, false},
        {"GET", "text/css", 200, false},
        {"GET", "image/png", 200, false},
        {"GET", "application/json", 200, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_cookie_response response = {.status = rows[i].status,
                                                      .content_type = mkto_slice_str(rows[i].type)};
        const enum mkto_cookie_step want =
            rows[i].set ? MKTO_COOKIE_SET_PRIVATE : MKTO_COOKIE_LEAVE;
        assert_int_equal(step(rows[i].method, &mint, &response), want);
    }
}

/* A CDN goes by its own header first, whatever Cache-Control says. */
static void caching_by_cdns(void **state)
{
    (void)state;
    static const struct {
        const char *cdn, *control;
        enum mkto_cookie_step want;
    } rows[] = {
        {"max-age=600", "private", MKTO_COOKIE_LEAVE},
        {"public", NULL, MKTO_COOKIE_LEAVE},
        {"max-age=600, content=\"ESI/1.0\"", "no-store", MKTO_COOKIE_LEAVE},
        {"no-store, max-age=600", "private", MKTO_COOKIE_SET},
        {"private", NULL, MKTO_COOKIE_SET_PRIVATE},
        {"max-age=0", NULL, MKTO_COOKIE_SET_PRIVATE},
        {"", "private", MKTO_COOKIE_SET},
    };
    const struct mkto_cookie_rule rule = {.mode = MKTO_COOKIE_MINT};
    const struct mkto_request request = {.method = MKTO_SLICE_LIT("GET")};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_cookie_response response = {
            .status = 200,
            .content_type = MKTO_SLICE_LIT("text/html"),
            .cache_control = mkto_slice_str(rows[i].control),
            .cdn_control = mkto_slice_str(rows[i].cdn),
        };
        assert_int_equal(mkto_cookie_may_set(&request, &rule, &response), rows[i].want);
    }
}

static void left_alone(void **state)
{
    (void)state;
    static const struct mkto_cookie_rule off = {.mode = MKTO_COOKIE_OFF};
    struct mkto_cookie_response response = {
        .status = 200, .ours = true, .cache_control = MKTO_SLICE_LIT("no-store")};
    assert_int_equal(step("POST", &off, &response), MKTO_COOKIE_LEAVE);
    assert_int_equal(step("POST", &mint, &response), MKTO_COOKIE_SET);
    response.has_cookie = true;
    assert_int_equal(step("POST", &mint, &response), MKTO_COOKIE_LEAVE);
}

static void kept(void **state)
{
    (void)state;
    static const struct {
        const char *cookies, *token;
    } rows[] = {
        {"_mkto_trk=id:" ID "&token:_mch-example.com-1374552656411-90718",
         "_mch-example.com-1374552656411-90718"},
        {"_mkto_trk=id:OTHER&token:_mch-example.com-" HEX, "_mch-example.com-" HEX},
        {"_mkto_trk=token:_mch-elsewhere.org-abcd&id:", "_mch-elsewhere.org-abcd"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_request request = request_of("www.example.com", rows[i].cookies);
        struct mkto_cookie cookie;
        assert_true(mkto_cookie_keep(&request, &refresh, NULL, &cookie));
        assert_string_equal(cookie.id, ID);
        assert_string_equal(cookie.token, rows[i].token);
        assert_true(mkto_cookie_keep(&request, &mint, random_bytes, &cookie));
        assert_string_equal(cookie.token, rows[i].token);
    }
}

static void none(void **state)
{
    (void)state;
    static const struct mkto_cookie_rule off = {.mode = MKTO_COOKIE_OFF};
    static const struct mkto_cookie zero;
    struct mkto_cookie cookie;
    struct mkto_request request = request_of("www.example.com", "_mkto_trk=id:" ID "&token:odd");
    assert_false(mkto_cookie_keep(&request, &refresh, NULL, &cookie));
    assert_memory_equal(&cookie, &zero, sizeof(zero));
    assert_false(mkto_cookie_keep(&request, &mint, random_bytes, &cookie));
    request = request_of("www.example.com", "_mkto_trk=id:" ID "&token:_mch-example.com-abcd");
    assert_false(mkto_cookie_keep(&request, &off, NULL, &cookie));
    request = request_of("www.example.com", "a=b");
    assert_false(mkto_cookie_keep(&request, &refresh, NULL, &cookie));
    static const char *const hosts[] = {NULL, "", "a b", "a;b", "a\r\nb", "\xc3\xa4.de", "a:x"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        request = request_of(hosts[i], "");
        assert_false(mkto_cookie_keep(&request, &mint, random_bytes, &cookie));
        assert_memory_equal(&cookie, &zero, sizeof(zero));
    }
    request = request_of("www.example.com", "");
    request.munchkin_id = MKTO_SLICE_NONE;
    assert_false(mkto_cookie_keep(&request, &mint, random_bytes, &cookie));
}

/* Nothing of what came reaches a made cookie. */
static void hostile_cookies(void **state)
{
    (void)state;
    char large[4200] = "_mkto_trk=id:" ID "&token:_mch-example.com-";
    memset(large + strlen(large), 'a', 4096);
    const char *const hostile[] = {
        "_mkto_trk=id:" ID "&token:_mch-example.com-1%0d%0aSet-Cookie:%20x", large,
        "_mkto_trk=id:" ID "&token:a\r\nb", "_mkto_trk=<script>", "_mkto_trk=id:" ID "&token:"};
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        const struct mkto_request request = request_of("www.example.com", hostile[i]);
        struct mkto_cookie cookie;
        assert_false(mkto_cookie_keep(&request, &refresh, NULL, &cookie));
        assert_true(mkto_cookie_keep(&request, &mint, random_bytes, &cookie));
        assert_string_equal(cookie.token, "_mch-example.com-" HEX);
    }
}

static void made(void **state)
{
    (void)state;
    static const struct {
        const char *host, *rule, *token, *domain;
    } rows[] = {
        {"www.example.com", NULL, "_mch-example.com-" HEX, "; Domain=example.com"},
        {"WWW.Example.COM:8443", NULL, "_mch-example.com-" HEX, "; Domain=example.com"},
        {"www.example.com.", NULL, "_mch-example.com-" HEX, "; Domain=example.com"},
        {"a.b.example.com.au", NULL, "_mch-example.com.au-" HEX, "; Domain=example.com.au"},
        {"a.b.example.com", "b.example.com", "_mch-b.example.com-" HEX, "; Domain=b.example.com"},
        {"other.org", "example.com", "_mch-other.org-" HEX, "; Domain=other.org"},
        {"badexample.com", "example.com", "_mch-badexample.com-" HEX, "; Domain=badexample.com"},
        {"localhost:8080", NULL, "_mch-localhost-" HEX, ""},
        {"192.0.2.1:80", NULL, "_mch-192.0.2.1-" HEX, ""},
        {"co.uk", NULL, "_mch-co.uk-" HEX, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_request request = request_of(rows[i].host, "");
        const struct mkto_cookie_rule rule = {.mode = MKTO_COOKIE_MINT,
                                              .domain = mkto_slice_str(rows[i].rule)};
        struct mkto_cookie cookie, back;
        char out[MKTO_SET_COOKIE_MAX], want[MKTO_SET_COOKIE_MAX];
        assert_true(mkto_cookie_keep(&request, &rule, random_bytes, &cookie));
        assert_string_equal(cookie.token, rows[i].token);
        const size_t len = mkto_cookie_set_format(&request, &rule, &cookie, out, sizeof(out));
        snprintf(want, sizeof(want),
                 "_mkto_trk=id:" ID "&token:%s; Max-Age=63072000; Path=/%s; "
                 "SameSite=Lax",
                 rows[i].token, rows[i].domain);
        assert_string_equal(out, want);
        assert_int_equal(len, strlen(want));
        /* and what comes back is the same visitor, of a known form */
        out[strcspn(out, ";")] = '\0';
        assert_int_equal(mkto_cookie_parse(mkto_slice_str(out + strlen("_mkto_trk=")), &back), 0);
        assert_string_equal(back.token, cookie.token);
        assert_non_null(mkto_cookie_token_domain(mkto_slice_str(back.token)).data);
    }
}

static void none_for_ipv6(void **state)
{
    (void)state;
    static const char *const hosts[] = {"[::1]", "[::1]:8080", "[2001:db8::1]"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        const struct mkto_request request = request_of(hosts[i], "");
        struct mkto_cookie cookie;
        assert_false(mkto_cookie_keep(&request, &mint, random_bytes, &cookie));
        assert_string_equal(cookie.token, "");
    }
}

static void attributes(void **state)
{
    (void)state;
    struct mkto_request request =
        request_of("www.example.com", "_mkto_trk=id:" ID "&token:_mch-www.example.com-abcd");
    const struct mkto_cookie_rule rule = {
        .mode = MKTO_COOKIE_REFRESH, .domain = MKTO_SLICE_LIT("example.com"), .http_only = true};
    struct mkto_cookie cookie;
    char out[MKTO_SET_COOKIE_MAX];
    request.https = true;
    assert_true(mkto_cookie_keep(&request, &rule, NULL, &cookie));
    const size_t len = mkto_cookie_set_format(&request, &rule, &cookie, out, sizeof(out));
    assert_string_equal(out, "_mkto_trk=id:" ID "&token:_mch-www.example.com-abcd; "
                             "Max-Age=63072000; Path=/; Domain=www.example.com; SameSite=Lax; "
                             "Secure; HttpOnly");
    assert_int_equal(mkto_cookie_set_format(&request, &rule, &cookie, out, len + 1), len);
    assert_int_equal(mkto_cookie_set_format(&request, &rule, &cookie, out, len), 0);
}

/* The token's own domain when browsers take it here, else the next. */
static void refreshed_domains(void **state)
{
    (void)state;
    static const struct {
        const char *token, *host, *domain;
    } rows[] = {
        {"_mch-example.com-abcd", "www.example.com", "; Domain=example.com;"},
        {"_mch-EXAMPLE.com-abcd", "www.example.com", "; Domain=EXAMPLE.com;"},
        {"_mch-www.example.com-abcd", "www.example.com", "; Domain=www.example.com;"},
        {"_mch-elsewhere.org-abcd", "www.example.com", "; Domain=example.com;"},
        {"_mch-ample.com-abcd", "www.example.com", "; Domain=example.com;"},
        {"_mch-com-abcd", "www.example.com", "; Domain=example.com;"},
        {"_mch-com.au-abcd", "www.example.com.au", "; Domain=example.com.au;"},
        {"_mch-www.example.com-abcd", "example.com", "; Domain=example.com;"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char cookies[128], out[MKTO_SET_COOKIE_MAX];
        struct mkto_cookie cookie;
        snprintf(cookies, sizeof(cookies), "_mkto_trk=id:" ID "&token:%s", rows[i].token);
        const struct mkto_request request = request_of(rows[i].host, cookies);
        assert_true(mkto_cookie_keep(&request, &refresh, NULL, &cookie));
        assert_true(mkto_cookie_set_format(&request, &refresh, &cookie, out, sizeof(out)) > 0);
        assert_non_null(strstr(out, rows[i].domain));
    }
}

static void longest_host(void **state)
{
    (void)state;
    char host[MKTO_COOKIE_DOMAIN_MAX + 2] = "";
    struct mkto_cookie cookie;
    char out[MKTO_SET_COOKIE_MAX];
    memset(host, 'a', MKTO_COOKIE_DOMAIN_MAX);
    memcpy(host + MKTO_COOKIE_DOMAIN_MAX - 4, ".com", 4);
    struct mkto_request request = request_of(host, "");
    assert_true(mkto_cookie_keep(&request, &mint, random_bytes, &cookie));
    assert_true(mkto_cookie_set_format(&request, &mint, &cookie, out, sizeof(out)) > 0);
    memmove(host + 1, host, MKTO_COOKIE_DOMAIN_MAX);
    request = request_of(host, "");
    assert_false(mkto_cookie_keep(&request, &mint, random_bytes, &cookie));
}

static int opt_out(const char *uri, const char *cookies, bool https,
                   char out[2][MKTO_SET_COOKIE_MAX])
{
    struct mkto_request request = request_of("www.example.com", cookies);
    request.uri = mkto_slice_str(uri);
    request.https = https;
    return mkto_cookie_opt_out(&request, &refresh, out);
}

static void opted_out(void **state)
{
    (void)state;
    char out[2][MKTO_SET_COOKIE_MAX];
    assert_int_equal(opt_out("/?a=b", "", false, out), 0);
    assert_int_equal(opt_out("/?marketo_opt_out=1", "", false, out), 0);
    assert_int_equal(opt_out("/?marketo_opt_out=true",
                             "_mkto_trk=id:" ID "&token:_mch-www.example.com-abcd", true, out),
                     2);
    assert_string_equal(out[0], "mkto_opt_out=id:true; Max-Age=63072000; Path=/; "
                                "Domain=example.com; SameSite=Lax; Secure");
    assert_string_equal(out[1], "_mkto_trk=; Max-Age=0; Path=/; Domain=www.example.com; "
                                "SameSite=Lax; Secure");
    assert_int_equal(opt_out("/?marketo_opt_out=true", "", false, out), 2);
    assert_string_equal(out[1], "_mkto_trk=; Max-Age=0; Path=/; Domain=example.com; SameSite=Lax");
    assert_int_equal(opt_out("/?marketo_opt_out=false", "", false, out), 1);
    assert_string_equal(out[0],
                        "mkto_opt_out=; Max-Age=0; Path=/; Domain=example.com; SameSite=Lax");
}

/* Without a parameter: as long as he is out, and not a day longer. */
static void still_opted_out(void **state)
{
    (void)state;
    char out[2][MKTO_SET_COOKIE_MAX];
    const char *again = "mkto_opt_out=id:true; Max-Age=63072000; Path=/; Domain=example.com; "
                        "SameSite=Lax";
    assert_int_equal(opt_out("/", "a=b; mkto_opt_out=true", false, out), 1);
    assert_string_equal(out[0], again);
    assert_int_equal(
        opt_out("/", "mkto_opt_out=id:true; _mkto_trk=id:" ID "&token:_mch-example.com-abcd", false,
                out),
        2);
    assert_string_equal(out[0], again);
    assert_string_equal(out[1], "_mkto_trk=; Max-Age=0; Path=/; Domain=example.com; SameSite=Lax");
    assert_int_equal(opt_out("/", "mkto_opt_out=; _mkto_trk=x", false, out), 0);
    struct mkto_request request = request_of("www.example.com", "mkto_opt_out=id:true");
    request.uri = MKTO_SLICE_LIT("/v1/t");
    request.header[MKTO_HEADER_REFERER] =
        MKTO_SLICE_LIT("https://www.example.com/?marketo_opt_out=false");
    assert_int_equal(mkto_cookie_opt_out(&request, &refresh, out), 0);
    request.opt_out = false;
    request.header[MKTO_HEADER_REFERER] =
        MKTO_SLICE_LIT("https://www.example.com/?marketo_opt_out=true");
    assert_int_equal(mkto_cookie_opt_out(&request, &refresh, out), 1);
    assert_string_equal(out[0], again);
}

/* What was asked for is given, whatever caches are told. */
static void opting_out_of_a_cached_page(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *method, *type, *control;
        int status;
        enum mkto_cookie_step want;
    } rows[] = {
        {"/?marketo_opt_out=true", "GET", "text/html", "public, max-age=60", 200,
         MKTO_COOKIE_SET_OPT_OUT},
        {"/?marketo_opt_out=false", "GET", "text/html", "max-age=60", 200, MKTO_COOKIE_SET_OPT_OUT},
        {"/?marketo_opt_out=true", "GET", NULL, NULL, 304, MKTO_COOKIE_SET_OPT_OUT},
        {"/?marketo_opt_out=true", "GET", "text/html", "private", 200, MKTO_COOKIE_SET},
        {"/?marketo_opt_out=1", "GET", "text/html", "public", 200, MKTO_COOKIE_LEAVE},
        {"/?a=b", "GET", NULL, NULL, 304, MKTO_COOKIE_LEAVE},
        {"/?marketo_opt_out=true", "HEAD", "text/html", "public", 200, MKTO_COOKIE_LEAVE},
        {"/?marketo_opt_out=true", "GET", "text/html", "public", 206, MKTO_COOKIE_LEAVE},
        {"/?marketo_opt_out=true", "GET", "image/gif", "public", 200, MKTO_COOKIE_LEAVE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_request request = {.method = mkto_slice_str(rows[i].method),
                                             .uri = mkto_slice_str(rows[i].uri)};
        struct mkto_cookie_response response = {.status = rows[i].status,
                                                .content_type = mkto_slice_str(rows[i].type),
                                                .cache_control = mkto_slice_str(rows[i].control)};
        assert_int_equal(mkto_cookie_may_set(&request, &mint, &response), rows[i].want);
        response.has_cookie = true;
        assert_int_equal(mkto_cookie_may_set(&request, &mint, &response), MKTO_COOKIE_LEAVE);
    }
}

static void ours(void **state)
{
    (void)state;
    assert_true(mkto_cookie_is_ours(MKTO_SLICE_LIT("_mkto_trk=x; Path=/")));
    assert_true(mkto_cookie_is_ours(MKTO_SLICE_LIT("mkto_opt_out=; Max-Age=0")));
    assert_false(mkto_cookie_is_ours(MKTO_SLICE_LIT("_mkto_trk2=x")));
    assert_false(mkto_cookie_is_ours(MKTO_SLICE_LIT("a=_mkto_trk=x")));
    assert_false(mkto_cookie_is_ours(MKTO_SLICE_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caching_by_cdns),
        cmocka_unit_test(domains),
        cmocka_unit_test(bad_domains),
        cmocka_unit_test(longest_domain),
        cmocka_unit_test(caching),
        cmocka_unit_test(places),
        cmocka_unit_test(left_alone),
        cmocka_unit_test(kept),
        cmocka_unit_test(none),
        cmocka_unit_test(hostile_cookies),
        cmocka_unit_test(made),
        cmocka_unit_test(none_for_ipv6),
        cmocka_unit_test(attributes),
        cmocka_unit_test(refreshed_domains),
        cmocka_unit_test(longest_host),
        cmocka_unit_test(opted_out),
        cmocka_unit_test(still_opted_out),
        cmocka_unit_test(opting_out_of_a_cached_page),
        cmocka_unit_test(ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
