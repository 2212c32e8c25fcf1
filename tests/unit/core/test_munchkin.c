/* mkto_munchkin: the golden URLs of the contract, byte for byte; JavaScript's encoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "mkto_munchkin.h"

#define BASE "https://561-HYG-937.mktoresp.com/webevents/visitWebPage?"
#define CLICK "https://561-HYG-937.mktoresp.com/webevents/clickLink?"
#define NC "_mchNc=1700000000000"
#define ID_TK "&_mchId=561-HYG-937&_mchTk=_mch-example.com-1374552656411-90718"
#define HO_PO "&_mchHo=www.example.com&_mchPo="
#define GOOGLE "https://www.google.com/search?q=a%20b&x=1"
#define GOOGLE_RE "&_mchRe=https%3A%2F%2Fwww.google.com%2Fsearch%3Fq%3Da%20b%26x%3D1"

static const struct mkto_subscription subscription = {
    .name = "",
    .munchkin_id = "561-HYG-937",
    .munchkin_endpoint = "https://561-HYG-937.mktoresp.com",
};

static const struct mkto_subscription recorded = {
    .name = "",
    .munchkin_id = "356-YFG-389",
    .munchkin_endpoint = "https://356-yfg-389.mktoresp.com",
};

static struct mkto_visit page(const char *path, const char *query)
{
    return (struct mkto_visit){.token = "_mch-example.com-1374552656411-90718",
                               .scheme = "https:",
                               .host = "www.example.com",
                               .port = "",
                               .path = path,
                               .query = query,
                               .hash = "",
                               .referrer = "",
                               .at_ms = 1700000000000};
}

static int setup(void **state)
{
    apr_initialize();
    apr_pool_t *pool;
    if (apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return -1;
    }
    *state = pool;
    return 0;
}

static int teardown(void **state)
{
    apr_pool_destroy(*state);
    apr_terminate();
    return 0;
}

static const char *url_of(const struct mkto_visit *visit, void **state)
{
    struct mkto_http_request request;

    mkto_munchkin_visit(&subscription, visit, &request, *state);
    assert_string_equal(request.method, "POST");
    assert_null(request.body.data);
    return request.url;
}

/* The value of a parameter as it stands in a URL. */
static const char *param_of(const char *url, const char *name, void **state)
{
    const char *at = strstr(url, apr_pstrcat(*state, "&", name, "=", NULL));

    assert_non_null(at);
    at += strlen(name) + 2;
    return apr_pstrndup(*state, at, strcspn(at, "&"));
}

static void g1_page_load(void **state)
{
    struct mkto_visit visit = page("/pricing", "utm_source=news&plan=pro%20plus");
    visit.hash = "#faq";
    visit.referrer = GOOGLE;

    assert_string_equal(
        url_of(&visit, state),
        BASE NC "&_mchCn=" ID_TK HO_PO "&_mchRu=%2Fpricing&_mchPc=https%3A&_mchVr=164&_mchEcid="
                "&_mchHa=%23faq" GOOGLE_RE "&_mchQp=utm_source%3Dnews__-__plan%3Dpro%20plus");
}

static void g2_bare_root(void **state)
{
    struct mkto_visit visit = page("/", "");

    assert_string_equal(url_of(&visit, state),
                        BASE NC "&_mchCn=" ID_TK HO_PO
                                "&_mchRu=%2F&_mchPc=https%3A&_mchVr=164&_mchEcid=&_mchHa=&_mchRe="
                                "&_mchQp=");
}

/* As a browser with Munchkin 164 was recorded sending it (contract A3, "ground truth"). */
static void as_recorded(void **state)
{
    struct mkto_visit visit = page("/", "");
    struct mkto_http_request request;
    visit.host = "k6.io";
    visit.token = "_mch-k6.io-85eeb125bfe067a6385b1724380af3c4";
    visit.at_ms = 1741098586131;
    mkto_munchkin_visit(&recorded, &visit, &request, *state);
    assert_string_equal(request.url,
                        "https://356-yfg-389.mktoresp.com/webevents/visitWebPage?"
                        "_mchNc=1741098586131&_mchCn=&_mchId=356-YFG-389"
                        "&_mchTk=_mch-k6.io-85eeb125bfe067a6385b1724380af3c4&_mchHo=k6.io&_mchPo="
                        "&_mchRu=%2F&_mchPc=https%3A&_mchVr=164&_mchEcid=&_mchHa=&_mchRe=&_mchQp=");
}

/* Munchkin 161 in a workspace, as far as the recording is known (contract A3). */
static void as_recorded_in_a_workspace(void **state)
{
    struct mkto_visit visit = page("/", "cc=nz&pb=AKL&");
    visit.token = "_mch-mightycampers.com-1660178856087-19976";
    visit.host = "booking.mightycampers.com";
    visit.workspace = "jFRQ";
    const char *url = url_of(&visit, state);

    assert_non_null(strstr(url, "&_mchTk=_mch-mightycampers.com-1660178856087-19976&_mchWs=jFRQ"
                                "&_mchHo=booking.mightycampers.com&"));
    assert_non_null(strstr(url, "&_mchQp=cc%3Dnz__-__pb%3DAKL__-__"));
}

static void g3_api_visit(void **state)
{
    struct mkto_visit visit = page("/Football/Team/Seahawks", "defense=legion_of_boom&qb=wilson");
    visit.api = true;
    visit.referrer = GOOGLE;

    assert_string_equal(url_of(&visit, state),
                        BASE NC "&_mchRu=%2FFootball%2FTeam%2FSeahawks"
                                "&_mchQp=defense%3Dlegion_of_boom%26qb%3Dwilson" ID_TK HO_PO
                                "&_mchPc=https%3A&_mchVr=164&_mchEcid=" GOOGLE_RE);
}

static void g4_track(void **state)
{
    struct mkto_visit visit = page("/event/Signed-Up", "plan=Pro%20Plus&seats=5&");
    visit.api = true;
    visit.name = "n";
    visit.referrer = GOOGLE;

    assert_string_equal(url_of(&visit, state),
                        BASE NC "&_mchRu=%2Fevent%2FSigned-Up"
                                "&_mchQp=plan%3DPro%2520Plus%26seats%3D5%26&_mchCn=n" ID_TK HO_PO
                                "&_mchPc=https%3A&_mchVr=164&_mchEcid=" GOOGLE_RE);
}

static void g5_api_click(void **state)
{
    struct mkto_visit visit = page("/pricing", "utm_source=news&plan=pro%20plus");
    visit.api = true;
    visit.href = "/Football/Team/Seahawks";
    visit.hash = "#faq";
    visit.referrer = GOOGLE;

    assert_string_equal(url_of(&visit, state),
                        CLICK NC "&_mchLr=%2FFootball%2FTeam%2FSeahawks"
                                 "&_mchHr=%2FFootball%2FTeam%2FSeahawks" ID_TK "&_mchCn=" HO_PO
                                 "&_mchRu=%2Fpricing&_mchPc=https%3A&_mchVr=164&_mchEcid=&");
}

/* As a browser with Munchkin 164 was recorded sending it (contract A3, "ground truth"). */
static void click_as_recorded(void **state)
{
    struct mkto_visit visit = page("/", "");
    struct mkto_http_request request;
    visit.host = "k6.io";
    visit.token = "_mch-k6.io-bf2d5c251532b11a405661707033a82";
    visit.at_ms = 1746123944793;
    visit.href = "https://grafana.com/docs/k6/latest";
    mkto_munchkin_visit(&recorded, &visit, &request, *state);
    assert_string_equal(request.url,
                        "https://356-yfg-389.mktoresp.com/webevents/clickLink?"
                        "_mchNc=1746123944793&_mchHr=https%3A%2F%2Fgrafana.com%2Fdocs%2Fk6%2Flatest"
                        "&_mchId=356-YFG-389&_mchTk=_mch-k6.io-bf2d5c251532b11a405661707033a82"
                        "&_mchCn=&_mchHo=k6.io&_mchPo=&_mchRu=%2F&_mchPc=https%3A&_mchVr=164"
                        "&_mchEcid=&");
}

/* A real click's link is decoded first, one by API is sent as it is (contract A3, table). */
static void click_links_are_coded(void **state)
{
    static const char *const rows[][3] = {
        {"https://x.org/a%20b?q=%C3%A4&r=1", "https%3A%2F%2Fx.org%2Fa%20b%3Fq%3D%C3%A4%26r%3D1",
         "https%3A%2F%2Fx.org%2Fa%2520b%3Fq%3D%25C3%25A4%26r%3D1"},
        {"https://x.org/%zz", "https%3A%2F%2Fx.org%2F%25zz", "https%3A%2F%2Fx.org%2F%25zz"},
        {"mailto:a@x.org", "mailto%3Aa%40x.org", "mailto%3Aa%40x.org"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_visit visit = page("/a%20b", "");
        visit.href = rows[i][0];
        const char *url = url_of(&visit, state);
        assert_string_equal(param_of(url, "_mchHr", state), rows[i][1]);
        assert_string_equal(param_of(url, "_mchRu", state), "%2Fa%20b");
        assert_null(strstr(url, "_mchLr"));
        visit.api = true;
        url = url_of(&visit, state);
        assert_string_equal(param_of(url, "_mchLr", state), rows[i][2]);
        assert_string_equal(param_of(url, "_mchHr", state), rows[i][2]);
        assert_string_equal(param_of(url, "_mchRu", state), "%2Fa%20b");
    }
}

/* All that a click can have beside it, in its order. */
static void click_options(void **state)
{
    struct mkto_visit visit = page("/", "mkt_tok=T1");
    visit.href = "/x";
    visit.port = "8443";
    visit.name = "n";
    visit.workspace = "jFRQ";
    visit.external_source = "mod_marketo/1";
    visit.anonymize = true;

    for (int api = 0; api < 2; api++) {
        visit.api = api == 1;
        assert_string_equal(url_of(&visit, state),
                            apr_pstrcat(*state, CLICK NC, api == 1 ? "&_mchLr=%2Fx" : "",
                                        "&_mchHr=%2Fx" ID_TK
                                        "&mkt_tok=T1&_mchWs=jFRQ&_mchCn=n" HO_PO
                                        "8443&_mchRu=%2F&_mchPc=https%3A&_mchVr=164&aip=1"
                                        "&_mchEs=mod_marketo%2F1&_mchEcid=&",
                                        NULL));
    }
}

static void g6_options(void **state)
{
    struct mkto_visit visit = page("/a b/%E4%B8%AD", "x=%zz&y=1");
    visit.port = "8443";
    visit.workspace = "jFRQ";
    visit.external_source = "mod_marketo/1";
    visit.anonymize = true;

    assert_string_equal(url_of(&visit, state),
                        BASE NC "&_mchCn=" ID_TK "&_mchWs=jFRQ" HO_PO
                                "8443&_mchRu=%2Fa%20b%2F%E4%B8%AD&_mchPc=https%3A&_mchVr=164&aip=1"
                                "&_mchEs=mod_marketo%2F1&_mchEcid=&_mchHa=&_mchRe="
                                "&_mchQp=x%3D%25zz__-__y%3D1");
}

static void g7_mail_click(void **state)
{
    struct mkto_visit visit = page("/", "mkt_tok=eyJpIjoi%3D");

    assert_string_equal(url_of(&visit, state),
                        BASE NC "&_mchCn=" ID_TK "&mkt_tok=eyJpIjoi%3D" HO_PO
                                "&_mchRu=%2F&_mchPc=https%3A&_mchVr=164&_mchEcid=&_mchHa=&_mchRe="
                                "&_mchQp=mkt_tok%3DeyJpIjoi%3D");
}

static void g8_encoding_edges(void **state)
{
    static const char *const rows[][4] = {
        {"/a%20b", "q=a+b&r=x%26y&s=%2B", "%2Fa%20b", "q%3Da%2Bb__-__r%3Dx%26y__-__s%3D%2B"},
        {"/a%20b", "q=a+b&r=x%26y&s=%2B&u=%C3%28", "%2Fa%20b",
         "q%3Da%2Bb__-__r%3Dx%2526y__-__s%3D%252B__-__u%3D%25C3%2528"},
        {"/~u/(x)!*'._-", "", "%2F~u%2F(x)!*'._-", ""},
        {"/100%/x", "", "%2F100%25%2Fx", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_visit visit = page(rows[i][0], rows[i][1]);
        const char *url = url_of(&visit, state);
        assert_string_equal(param_of(url, "_mchRu", state), rows[i][2]);
        assert_string_equal(param_of(url, "_mchQp", state), rows[i][3]);
    }
}

static void absent_parts(void **state)
{
    struct mkto_visit visit = {.token = "_mch-x-1", .at_ms = 1};

    assert_string_equal(url_of(&visit, state),
                        BASE "_mchNc=1&_mchCn=&_mchId=561-HYG-937&_mchTk=_mch-x-1&_mchHo=&_mchPo="
                             "&_mchRu=%2F&_mchPc=https%3A&_mchVr=164&_mchEcid=&_mchHa=&_mchRe="
                             "&_mchQp=");
    visit.api = true;
    assert_string_equal(url_of(&visit, state),
                        BASE "_mchNc=1&_mchId=561-HYG-937&_mchTk=_mch-x-1&_mchHo=&_mchPo="
                             "&_mchRu=%2F&_mchPc=https%3A&_mchVr=164&_mchEcid=&_mchRe=");
}

static void mail_token_found(void **state)
{
    static const struct {
        bool api;
        const char *query;
        const char *referrer;
        const char *token; /* NULL: none */
    } rows[] = {
        {false, "a=b&mkt_tok=T1&c=d", "", "T1"},
        {false, "mkt_tok=%zz", "", "%25zz"},
        {false, "mkt_tok=&a=b", "", NULL},
        {false, "xmkt_tok=1", "", NULL},
        {false, "a=1", "https://go.example.com/?mkt_tok=T2#x", "T2"},
        {false, "mkt_tok=T1", "https://go.example.com/?mkt_tok=T2", "T1"},
        {true, "mkt_tok=T1", "", NULL},
        {true, "", "https://go.example.com/?mkt_tok=T2", "T2"},
        {false, "", "https://go.example.com/mkt_tok=T2", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_visit visit = page("/", rows[i].query);
        visit.api = rows[i].api;
        visit.referrer = rows[i].referrer;
        const char *url = url_of(&visit, state);
        if (rows[i].token == NULL) {
            assert_null(strstr(url, "&mkt_tok="));
        } else {
            assert_string_equal(param_of(url, "mkt_tok", state), rows[i].token);
        }
    }
}

static void encode_is_javascripts(void **state)
{
    char ascii[128];
    for (int i = 1; i < 128; i++) {
        ascii[i - 1] = (char)i;
    }

    assert_string_equal(
        mkto_munchkin_encode((struct mkto_slice){ascii, 127}, *state),
        "%01%02%03%04%05%06%07%08%09%0A%0B%0C%0D%0E%0F%10%11%12%13%14%15%16%17%18%19%1A%1B%1C%1D"
        "%1E%1F%20!%22%23%24%25%26'()*%2B%2C-.%2F0123456789%3A%3B%3C%3D%3E%3F%40"
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ%5B%5C%5D%5E_%60abcdefghijklmnopqrstuvwxyz%7B%7C%7D~%7F");
    assert_string_equal(mkto_munchkin_encode(MKTO_SLICE_LIT("\0"), *state), "%00");
    assert_string_equal(
        mkto_munchkin_encode(MKTO_SLICE_LIT("jos\xc3\xa9 \xe4\xb8\xad \xf0\x9f\x98\x80"), *state),
        "jos%C3%A9%20%E4%B8%AD%20%F0%9F%98%80");
    assert_string_equal(mkto_munchkin_encode(MKTO_SLICE_NONE, *state), "");
}

/* Right column: encodeURIComponent of the decode-safe text, as a JavaScript engine gave it. */
static void recode_is_decode_safe(void **state)
{
    static const char *const rows[][2] = {
        {"a%20b", "a%20b"},
        {"100%", "100%25"},
        {"%E4%B8%AD", "%E4%B8%AD"},
        {"%e4%b8%ad", "%E4%B8%AD"},
        {"%C3%28", "%25C3%2528"},
        {"%C0%80", "%25C0%2580"},
        {"%ED%A0%80", "%25ED%25A0%2580"},
        {"%F4%90%80%80", "%25F4%2590%2580%2580"},
        {"%F0%9F%98%80", "%F0%9F%98%80"},
        {"%E4%B8", "%25E4%25B8"},
        {"%E4%B8x", "%25E4%25B8x"},
        {"%41%zz?c=%zz", "%2541%25zz%3Fc%3D%25zz"},
        {"%41?c=%zz", "A%3Fc%3D%25zz"},
        {"%20?x=%", "%20%3Fx%3D%25"},
        {"?%zz", "%3F%25zz"},
        {"%zz?%20", "%25zz%3F%2520"},
        {"%00", "%00"},
        {"%C3\xc3\xa9", "%25C3%C3%A9"},
        {"\xc3\xa9%20", "%C3%A9%20"},
        {"%%20", "%25%2520"},
        {"%2", "%252"},
        {"%", "%25"},
        {"%25zz", "%25zz"},
        {"%2525", "%2525"},
        {"%F8%88%80%80%80", "%25F8%2588%2580%2580%2580"},
        {"%80", "%2580"},
        {"a%EF%BF%BFb", "a%EF%BF%BFb"},
        {"x?y?%20%", "x%3Fy%3F%2520%25"},
        {"%E4%B8%AD?%zz", "%E4%B8%AD%3F%25zz"},
        {"", ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(mkto_munchkin_recode(mkto_slice_str(rows[i][0]), *state), rows[i][1]);
    }
}

static const char *header_of(const struct mkto_http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcmp(request->headers[i].name, name) == 0) {
            return request->headers[i].value;
        }
    }
    return NULL;
}

static void headers_go_along(void **state)
{
    struct mkto_visit visit = page("/", "");
    struct mkto_http_request request;
    visit.user_agent = "Mozilla/5.0 (X11)";
    visit.accept_language = "de-AT,de;q=0.8";
    visit.dnt = "1";
    visit.gpc = "1";
    visit.remote_addr = "2001:db8::1";

    mkto_munchkin_visit(&subscription, &visit, &request, *state);
    assert_int_equal(request.header_count, 6);
    assert_string_equal(header_of(&request, "User-Agent"), "Mozilla/5.0 (X11)");
    assert_string_equal(header_of(&request, "Accept"), "*/*");
    assert_string_equal(header_of(&request, "Accept-Language"), "de-AT,de;q=0.8");
    assert_string_equal(header_of(&request, "DNT"), "1");
    assert_string_equal(header_of(&request, "Sec-GPC"), "1");
    assert_string_equal(header_of(&request, "X-Forwarded-For"), "2001:db8::1");
}

static void headers_are_clean(void **state)
{
    struct mkto_visit visit = page("/", "");
    struct mkto_http_request request;
    visit.user_agent = "a\r\nX-Evil: 1\x7f\tb\r\n";
    visit.accept_language = " \r\n ";
    visit.remote_addr = "1.2.3.4, 5.6.7.8";

    mkto_munchkin_visit(&subscription, &visit, &request, *state);
    assert_string_equal(header_of(&request, "User-Agent"), "a  X-Evil: 1  b");
    assert_null(header_of(&request, "Accept-Language"));
    assert_null(header_of(&request, "X-Forwarded-For"));
    assert_null(header_of(&request, "DNT"));
}

static const char *letters(size_t count, void **state)
{
    char *text = apr_palloc(*state, count + 1);
    memset(text, 'a', count);
    text[count] = '\0';
    return text;
}

static void header_limit(void **state)
{
    struct mkto_visit visit = page("/", "");
    struct mkto_http_request request;

    visit.user_agent = letters(MKTO_MUNCHKIN_HEADER_MAX, state);
    mkto_munchkin_visit(&subscription, &visit, &request, *state);
    assert_int_equal(strlen(header_of(&request, "User-Agent")), MKTO_MUNCHKIN_HEADER_MAX);
    visit.user_agent = letters(MKTO_MUNCHKIN_HEADER_MAX + 1, state);
    mkto_munchkin_visit(&subscription, &visit, &request, *state);
    assert_int_equal(strlen(header_of(&request, "User-Agent")), MKTO_MUNCHKIN_HEADER_MAX);
}

static void url_limit(void **state)
{
    struct mkto_visit visit = page("/", "q=1");
    size_t room = MKTO_MUNCHKIN_URL_MAX - strlen(url_of(&visit, state));

    visit.referrer = letters(room, state);
    assert_int_equal(strlen(url_of(&visit, state)), MKTO_MUNCHKIN_URL_MAX);
    assert_string_equal(param_of(url_of(&visit, state), "_mchRe", state), visit.referrer);
    visit.referrer = letters(room + 1, state);
    assert_int_equal(strlen(url_of(&visit, state)), MKTO_MUNCHKIN_URL_MAX);
    assert_string_equal(param_of(url_of(&visit, state), "_mchQp", state), "q%3D1");
}

/* A cut never leaves half an escape, nor half a character. */
static void cut_at_whole_characters(void **state)
{
    for (size_t shift = 0; shift < 12; shift++) {
        struct mkto_visit visit = page("/", "");
        char *text = apr_palloc(*state, shift + 4 * 3000 + 1);
        memset(text, 'x', shift);
        for (size_t i = 0; i < 3000; i++) {
            memcpy(text + shift + 4 * i, "\xf0\x9f\x98\x80", 4);
        }
        text[shift + 4 * 3000] = '\0';
        visit.referrer = text;
        const char *url = url_of(&visit, state);
        assert_in_range(strlen(url), MKTO_MUNCHKIN_URL_MAX - 11, MKTO_MUNCHKIN_URL_MAX);
        const char *value = param_of(url, "_mchRe", state);
        assert_int_equal((strlen(value) - shift) % 12, 0);
    }
}

/* A link is cut before the page's path, and both copies of one alike. */
static void link_limit(void **state)
{
    for (int api = 0; api < 2; api++) {
        struct mkto_visit visit = page("/pricing", "");
        visit.api = api == 1;
        visit.href = "";
        size_t room = (MKTO_MUNCHKIN_URL_MAX - strlen(url_of(&visit, state))) / (size_t)(api + 1);
        for (size_t over = 0; over < 4; over++) {
            visit.href = letters(room + over, state);
            const char *url = url_of(&visit, state);
            assert_in_range(strlen(url), MKTO_MUNCHKIN_URL_MAX - 1, MKTO_MUNCHKIN_URL_MAX);
            assert_string_equal(param_of(url, "_mchHr", state), letters(room, state));
            assert_string_equal(param_of(url, "_mchRu", state), "%2Fpricing");
            assert_int_equal(url[strlen(url) - 1], '&');
            if (visit.api) {
                assert_string_equal(param_of(url, "_mchLr", state), letters(room, state));
            }
        }
    }
}

static void everything_can_be_too_long(void **state)
{
    struct mkto_visit visit = page(letters(9000, state), letters(9000, state));
    visit.hash = letters(9000, state);
    visit.referrer = letters(9000, state);

    const char *url = url_of(&visit, state);
    assert_int_equal(strlen(url), MKTO_MUNCHKIN_URL_MAX);
    assert_string_equal(param_of(url, "_mchRe", state), "");
    assert_string_equal(param_of(url, "_mchQp", state), "");
    assert_string_equal(param_of(url, "_mchHa", state), "");
    visit.host = letters(9000, state);
    visit.workspace = letters(9000, state);
    visit.name = letters(9000, state);
    assert_int_equal(strlen(url_of(&visit, state)), MKTO_MUNCHKIN_URL_MAX);
    visit.api = true;
    assert_int_equal(strlen(url_of(&visit, state)), MKTO_MUNCHKIN_URL_MAX);
    visit.href = letters(9000, state);
    assert_in_range(strlen(url_of(&visit, state)), MKTO_MUNCHKIN_URL_MAX - 2,
                    MKTO_MUNCHKIN_URL_MAX);
    visit.api = false;
    assert_in_range(strlen(url_of(&visit, state)), MKTO_MUNCHKIN_URL_MAX - 2,
                    MKTO_MUNCHKIN_URL_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(g1_page_load),
        cmocka_unit_test(g2_bare_root),
        cmocka_unit_test(as_recorded),
        cmocka_unit_test(as_recorded_in_a_workspace),
        cmocka_unit_test(g3_api_visit),
        cmocka_unit_test(g4_track),
        cmocka_unit_test(g5_api_click),
        cmocka_unit_test(click_as_recorded),
        cmocka_unit_test(click_links_are_coded),
        cmocka_unit_test(click_options),
        cmocka_unit_test(g6_options),
        cmocka_unit_test(g7_mail_click),
        cmocka_unit_test(g8_encoding_edges),
        cmocka_unit_test(absent_parts),
        cmocka_unit_test(mail_token_found),
        cmocka_unit_test(encode_is_javascripts),
        cmocka_unit_test(recode_is_decode_safe),
        cmocka_unit_test(headers_go_along),
        cmocka_unit_test(headers_are_clean),
        cmocka_unit_test(header_limit),
        cmocka_unit_test(url_limit),
        cmocka_unit_test(cut_at_whole_characters),
        cmocka_unit_test(link_limit),
        cmocka_unit_test(everything_can_be_too_long),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
