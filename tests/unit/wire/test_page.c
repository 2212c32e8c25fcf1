#include "wire_test.h"

#include "mkto_page.h"

#define CHROME                                                                                     \
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "            \
    "Chrome/120.0.0.0 Safari/537.36"

struct view {
    const char *method, *type;
    int status;
    const char *name, *value; /* one more header */
    bool page;
    enum mkto_skip skip;
};

static void judged(const struct view *view)
{
    struct mkto_request request = {.method = mkto_slice_str(view->method)};
    const struct mkto_page_response response = {.status = view->status,
                                                .content_type = mkto_slice_str(view->type)};
    enum mkto_skip skip = MKTO_SKIP_COUNT;
    if (view->name != NULL) {
        mkto_request_header(&request, mkto_slice_str(view->name), mkto_slice_str(view->value));
    }
    mkto_request_header(&request, MKTO_SLICE_LIT("User-Agent"), MKTO_SLICE_LIT(CHROME));
    assert_int_equal(mkto_page_judge(&request, &response, &skip), view->page);
    assert_int_equal(skip, view->skip);
}

static void responses(void **state)
{
    (void)state;
    static const struct view views[] = {
        {"GET", "text/html", 200, NULL, NULL, true, MKTO_SKIP_NONE},
        {"GET", "Text/HTML ; charset=utf-8", 200, NULL, NULL, true, MKTO_SKIP_NONE},
        {"GET", "application/xhtml+xml", 200, NULL, NULL, true, MKTO_SKIP_NONE},
        {"GET", "text/htmlx", 200, NULL, NULL, false, MKTO_SKIP_NONE},
        {"GET", "application/json", 200, NULL, NULL, false, MKTO_SKIP_NONE},
        {"GET", "text/css", 200, NULL, NULL, false, MKTO_SKIP_NONE},
        {"GET", NULL, 200, NULL, NULL, false, MKTO_SKIP_NONE},
        {"HEAD", "text/html", 200, NULL, NULL, false, MKTO_SKIP_NONE},
        {"POST", "text/html", 200, NULL, NULL, false, MKTO_SKIP_NONE},
        {"get", "text/html", 200, NULL, NULL, false, MKTO_SKIP_NONE},
        {"GET", "text/html", 201, NULL, NULL, false, MKTO_SKIP_NONE},
        {"GET", "text/html", 206, NULL, NULL, false, MKTO_SKIP_NONE},
        {"GET", "text/html", 301, NULL, NULL, false, MKTO_SKIP_NONE},
        {"GET", "text/html", 404, NULL, NULL, false, MKTO_SKIP_NONE},
        {"GET", "text/html", 500, NULL, NULL, false, MKTO_SKIP_NONE},
        {"GET", "text/html", 0, NULL, NULL, false, MKTO_SKIP_NONE},
        {"GET", NULL, 304, NULL, NULL, false, MKTO_SKIP_NONE},
        {"GET", NULL, 304, "Accept", "text/html,*/*;q=0.8", true, MKTO_SKIP_NONE},
        {"GET", NULL, 304, "Accept", "*/*", false, MKTO_SKIP_NONE},
        {"GET", "text/html", 304, "Accept", "image/png", false, MKTO_SKIP_NONE},
        {"GET", NULL, 304, "Sec-Fetch-Dest", "document", true, MKTO_SKIP_NONE},
        {"GET", NULL, 304, "Sec-Fetch-Dest", "style", false, MKTO_SKIP_NONE},
        {"HEAD", NULL, 304, "Accept", "text/html", false, MKTO_SKIP_NONE},
    };
    for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
        judged(&views[i]);
    }
}

/* An image in a tab of its own, which the browser asks for as it does for a page. */
static void not_modified(void **state)
{
    (void)state;
    static const struct {
        const char *type, *mapped;
        bool page;
    } rows[] = {
        {NULL, NULL, true},
        {NULL, "text/html", true},
        {NULL, "application/xhtml+xml", true},
        {NULL, "image/gif", false},
        {NULL, "image/x-icon", false},
        {NULL, "application/pdf", false},
        {NULL, "text/plain", false},
        {NULL, "application/x-httpd-php", true},
        {NULL, "text/x-perl", true},
        {"text/html; charset=utf-8", "image/gif", true},
        {"image/gif", "text/html", false},
        {"image/gif", NULL, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_request request = {.method = MKTO_SLICE_LIT("GET")};
        const struct mkto_page_response response = {304, mkto_slice_str(rows[i].type),
                                                    mkto_slice_str(rows[i].mapped)};
        enum mkto_skip skip = MKTO_SKIP_COUNT;
        mkto_request_header(&request, MKTO_SLICE_LIT("Sec-Fetch-Dest"), MKTO_SLICE_LIT("document"));
        mkto_request_header(&request, MKTO_SLICE_LIT("User-Agent"), MKTO_SLICE_LIT(CHROME));
        assert_int_equal(mkto_page_judge(&request, &response, &skip), rows[i].page);
        assert_int_equal(skip, MKTO_SKIP_NONE);
    }
}

/* What a service worker passes on, and what it may not be taken for. */
static void service_worker(void **state)
{
    (void)state;
    static const struct {
        const char *dest, *mode;
        int status;
        bool page;
    } rows[] = {
        {"empty", "navigate", 200, true},    {"empty", "navigate", 304, true},
        {"empty", "cors", 200, false},       {"empty", "cors", 304, false},
        {"empty", "", 200, false},           {"iframe", "navigate", 200, false},
        {"document", "navigate", 200, true}, {"image", "navigate", 304, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_request request = {.method = MKTO_SLICE_LIT("GET")};
        const struct mkto_page_response response = {rows[i].status, mkto_slice_str("text/html"),
                                                    MKTO_SLICE_NONE};
        enum mkto_skip skip = MKTO_SKIP_COUNT;
        mkto_request_header(&request, MKTO_SLICE_LIT("sec-fetch-dest"),
                            mkto_slice_str(rows[i].dest));
        mkto_request_header(&request, MKTO_SLICE_LIT("sec-fetch-mode"),
                            mkto_slice_str(rows[i].mode));
        assert_int_equal(mkto_page_judge(&request, &response, &skip), rows[i].page);
        assert_int_equal(skip, MKTO_SKIP_NONE);
    }
}

static void requests(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        bool page;
        enum mkto_skip skip;
    } rows[] = {
        {"Sec-Fetch-Dest", "document", true, MKTO_SKIP_NONE},
        {"Sec-Fetch-Dest", "empty", false, MKTO_SKIP_NONE},
        {"Sec-Fetch-Dest", "iframe", false, MKTO_SKIP_NONE},
        {"Sec-Fetch-Dest", "", true, MKTO_SKIP_NONE},
        {"Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", true, MKTO_SKIP_NONE},
        {"Accept", "*/*", false, MKTO_SKIP_NONE},
        {"Accept", "application/json", false, MKTO_SKIP_NONE},
        {"Accept", "", true, MKTO_SKIP_NONE},
        {"X-Requested-With", "XMLHttpRequest", false, MKTO_SKIP_NONE},
        {"X-Requested-With", "fetch", false, MKTO_SKIP_NONE},
        {"X-Requested-With", "com.example.app", true, MKTO_SKIP_NONE}, /* an Android web view */
        {"X-Requested-With", "", true, MKTO_SKIP_NONE},
        {"Sec-Purpose", "prefetch", false, MKTO_SKIP_PREFETCH},
        {"Sec-Purpose", "prefetch;prerender", false, MKTO_SKIP_PREFETCH},
        {"Sec-Purpose", "x ; Prerender", false, MKTO_SKIP_PREFETCH},
        {"Sec-Purpose", "prefetching", true, MKTO_SKIP_NONE},
        {"Sec-Purpose", "", true, MKTO_SKIP_NONE},
        {"Purpose", "prefetch", false, MKTO_SKIP_PREFETCH},
        {"Purpose", "instant", false, MKTO_SKIP_PREFETCH},
        {"X-Purpose", "preview", false, MKTO_SKIP_PREFETCH},
        {"X-Moz", "prefetch", false, MKTO_SKIP_PREFETCH},
        {"X-Moz", "other", true, MKTO_SKIP_NONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct view view = {"GET",         "text/html",  200,         rows[i].name,
                                  rows[i].value, rows[i].page, rows[i].skip};
        const struct view missing = {"GET",         "text/html", 404,           rows[i].name,
                                     rows[i].value, false,       MKTO_SKIP_NONE};
        judged(&view);
        judged(&missing); /* counted only where there is a page to count */
    }
}

/* The list that README prints, and what of it real programs say. */
static void bots(void **state)
{
    (void)state;
    static const char *const agents[] = {
        "",
        " \t",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (compatible; Yahoo! slurp; x)",
        "Mozilla/5.0 AdsBot-Google (+http://www.google.com/adsbot.html)",
        "Wget/1.21",
        "msnbot/2.0b",
        "Mozilla/5.0 (compatible; Baiduspider/2.0)",
        "Screaming Frog SEO Spider/19",
        "SomeCrawler 1",
        "x-CRAWL",
        "curl/8.0",
        "python-requests/2.31",
        "Python-urllib/3.11",
        "Python/3.11 aiohttp/3.8",
        "Go-http-client/2.0",
        "libwww-perl/6",
        "lwp-trivial/1.41",
        "HTTPie/3.2",
        "httpx/0.24",
        "Java/17.0.1",
        "okhttp/4.9",
        "Apache-HttpClient/4.5 (Java/17)",
        "axios/1.6",
        "node-fetch",
        "undici",
        "GuzzleHttp/7",
        "PostmanRuntime/7.36",
        "insomnia/8",
        "Scrapy/2.11",
        "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 PhantomJS/2.1.1 Safari/538.1",
        "facebookexternalhit/1.1",
        "facebookcatalog/1.0",
        "meta-externalagent/1.1",
        "meta-externalfetcher/1.1",
        "WhatsApp/2.23.20.0 A",
        "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
        "Slackbot-LinkExpanding 1.0",
        "TelegramBot (like TwitterBot)",
        "Twitterbot/1.0",
        "LinkedInBot/1.0",
        "Mozilla/5.0 (compatible; PetalBot;+https://webmaster.petalsearch.com/site/petalbot)",
        "Mozilla/5.0 ChatGPT-User/1.0",
        "Mozilla/5.0 Perplexity-User/1.0",
        "AhrefsSiteAudit",
        "SemrushX",
        "ia_archiver",
        "FeedFetcher-Google",
        "Mediapartners-Google",
        "GoogleOther",
        "Google-InspectionTool/1.0",
        "GoogleHC/1.0",
        "Mozilla/5.0 BingPreview/1.0b",
        CHROME " Chrome-Lighthouse",
        "Mozilla/5.0 Google PageSpeed Insights",
        "Mozilla/5.0 GTmetrix",
        "Pingdom.com_bot_version_1.4",
        "Mozilla/5.0+(compatible; UptimeRobot/2.0)",
        "StatusCake",
        "Site24x7",
        "NewRelicPinger/1.0",
        "Datadog/Synthetics",
        "Better Uptime Bot",
        "Uptime-Kuma/1.23",
        "Checkly/1.0",
        "check_http/v2.3",
        "Nagios",
        "Zabbix",
        "Prometheus/2.45",
        "Blackbox Exporter/0.24",
        "kube-probe/1.27",
        "ELB-HealthChecker/2.0",
        "W3C_Validator/1.3",
        "W3C-checklink/4.5",
    };
    for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
        if (!mkto_page_is_bot(mkto_slice_str(agents[i]))) {
            fail_msg("taken for a person: %s", agents[i]);
        }
    }
    assert_true(mkto_page_is_bot(MKTO_SLICE_NONE));
}

static void people(void **state)
{
    (void)state;
    static const char *const agents[] = {
        CHROME,
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "HeadlessChrome/120.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.1 Safari/605.1.15",
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
        "Gecko) Mobile/15E148 Instagram 309.0.0.28.111 (iPhone14,5; iOS 17_1)",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 "
        "Mobile/15E148 [FBAN/FBIOS;FBAV/440.0.0.28.106;FBDV/iPhone14,5]",
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/99.0.4844.88 Mobile Safari/537.36", /* a telephone; Munchkin minds the case, too */
        "Mozilla/5.0 (Linux; U; Android 13; en-gb) AppleWebKit/537.36 Version/4.0 "
        "Chrome/100.0.4896.127 Mobile Safari/537.36 XiaoMi/MiuiBrowser/14.4",
        "Opera/9.80 (J2ME/MIDP; Opera Mini/9.80) Presto/2.12 Version/12.16",
        "Lynx/2.9.0dev.12 libx11", /* slurp or bot make a program of a Mozilla only */
        "somebot",
        "b",
        "bo",
    };
    for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
        if (mkto_page_is_bot(mkto_slice_str(agents[i]))) {
            fail_msg("taken for a program: %s", agents[i]);
        }
    }
}

static const char *body_of(const char *host, bool https, const char *uri, const char *referer)
{
    static char out[MKTO_PAGE_BODY_MAX + 1];
    struct mkto_request request = {
        .host = mkto_slice_str(host), .uri = mkto_slice_str(uri), .https = https};
    request.header[MKTO_HEADER_REFERER] = mkto_slice_str(referer);
    out[mkto_page_body(&request, out, sizeof(out) - 1)] = '\0';
    return out;
}

#define URL(text) "{\"properties\":{\"url\":\"" text "\"}}"

static void bodies(void **state)
{
    (void)state;
    assert_string_equal(body_of("www.example.com", true, "/p?a=b&c", "https://www.google.com/"),
                        "{\"properties\":{\"url\":\"https://www.example.com/p?a=b&c\",\"referrer\":"
                        "\"https://www.google.com/\"}}");
    static const struct {
        const char *host, *uri, *body;
    } rows[] = {
        {"h:8080", "/", URL("http://h:8080/")},
        {"[::1]:80", "/a", URL("http://[::1]:80/a")},
        {"h", "", URL("http://h/")},
        {"h", NULL, URL("http://h/")},
        {"h", "*", URL("http://h/*")},
        {"h", "/a#b?c", URL("http://h/a")},
        {"h", "/%2f%zz?%", URL("http://h/%2f%zz?%")},
        {"h", "http://other/a?b", URL("http://h/a?b")},
        {"h", "https://other", URL("http://h/")},
        {"h", "https://other?x", URL("http://h/?x")},
        {"h", "/\"},\"x\":{\"", URL("http://h/%22%7D,%22x%22:%7B%22")},
        {"h", "/\\u0041\\", URL("http://h/%5Cu0041%5C")},
        {"h", "/\xff\xc3\xa4\r\n\t\x7f <>^`|{}",
         URL("http://h/%FF%C3%A4%0D%0A%09%7F%20%3C%3E%5E%60%7C%7B%7D")},
        {"h", "/!$&'()*+,-./:;=@[]_~", URL("http://h/!$&'()*+,-./:;=@[]_~")},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(body_of(rows[i].host, false, rows[i].uri, NULL), rows[i].body);
    }
    assert_string_equal(body_of("h", false, "/", ""), URL("http://h/"));
    assert_string_equal(body_of("h", false, "/", "\"\xe4#x"),
                        URL("http://h/\",\"referrer\":\"%22%E4"));
}

/* Bots come before all that keeps a person's view out. */
static void who_has_seen_it(void **state)
{
    (void)state;
    struct mkto_request request = {.method = MKTO_SLICE_LIT("GET")};
    assert_int_equal(mkto_page_visitor(&request, MKTO_SKIP_GPC), MKTO_SKIP_BOT);
    request.header[MKTO_HEADER_USER_AGENT] = MKTO_SLICE_LIT("curl/8.0");
    assert_int_equal(mkto_page_visitor(&request, MKTO_SKIP_NONE), MKTO_SKIP_BOT);
    request.header[MKTO_HEADER_USER_AGENT] = MKTO_SLICE_LIT(CHROME);
    assert_int_equal(mkto_page_visitor(&request, MKTO_SKIP_GPC), MKTO_SKIP_GPC);
    assert_int_equal(mkto_page_visitor(&request, MKTO_SKIP_NONE), MKTO_SKIP_NO_VISITOR);
    request.visitor.found = true;
    assert_int_equal(mkto_page_visitor(&request, MKTO_SKIP_NONE), MKTO_SKIP_NONE);
}

static void every_byte(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        const char uri[] = {'/', (char)c, '\0'};
        const char *body = body_of("h", false, uri, NULL);
        for (const char *at = body; *at != '\0'; at++) {
            assert_true(*at > ' ' && *at <= '~' && *at != '\\');
        }
        const bool kept = c > ' ' && c <= '~' && strchr("\"<>\\^`{|}", c) == NULL && c != '#';
        assert_int_equal(strchr(body + 24, '%') != NULL, (!kept && c != '#') || c == '%');
    }
}

static void no_host(void **state)
{
    (void)state;
    static const char *const hosts[] = {NULL, "", "a\"b", "a/b", "a b", "\xc3\xa4", "a:0"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        assert_string_equal(body_of(hosts[i], true, "/", NULL), "");
    }
}

/* What is too long loses a part at a time, and is never cut inside one. */
static void too_long(void **state)
{
    (void)state;
    static char path[MKTO_PAGE_BODY_MAX + 2], referer[MKTO_PAGE_BODY_MAX];
    const size_t frame = strlen(URL("http://h"));
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[MKTO_PAGE_BODY_MAX - frame] = '\0';
    assert_int_equal(strlen(body_of("h", false, path, NULL)), MKTO_PAGE_BODY_MAX);
    assert_int_equal(strlen(body_of("h", false, path, "http://r/")), MKTO_PAGE_BODY_MAX);
    path[MKTO_PAGE_BODY_MAX - frame] = 'a';
    path[MKTO_PAGE_BODY_MAX - frame + 1] = '\0';
    assert_string_equal(body_of("h", false, path, NULL), "");
    path[2] = '?';
    assert_string_equal(body_of("h", false, path, "http://r/?q"),
                        URL("http://h/a\",\"referrer\":\"http://r/"));
    memset(referer, 'b', sizeof(referer) - 1);
    memcpy(referer, "http://r/?", 10);
    assert_string_equal(body_of("h", false, "/a?b", referer),
                        URL("http://h/a?b\",\"referrer\":\"http://r/"));
    referer[9] = 'b';
    assert_string_equal(body_of("h", false, "/a?b", referer), URL("http://h/a"));
}

/* Whatever is cut first, the body is the same. */
static void fitted(void **state)
{
    (void)state;
    static char path[MKTO_PAGE_BODY_MAX + 2], referer[MKTO_PAGE_BODY_MAX + 2];
    for (int i = 0; i < 64; i++) {
        const size_t lens[2] = {MKTO_PAGE_BODY_MAX + 1 - 700 * (size_t)(i % 8),
                                MKTO_PAGE_BODY_MAX + 1 - 2300 * (size_t)(i / 8)};
        memset(path, 'a', sizeof(path));
        memset(referer, 'b', sizeof(referer));
        path[0] = '/';
        path[lens[0]] = referer[lens[1]] = '\0';
        path[i % 3 == 0 ? 3 : lens[0] - 1] = '?';
        referer[i % 5 < 3 ? 4 : lens[1] - 1] = i % 5 == 0 ? '#' : '?';
        char *whole = strdup(body_of("h", false, path, referer));
        struct mkto_request request = {.host = MKTO_SLICE_LIT("h"), .uri = mkto_slice_str(path)};
        request.header[MKTO_HEADER_REFERER] = mkto_slice_str(referer);
        char *out = malloc(MKTO_PAGE_BODY_MAX);
        assert_true(whole != NULL && out != NULL);
        size_t len = 0;
        if (mkto_page_fit(&request.uri, &request.header[MKTO_HEADER_REFERER])) {
            assert_in_range(request.uri.len + request.header[MKTO_HEADER_REFERER].len, 0,
                            MKTO_PAGE_BODY_MAX);
            len = mkto_page_body(&request, out, MKTO_PAGE_BODY_MAX);
        }
        assert_int_equal(len, strlen(whole));
        assert_memory_equal(out, whole, len);
        free(whole);
        free(out);
    }
}

static void fits_at_the_edge(void **state)
{
    (void)state;
    static char text[MKTO_PAGE_BODY_MAX + 1];
    memset(text, 'a', sizeof(text));
    struct mkto_slice uri = {text, MKTO_PAGE_BODY_MAX - 1}, referrer = {text, 1};
    assert_true(mkto_page_fit(&uri, &referrer));
    assert_int_equal(uri.len + referrer.len, MKTO_PAGE_BODY_MAX);
    referrer.len = 2;
    assert_true(mkto_page_fit(&uri, &referrer));
    assert_int_equal(uri.len, MKTO_PAGE_BODY_MAX - 1);
    assert_int_equal(referrer.len, 0);
    uri.len = MKTO_PAGE_BODY_MAX + 1;
    assert_false(mkto_page_fit(&uri, &referrer));
    text[100] = '?';
    assert_true(mkto_page_fit(&uri, &referrer));
    assert_int_equal(uri.len, 100);
}

static void small_buffers(void **state)
{
    (void)state;
    const struct mkto_request request = {.host = MKTO_SLICE_LIT("h"), .uri = MKTO_SLICE_LIT("/a")};
    const size_t want = strlen(URL("http://h/a"));
    for (size_t size = 0; size <= want; size++) {
        char *out = malloc(size + 1);
        assert_non_null(out);
        assert_int_equal(mkto_page_body(&request, out, size), size == want ? want : 0);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses),      cmocka_unit_test(not_modified),
        cmocka_unit_test(service_worker), cmocka_unit_test(requests),
        cmocka_unit_test(bots),           cmocka_unit_test(people),
        cmocka_unit_test(bodies),         cmocka_unit_test(every_byte),
        cmocka_unit_test(no_host),        cmocka_unit_test(too_long),
        cmocka_unit_test(small_buffers),  cmocka_unit_test(who_has_seen_it),
        cmocka_unit_test(fitted),         cmocka_unit_test(fits_at_the_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
