/* mkto_map: what must not be delivered; what page, screen and track become. */
#include "map_text.h"

#include "mkto_map_address.h"

static struct mkto_visit visit_of(enum mkto_call call, const char *body)
{
    struct mkto_delivery delivery = map(call, MKTO_API_REST, body);
    assert_int_equal(delivery.kind, MKTO_DELIVERY_VISIT);
    assert_int_equal(delivery.api, MKTO_API_MUNCHKIN);
    return delivery.visit;
}

struct row {
    const char *members; /* of the event, beside userId */
    const char *wanted;
};

static void check_rows(enum mkto_call call, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        maps(call, MKTO_API_REST,
             apr_psprintf(pool, "{\"userId\":\"u\"%s%s}", rows[i].members[0] == '\0' ? "" : ",",
                          rows[i].members),
             rows[i].wanted);
    }
}

#define CHECK_ROWS(call, rows) check_rows(call, rows, sizeof(rows) / sizeof((rows)[0]))

/* ---- filters ---- */

static void test_integrations(void **state)
{
    (void)state;
    const char *yes = "FirstName=J|UserId=u", *no = "filtered integrations";
    /* clang-format off */
    const struct {
        const char *members;
        bool enabled;
    } rows[] = {
        {"\"integrations\":{}", true},
        {"\"integrations\":{\"All\":true}", true},
        {"\"integrations\":{\"All\":false}", false},
        {"\"integrations\":{\"all\":false}", false},
        {"\"integrations\":{\"ALL\":false}", false},
        {"\"integrations\":{\"All\":\"false\"}", true},
        {"\"integrations\":{\"All\":0}", true},
        {"\"integrations\":{\"Marketo\":false}", false},
        {"\"integrations\":{\"marketo\":false}", true},
        {"\"integrations\":{\"All\":false,\"Marketo\":true}", true},
        {"\"integrations\":{\"All\":false,\"marketo\":true}", false},
        {"\"integrations\":{\"All\":false,\"Marketo\":{}}", true},
        {"\"integrations\":{\"All\":false,\"Marketo\":null}", true},
        {"\"integrations\":{\"All\":false,\"Marketo\":\"x\"}", true},
        {"\"integrations\":{\"All\":true,\"Marketo\":false}", false},
        {"\"integrations\":{\"Marketo V2\":false}", true},
        {"\"options\":{\"all\":false}", false},
        {"\"options\":{\"all\":false,\"Marketo\":true}", true},
        {"\"options\":{\"all\":false},\"integrations\":{\"All\":true}", false},
        {"\"options\":{\"providers\":{\"all\":false}}", false},
        {"\"options\":{\"providers\":{\"all\":true},\"all\":false}", true},
        {"\"options\":{\"providers\":{\"Marketo\":false}}", false},
        {"\"options\":{\"Marketo\":false},\"integrations\":{}", true},
        {"\"context\":{\"Marketo\":false}", false},
        {"\"context\":{\"Marketo\":{\"marketoCookie\":\"x\"}},\"integrations\":{\"All\":false}", false},
        {"\"context\":{\"all\":false,\"Marketo\":{\"marketoCookie\":\"x\"}}", true},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        maps(MKTO_CALL_IDENTIFY, MKTO_API_SOAP,
             apr_psprintf(
                 pool,
                 "{\"userId\":\"u\",%s,\"traits\":{\"email\":\"e@x.org\",\"firstName\":\"J\"}}",
                 rows[i].members),
             rows[i].enabled ? yes : no);
    }
    maps(MKTO_CALL_ALIAS, MKTO_API_SOAP,
         "{\"userId\":\"u\",\"previousId\":\"p\",\"integrations\":{\"All\":false}}", no);
}

static void test_bundled(void **state)
{
    (void)state;
    const char *bundled = "\"properties\":{\"url\":\"https://x.org/\"},"
                          "\"_metadata\":{\"bundled\":[\"A\",\"Marketo\"],\"unbundled\":[\"B\"]}";
    const char *both = "\"properties\":{\"url\":\"https://x.org/\"},"
                       "\"_metadata\":{\"bundled\":[\"Marketo\"],\"unbundled\":[\"Marketo\"]}";
    const struct row plain[] = {
        {bundled, "https://x.org/?"},
        {apr_pstrcat(pool, "\"channel\":\"client\",", bundled, NULL), "filtered bundled"},
        {apr_pstrcat(pool, "\"channel\":\"browser\",", bundled, NULL), "filtered bundled"},
        {apr_pstrcat(pool, "\"context\":{\"channel\":\"client\"},", bundled, NULL),
         "filtered bundled"},
        {apr_pstrcat(pool, "\"channel\":\"server\",", bundled, NULL), "https://x.org/?"},
        {apr_pstrcat(pool, "\"channel\":\"client\",", both, NULL), "https://x.org/?"},
    };
    CHECK_ROWS(MKTO_CALL_PAGE, plain);
    envelope.flags = MKTO_ENVELOPE_BROWSER;
    const struct row browser[] = {
        {bundled, "filtered bundled"},
        {both, "https://x.org/?"},
        {"\"properties\":{\"url\":\"https://x.org/\"},\"_metadata\":{\"bundled\":\"Marketo\"}",
         "https://x.org/?"},
        {"\"properties\":{\"url\":\"https://x.org/\"},\"_metadata\":{\"bundled\":[\"marketo\"]}",
         "https://x.org/?"},
        {"\"properties\":{\"url\":\"https://x.org/\"},\"_metadata\":[]", "https://x.org/?"},
    };
    CHECK_ROWS(MKTO_CALL_PAGE, browser);
}

/* ---- addresses ---- */

static void test_address(void **state)
{
    (void)state;
    /* clang-format off */
    const struct {
        const char *url;
        const char *parts; /* scheme|host|port|path|query|hash; NULL: none */
    } rows[] = {
        {"https://www.example.com/pricing?a=1&b=2#faq", "https:|www.example.com||/pricing|a=1&b=2|#faq"},
        {"HTTP://WWW.Example.COM", "http:|www.example.com||/||"},
        {"http://x.org:80/", "http:|x.org||/||"},
        {"https://x.org:443/", "https:|x.org||/||"},
        {"https://x.org:80/", "https:|x.org|80|/||"},
        {"https://x.org:08443/", "https:|x.org|8443|/||"},
        {"https://x.org:/", "https:|x.org||/||"},
        {"https://x.org:65535", "https:|x.org|65535|/||"},
        {"https://x.org:65536", NULL},
        {"https://x.org:8a/", NULL},
        {"https://x.org:123456/", NULL},
        {"https://user:pa@ss@x.org/p", "https:|x.org||/p||"},
        {"https://[::1]:8080/p", "https:|[::1]|8080|/p||"},
        {"https://[::1]", "https:|[::1]||/||"},
        {"https://[::1", NULL},
        {"https://[::1]x/", NULL},
        {"https://x.org?q", "https:|x.org||/|q|"},
        {"https://x.org#h?x", "https:|x.org||/||#h?x"},
        {"https://x.org/a?#", "https:|x.org||/a||"},
        {"https://x.org/a b/%E4%B8%AD?x=%zz&y=1", "https:|x.org||/a b/%E4%B8%AD|x=%zz&y=1|"},
        {"  https://x.org/ \n", "https:|x.org||/||"},
        {"https:///p", NULL},
        {"https:x.org", NULL},
        {"https://a b/", NULL},
        {"https://a\"b/", NULL},
        {"ftp://x.org/", NULL},
        {"file:///tmp/x", NULL},
        {"javascript:alert(1)", NULL},
        {"", NULL},
        {"/pricing?x=1#y", "https:|base.org|8443|/pricing|x=1|#y"},
        {"pricing", "https:|base.org|8443|/pricing||"},
        {"?x=1", "https:|base.org|8443|/|x=1|"},
        {"#y", "https:|base.org|8443|/||#y"},
        {"//other.org/p", "https:|other.org||/p||"},
        {"/a:b", "https:|base.org|8443|/a:b||"},
    };
    /* clang-format on */
    struct mkto_map_address base;
    assert_true(mkto_map_address_root("https:", MKTO_SLICE_LIT("Base.org:8443"), &base));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_map_address got;
        bool parsed = mkto_map_address_parse(mkto_slice_str(rows[i].url), &base, &got);
        assert_true(parsed == (rows[i].parts != NULL));
        if (parsed) {
            struct mkto_visit visit;
            mkto_map_address_write(&got, &visit, pool);
            assert_string_equal(apr_pstrcat(pool, visit.scheme, "|", visit.host, "|", visit.port,
                                            "|", visit.path, "|", visit.query, "|", visit.hash,
                                            NULL),
                                rows[i].parts);
        }
    }
    assert_false(mkto_map_address_parse(MKTO_SLICE_LIT("/p"), NULL, &base));
    assert_false(mkto_map_address_root("https:", MKTO_SLICE_NONE, &base));
    assert_false(mkto_map_address_root("https:", MKTO_SLICE_LIT("a/b"), &base));
}

/* ---- page ---- */

static void test_page(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"\"properties\":{\"url\":\"https://www.example.com/pricing?utm_source=news&plan=pro%20plus"
         "#faq\",\"referrer\":\"https://www.google.com/search?q=a%20b&x=1\"},\"name\":\"Pricing\"",
         "https://www.example.com/pricing?utm_source=news&plan=pro%20plus#faq<"
         "https://www.google.com/search?q=a%20b&x=1"},
        {"\"properties\":{\"url\":\"https://p.org/\"},\"context\":{\"page\":{\"url\":\"https://"
         "c.org/\","
         "\"referrer\":\"https://r.org/\"}}",
         "https://p.org/?<https://r.org/"},
        {"\"context\":{\"page\":{\"url\":\"https://c.org/x\",\"search\":\"?a=1\"}}",
         "https://c.org/x?a=1"},
        {"\"properties\":{\"url\":\"https://p.org/\",\"search\":\"?a=1\"}", "https://p.org/?a=1"},
        {"\"properties\":{\"url\":\"https://p.org/?b=2\",\"search\":\"?a=1\"}",
         "https://p.org/?b=2"},
        {"\"properties\":{\"url\":\"https://p.org/\",\"search\":\"?\"}", "https://p.org/?"},
        {"\"properties\":{\"url\":5},\"context\":{\"page\":{\"url\":\"http://c.org:81/\"}}",
         "http://c.org:81/?"},
        {"\"properties\":{\"url\":\"https://p.org/\",\"referrer\":\"https://3.org\"},\"context\":"
         "{\"page\":{\"referrer\":\"https://2.org\"},\"referrer\":{\"url\":\"https://1.org\"}}",
         "https://p.org/?<https://1.org"},
        {"\"properties\":{\"url\":\"https://p.org/\",\"referrer\":\"https://3.org\"},\"context\":"
         "{\"page\":{\"referrer\":\"https://2.org\"}}",
         "https://p.org/?<https://2.org"},
        {"", "rejected no_page"},
        {"\"properties\":{\"url\":\"/relative\"}", "rejected no_page"},
        {"\"properties\":{\"path\":\"/relative\"}", "rejected no_page"},
        {"\"properties\":{\"url\":\"file:///x\"}", "rejected no_page"},
    };
    CHECK_ROWS(MKTO_CALL_PAGE, rows);
}

/* `host`, then the visitor's own token, then the request's Host. */
static void test_base(void **state)
{
    (void)state;
    envelope.host = MKTO_SLICE_LIT("Collect.example.com:8080");
    const struct row by_request[] = {
        {"", "http://collect.example.com:8080/?"},
        {"\"properties\":{\"url\":\"/p?x=1\"}", "http://collect.example.com:8080/p?x=1"},
    };
    CHECK_ROWS(MKTO_CALL_PAGE, by_request);
    envelope.flags = MKTO_ENVELOPE_HTTPS;
    const struct row by_tls[] = {{"", "https://collect.example.com:8080/?"}};
    CHECK_ROWS(MKTO_CALL_PAGE, by_tls);

    envelope.cookie = MKTO_SLICE_LIT(COOKIE);
    const struct row by_token[] = {
        {"", "https://marketo.com/?"},
        {"\"properties\":{\"path\":\"/p\",\"search\":\"?x=1\"}", "https://marketo.com/p?x=1"},
        {"\"context\":{\"page\":{\"path\":\"/c\"}}", "https://marketo.com/c?"},
        {"\"properties\":{\"url\":\"file:///x\",\"path\":\"/p\"}", "https://marketo.com/p?"},
        {"\"context\":{\"Marketo\":{\"marketoCookie\":\"id:A&token:opaque\"}}",
         "https://collect.example.com:8080/?"},
    };
    CHECK_ROWS(MKTO_CALL_PAGE, by_token);

    subscription.host = "www.example.com:8443";
    const struct row by_config[] = {
        {"", "https://www.example.com:8443/?"},
        {"\"properties\":{\"url\":\"/p\"}", "https://www.example.com:8443/p?"},
        {"\"properties\":{\"url\":\"//o.org/p\"}", "https://o.org/p?"},
    };
    CHECK_ROWS(MKTO_CALL_PAGE, by_config);
}

static void test_referer(void **state)
{
    (void)state;
    envelope.referer = MKTO_SLICE_LIT("https://shop.example.com/cart?x=1");
    envelope.host = MKTO_SLICE_LIT("shop.example.com");
    const struct row server[] = {{"", "http://shop.example.com/?"}};
    CHECK_ROWS(MKTO_CALL_PAGE, server);
    envelope.flags = MKTO_ENVELOPE_BROWSER;
    const struct row browser[] = {
        {"", "https://shop.example.com/cart?x=1"},
        {"\"properties\":{\"path\":\"/p\"}", "https://shop.example.com/cart?x=1"},
        {"\"properties\":{\"url\":\"https://p.org/\"}", "https://p.org/?"},
        {"\"properties\":{\"url\":\"/p\"}", "http://shop.example.com/p?"},
    };
    CHECK_ROWS(MKTO_CALL_PAGE, browser);
    maps(MKTO_CALL_TRACK, MKTO_API_REST, "{\"userId\":\"u\",\"event\":\"E\"}",
         "api https://shop.example.com/event/E?");
}

static void test_screen(void **state)
{
    (void)state;
    subscription.host = "www.example.com";
    const struct row rows[] = {
        {"\"name\":\"Sign Up_Form\"", "https://www.example.com/screen/Sign-Up-Form?"},
        {"\"name\":\"100% /caf\xc3\xa9?\"",
         "https://www.example.com/screen/100%25-%2Fcaf%C3%A9%3F?"},
        {"", "https://www.example.com/screen?"},
        {"\"name\":\"Home\",\"properties\":{\"url\":\"https://app.example.com/home?x=1\"}",
         "https://app.example.com/home?x=1"},
        {"\"name\":\"Home\",\"properties\":{\"url\":\"myapp://home\"}",
         "https://www.example.com/screen/Home?"},
    };
    CHECK_ROWS(MKTO_CALL_SCREEN, rows);
    subscription.host = NULL;
    maps(MKTO_CALL_SCREEN, MKTO_API_REST, "{\"userId\":\"u\",\"name\":\"Home\"}",
         "rejected no_page");
}

/* ---- track ---- */

static void test_product_track(void **state)
{
    (void)state;
    struct mkto_visit visit = visit_of(
        MKTO_CALL_TRACK, "{\"userId\":\"019mr8mf4r\",\"event\":\"Update Buying Period\","
                         "\"properties\":{\"newPeriod\":\"2016-01-01\",\"lastName\":\"Peterson\","
                         "\"email\":\"Jake@segment.com\"},"
                         "\"context\":{\"Marketo\":{\"marketoCookie\":\"" COOKIE "\"}}}");
    assert_string_equal(visit.token, "_mch-marketo.com-1374552656411-90718");
    assert_string_equal(visit_text(&visit),
                        "api https://marketo.com/event/Update-Buying-Period?"
                        "newPeriod=2016-01-01&lastName=Peterson&email=Jake%40segment.com");
    assert_int_equal(visit.at_ms, 1700000000000);
    assert_null(visit.name);
    assert_string_equal(visit.hash, "");
}

static void test_track(void **state)
{
    (void)state;
    subscription.host = "www.example.com";
    /* clang-format off */
    const struct row rows[] = {
        {"\"event\":\"some cool event\"", "api https://www.example.com/event/some-cool-event?"},
        {"\"event\":\"a  b__c\"", "api https://www.example.com/event/a--b--c?"},
        {"\"event\":\"/event/testing\"", "api https://www.example.com/event/testing?"},
        {"\"event\":\"/event/a b\"", "api https://www.example.com/event/a-b?"},
        {"\"event\":\"/Event/x\"", "api https://www.example.com/event//Event/x?"},
        {"\"event\":\"/account/x\"", "api https://www.example.com/event//account/x?"},
        {"\"event\":\"testing_a-page/inMarketo\"", "api https://www.example.com/event/testing-a-page/inMarketo?"},
        {"\"event\":\"100% caf\xc3\xa9?\"", "api https://www.example.com/event/100%-caf\xc3\xa9??"},
        {"\"event\":\"e\",\"properties\":{\"one\":1,\"two\":2}", "api https://www.example.com/event/e?one=1&two=2"},
        {"\"event\":\"Signed Up\",\"properties\":{\"plan\":\"Pro Plus\",\"seats\":5}",
         "api https://www.example.com/event/Signed-Up?plan=Pro%20Plus&seats=5"},
        {"\"event\":\"e\",\"properties\":{\"a b&\":\"c=d&e\",\"n\":null,\"t\":true,\"f\":false,\"s\":\"\"}",
         "api https://www.example.com/event/e?a%20b%26=c%3Dd%26e&t=true&f=false&s="},
        {"\"event\":\"e\",\"properties\":{\"o\":{\"k\": [1, \"x\"]},\"l\":[ ]}",
         "api https://www.example.com/event/e?o=%7B%22k%22%3A%5B1%2C%22x%22%5D%7D&l=%5B%5D"},
        {"\"event\":\"e\",\"properties\":{\"d\":\"2014-05-13T16:53:20.000Z\",\"x\":1.50}",
         "api https://www.example.com/event/e?d=2014-05-13T16%3A53%3A20.000Z&x=1.50"},
        {"\"event\":\"e\",\"properties\":{}", "api https://www.example.com/event/e?"},
        {"\"event\":\"e\",\"properties\":{\"n\":null}", "api https://www.example.com/event/e?"},
        {"\"event\":\"e\",\"context\":{\"page\":{\"url\":\"http://c.org:81/p?q#h\",\"referrer\":\"https://r.org/\"}}",
         "api http://c.org:81/event/e?<https://r.org/"},
        {"\"event\":\"e\",\"properties\":{\"url\":\"https://p.org/\",\"referrer\":\"https://r.org/\"}",
         "api https://www.example.com/event/e?url=https%3A%2F%2Fp.org%2F&referrer=https%3A%2F%2Fr.org%2F"},
    };
    /* clang-format on */
    CHECK_ROWS(MKTO_CALL_TRACK, rows);
    subscription.host = NULL;
    maps(MKTO_CALL_TRACK, MKTO_API_REST, "{\"userId\":\"u\",\"event\":\"e\"}", "rejected no_page");
}

#define LINK(value) "\"integrations\":{\"Marketo\":{\"clickLink\":" value "}}"

static void test_click(void **state)
{
    (void)state;
    subscription.host = "www.example.com";
    /* clang-format off */
    const struct row rows[] = {
        {LINK("\"https://other.org/a?b#c\""), "https://www.example.com/?>https://other.org/a?b#c"},
        {LINK("\"HTTP://other.org\""), "https://www.example.com/?>HTTP://other.org"},
        {LINK("\"https://u:p@other.org:81/a@b?c\""), "https://www.example.com/?>https://other.org:81/a@b?c"},
        {LINK("\"https://u@/@@other.org/\""), "api https://www.example.com/event/Clicked-Link?"},
        {LINK("\"https://u@v@other.org\""), "https://www.example.com/?>https://other.org"},
        {LINK("\"//other.org/a\""), "api https://www.example.com/event/Clicked-Link?"},
        {LINK("\"mailto:a@b.org\""), "https://www.example.com/?>mailto:a@b.org"},
        {LINK("\"tel:+43\""), "https://www.example.com/?>tel:+43"},
        {LINK("\"/files/x.pdf\""), "api https://www.example.com/?>/files/x.pdf"},
        {LINK("\"/x\"") ",\"properties\":{\"href\":\"y\",\"a\":1}", "api https://www.example.com/?>/x"},
        {LINK("\"https://o.org/\"") ",\"context\":{\"page\":{\"url\":\"http://c.org:81/p%20q?r#h\",\"referrer\":\"https://r.org/\"}}",
         "http://c.org:81/p%20q?r#h<https://r.org/>https://o.org/"},
        /* What is no link counts as nothing. */
        {LINK("\"javascript:void(0)\""), "api https://www.example.com/event/Clicked-Link?"},
        {LINK("\"ftp://other.org/\""), "api https://www.example.com/event/Clicked-Link?"},
        {LINK("\"https://\""), "api https://www.example.com/event/Clicked-Link?"},
        {LINK("\"http:other\""), "api https://www.example.com/event/Clicked-Link?"},
        {LINK("\"other.html\""), "api https://www.example.com/event/Clicked-Link?"},
        {LINK("\"\""), "api https://www.example.com/event/Clicked-Link?"},
        {LINK("null"), "api https://www.example.com/event/Clicked-Link?"},
        {LINK("true"), "api https://www.example.com/event/Clicked-Link?"},
        {LINK("5"), "api https://www.example.com/event/Clicked-Link?"},
        {LINK("{\"href\":\"/x\"}"), "api https://www.example.com/event/Clicked-Link?"},
        {"\"integrations\":{\"Marketo\":true}", "api https://www.example.com/event/Clicked-Link?"},
        {"\"integrations\":{\"clickLink\":\"/x\"}", "api https://www.example.com/event/Clicked-Link?"},
        {"\"integrations\":{\"Marketo\":false}", "filtered integrations"},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *body =
            apr_psprintf(pool, "{\"userId\":\"u\",\"event\":\"Clicked Link\",%s}", rows[i].members);
        maps(MKTO_CALL_TRACK, MKTO_API_REST, body, rows[i].wanted);
        maps(MKTO_CALL_TRACK, MKTO_API_SOAP, body, rows[i].wanted);
    }
    maps(MKTO_CALL_PAGE, MKTO_API_REST, "{\"userId\":\"u\"," LINK("\"/x\"") "}",
         "https://www.example.com/?"); /* only a track is a click */
    subscription.host = NULL;
    maps(MKTO_CALL_TRACK, MKTO_API_REST,
         "{\"userId\":\"u\",\"event\":\"e\"," LINK("\"https://x.org/\"") "}", "rejected no_page");
}

/* ---- whose, and with which headers ---- */

static void test_token(void **state)
{
    (void)state;
    subscription.host = "www.example.com";
    struct mkto_visit visit = visit_of(MKTO_CALL_PAGE, "{\"userId\":\"u\",\"anonymousId\":\"a\"}");
    assert_string_equal(visit.token, mkto_map_made_token(&subscription, MKTO_SLICE_LIT("u"), pool));
    visit = visit_of(MKTO_CALL_TRACK, "{\"event\":\"e\",\"anonymousId\":\"a\"}");
    assert_string_equal(visit.token, mkto_map_made_token(&subscription, MKTO_SLICE_LIT("a"), pool));
    maps(MKTO_CALL_TRACK, MKTO_API_REST, "{\"event\":\"e\",\"properties\":{\"email\":\"e@x.org\"}}",
         "rejected no_identity");
    envelope.cookie = MKTO_SLICE_LIT(COOKIE);
    visit = visit_of(MKTO_CALL_PAGE, "{\"userId\":\"u\"}");
    assert_string_equal(visit.token, "_mch-marketo.com-1374552656411-90718");
}

static void test_headers(void **state)
{
    (void)state;
    subscription.host = "www.example.com";
    envelope.user_agent = MKTO_SLICE_LIT("Mozilla/5.0 (X11)");
    envelope.remote_addr = MKTO_SLICE_LIT("192.0.2.7");
    envelope.accept_language = MKTO_SLICE_LIT("de,en;q=0.5");
    envelope.dnt = MKTO_SLICE_LIT("1");
    envelope.gpc = MKTO_SLICE_LIT("1");
    const char *body = "{\"userId\":\"u\",\"context\":{\"userAgent\":\"App/1\\r\\nX: y\","
                       "\"ip\":\"2001:db8::1\"}}";
    struct mkto_visit visit = visit_of(MKTO_CALL_PAGE, body);
    assert_string_equal(visit.user_agent, "Mozilla/5.0 (X11)");
    assert_string_equal(visit.remote_addr, "192.0.2.7");
    assert_string_equal(visit.accept_language, "de,en;q=0.5");
    assert_string_equal(visit.dnt, "1");
    assert_string_equal(visit.gpc, "1");

    envelope.flags = MKTO_ENVELOPE_KEYED;
    visit = visit_of(MKTO_CALL_PAGE, body);
    assert_string_equal(visit.user_agent, "App/1  X: y");
    assert_string_equal(visit.remote_addr, "2001:db8::1");
    visit =
        visit_of(MKTO_CALL_PAGE, "{\"userId\":\"u\",\"context\":{\"ip\":\"1.2.3.4, 5.6.7.8\"}}");
    assert_string_equal(visit.user_agent, "Mozilla/5.0 (X11)");
    assert_string_equal(visit.remote_addr, "192.0.2.7");
    char *agent = apr_palloc(pool, MKTO_ENVELOPE_HEADER_MAX + 2);
    memset(agent, 'A', MKTO_ENVELOPE_HEADER_MAX + 1);
    agent[MKTO_ENVELOPE_HEADER_MAX + 1] = '\0';
    visit = visit_of(
        MKTO_CALL_PAGE,
        apr_psprintf(pool, "{\"userId\":\"u\",\"context\":{\"userAgent\":\"%s\"}}", agent));
    assert_int_equal(strlen(visit.user_agent), MKTO_ENVELOPE_HEADER_MAX);

    envelope = (struct mkto_envelope){.flags = 0};
    visit = visit_of(MKTO_CALL_PAGE, "{\"userId\":\"u\"}");
    assert_null(visit.user_agent);
    assert_null(visit.remote_addr);
    assert_null(visit.accept_language);
    assert_null(visit.dnt);
    assert_null(visit.gpc);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_pool, drop_pool)

int main(void)
{
    apr_initialize();
    const struct CMUnitTest tests[] = {
        TEST(test_integrations), TEST(test_bundled), TEST(test_address), TEST(test_page),
        TEST(test_base),         TEST(test_referer), TEST(test_screen),  TEST(test_product_track),
        TEST(test_track),        TEST(test_click),   TEST(test_token),   TEST(test_headers),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
