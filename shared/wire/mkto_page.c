#include "mkto_page.h"

#include <strings.h>

#include "mkto_host.h"
#include "mkto_writer.h"

/*
 * What programs call themselves, in any case: Munchkin's AdsBot, msnbot and Wget, and ours.
 * HeadlessChrome is missing on purpose: it is how sites test themselves. README prints this list
 * ("Page views without JavaScript").
 */
/* clang-format off */
#define WORD(text) {text, sizeof(text) - 1}
#define END {NULL, 0}

static const struct mkto_slice words_a[] = {
    WORD("adsbot"), WORD("ahrefs"), WORD("aiohttp"), WORD("apache-httpclient"), WORD("axios/"),
    END};
static const struct mkto_slice words_b[] = {
    WORD("better uptime"), WORD("bingpreview"), WORD("blackbox exporter"), WORD("bot/"), END};
static const struct mkto_slice words_c[] = {
    WORD("chatgpt-user"), WORD("check_http"), WORD("checkly"), WORD("crawl"), WORD("curl/"), END};
static const struct mkto_slice words_d[] = {WORD("datadog"), END};
static const struct mkto_slice words_e[] = {WORD("elb-healthchecker"), END};
static const struct mkto_slice words_f[] = {
    WORD("facebookcatalog"), WORD("facebookexternalhit"), WORD("feedfetcher"), END};
static const struct mkto_slice words_g[] = {
    WORD("go-http-client"), WORD("google-inspectiontool"), WORD("googlehc/"), WORD("googleother"),
    WORD("gtmetrix"), WORD("guzzlehttp"), END};
static const struct mkto_slice words_h[] = {WORD("httpie"), WORD("httpx/"), END};
static const struct mkto_slice words_i[] = {WORD("ia_archiver"), WORD("insomnia/"), END};
static const struct mkto_slice words_j[] = {WORD("java/"), END};
static const struct mkto_slice words_k[] = {WORD("kube-probe"), END};
static const struct mkto_slice words_l[] = {WORD("libwww"), WORD("lighthouse"), WORD("lwp-"), END};
static const struct mkto_slice words_m[] = {
    WORD("mediapartners-google"), WORD("meta-externalagent"), WORD("meta-externalfetcher"),
    WORD("msnbot"), END};
static const struct mkto_slice words_n[] = {
    WORD("nagios"), WORD("newrelicpinger"), WORD("node-fetch"), END};
static const struct mkto_slice words_o[] = {WORD("okhttp"), END};
static const struct mkto_slice words_p[] = {
    WORD("pagespeed"), WORD("perplexity-user"), WORD("petalbot"), WORD("phantomjs"),
    WORD("pingdom"), WORD("postmanruntime"), WORD("prometheus"), WORD("python-"), END};
static const struct mkto_slice words_s[] = {
    WORD("scrapy"), WORD("semrush"), WORD("site24x7"), WORD("skypeuripreview"), WORD("slackbot"),
    WORD("spider"), WORD("statuscake"), END};
static const struct mkto_slice words_t[] = {WORD("telegrambot"), END};
static const struct mkto_slice words_u[] = {
    WORD("undici"), WORD("uptime-kuma"), WORD("uptimerobot"), END};
static const struct mkto_slice words_w[] = {
    WORD("w3c-checklink"), WORD("w3c_validator"), WORD("wget"), WORD("whatsapp/"), END};
static const struct mkto_slice words_z[] = {WORD("zabbix"), END};

/* By first letter, and the second and third letters that may follow, of "bot" and "slurp", too: a
 * person's user agent costs a look at each three of its letters, and hardly ever more. Other
 * characters share a bit with some letter, which does no harm. */
#define BIT(c) (1u << ((c) & 31))

static const struct {
    const struct mkto_slice *words;
    uint32_t seconds, thirds;
} starts[32] = {
    ['a' & 31] = {words_a, BIT('d') | BIT('h') | BIT('i') | BIT('p') | BIT('x'),
                 BIT('a') | BIT('i') | BIT('o') | BIT('r') | BIT('s')},
    ['b' & 31] = {words_b, BIT('e') | BIT('i') | BIT('l') | BIT('o'),
                 BIT('a') | BIT('n') | BIT('t')},
    ['c' & 31] = {words_c, BIT('h') | BIT('r') | BIT('u'),
                 BIT('a') | BIT('e') | BIT('r')},
    ['d' & 31] = {words_d, BIT('a'),
                 BIT('t')},
    ['e' & 31] = {words_e, BIT('l'),
                 BIT('b')},
    ['f' & 31] = {words_f, BIT('a') | BIT('e'),
                 BIT('c') | BIT('e')},
    ['g' & 31] = {words_g, BIT('o') | BIT('t') | BIT('u'),
                 BIT('m') | BIT('o') | BIT('z') | BIT('-')},
    ['h' & 31] = {words_h, BIT('t'),
                 BIT('t')},
    ['i' & 31] = {words_i, BIT('a') | BIT('n'),
                 BIT('s') | BIT('_')},
    ['j' & 31] = {words_j, BIT('a'),
                 BIT('v')},
    ['k' & 31] = {words_k, BIT('u'),
                 BIT('b')},
    ['l' & 31] = {words_l, BIT('i') | BIT('w'),
                 BIT('b') | BIT('g') | BIT('p')},
    ['m' & 31] = {words_m, BIT('e') | BIT('s'),
                 BIT('d') | BIT('n') | BIT('t')},
    ['n' & 31] = {words_n, BIT('a') | BIT('e') | BIT('o'),
                 BIT('d') | BIT('g') | BIT('w')},
    ['o' & 31] = {words_o, BIT('k'),
                 BIT('h')},
    ['p' & 31] = {words_p, BIT('a') | BIT('e') | BIT('h') | BIT('i') | BIT('o') | BIT('r') |
                         BIT('y'),
                 BIT('a') | BIT('g') | BIT('n') | BIT('o') | BIT('r') | BIT('s') | BIT('t')},
    ['s' & 31] = {words_s, BIT('c') | BIT('e') | BIT('i') | BIT('k') | BIT('l') | BIT('p') |
                         BIT('t'),
                 BIT('a') | BIT('i') | BIT('m') | BIT('r') | BIT('t') | BIT('u') | BIT('y')},
    ['t' & 31] = {words_t, BIT('e'),
                 BIT('l')},
    ['u' & 31] = {words_u, BIT('n') | BIT('p'),
                 BIT('d') | BIT('t')},
    ['w' & 31] = {words_w, BIT('g') | BIT('h') | BIT('3'),
                 BIT('a') | BIT('c') | BIT('e')},
    ['z' & 31] = {words_z, BIT('a'),
                 BIT('b')},
};
/* clang-format on */

static bool contains(struct mkto_slice text, const char *word)
{
    return text.len > 0 && memmem(text.data, text.len, word, strlen(word)) != NULL;
}

static bool starts_with(struct mkto_slice text, const char *word)
{
    const size_t len = strlen(word);
    return text.len >= len && memcmp(text.data, word, len) == 0;
}

static bool begins_with(struct mkto_slice text, struct mkto_slice word)
{
    const size_t last = word.len - 1; /* told apart by it, mostly */
    return text.len >= word.len && ((text.data[last] ^ word.data[last]) & 0x5f) == 0 &&
           strncasecmp(text.data, word.data, word.len) == 0;
}

static bool begins_with_word(struct mkto_slice text)
{
    const struct mkto_slice *word = starts[text.data[0] & 31].words;
    for (; word != NULL && word->data != NULL; word++) {
        if (begins_with(text, *word)) {
            return true;
        }
    }
    return false;
}

bool mkto_page_is_bot(struct mkto_slice user_agent)
{
    bool named = false; /* what makes a program of a Mozilla; its case counts */
    if (mkto_slice_trim(user_agent).len == 0) {
        return true;
    }
    for (size_t i = 0; i + 2 < user_agent.len; i++) {
        const char *at = user_agent.data + i;
        if ((starts[at[0] & 31].seconds & BIT(at[1])) != 0 &&
            (starts[at[0] & 31].thirds & BIT(at[2])) != 0) {
            const struct mkto_slice rest = {at, user_agent.len - i};
            if (begins_with_word(rest)) {
                return true;
            }
            named = named || starts_with(rest, "bot") || starts_with(rest, "slurp");
        }
    }
    return named && contains(user_agent, "Mozilla");
}

/* What is a page view. */

bool mkto_page_is_document(struct mkto_slice content_type)
{
    const struct mkto_slice usual = MKTO_SLICE_LIT("text/html");
    if (content_type.len >= usual.len && memcmp(content_type.data, usual.data, usual.len) == 0 &&
        (content_type.len == usual.len || content_type.data[usual.len] == ';')) {
        return true;
    }
    const struct mkto_slice type = mkto_slice_trim(mkto_slice_cut(&content_type, ';'));
    return mkto_slice_is_fold(type, "text/html") ||
           mkto_slice_is_fold(type, "application/xhtml+xml");
}

/* application/x-httpd-php, text/x-perl: what the type of a program is, its answer need not be. */
static bool names_program(struct mkto_slice type)
{
    return begins_with(type, MKTO_SLICE_LIT("application/x-")) ||
           begins_with(type, MKTO_SLICE_LIT("text/x-"));
}

/* A 304 hardly ever says its type. */
static bool may_be_document(const struct mkto_page_response *response)
{
    const struct mkto_slice type =
        response->content_type.len > 0 ? response->content_type : response->mapped_type;
    return type.len == 0 || mkto_page_is_document(type) || names_program(type);
}

/* Of several lines that a server shows as one the first counts. */
static bool is_document_dest(struct mkto_slice dest)
{
    return mkto_slice_is(dest, "document") ||
           mkto_slice_is(mkto_slice_trim(mkto_slice_cut(&dest, ',')), "document");
}

/* A service worker that passes a navigation on makes its Dest empty; no script can make a Mode of
 * navigate. */
static bool is_navigation(const struct mkto_request *request, struct mkto_slice dest)
{
    return is_document_dest(dest) ||
           (mkto_slice_is(dest, "empty") &&
            mkto_slice_is(request->header[MKTO_HEADER_SEC_FETCH_MODE], "navigate"));
}

/* Browsers without Sec-Fetch, and all of them on plain http, tell a page from a script's piece of
 * HTML by Accept alone. To Sec-Fetch-Dest an image in a tab is a document, too. */
static bool asks_for_document(const struct mkto_request *request, bool when_silent)
{
    const struct mkto_slice dest = request->header[MKTO_HEADER_SEC_FETCH_DEST];
    const struct mkto_slice accept = request->header[MKTO_HEADER_ACCEPT];
    if (dest.len > 0) {
        return is_navigation(request, dest);
    }
    return accept.len > 0 ? contains(accept, "text/html") : when_silent;
}

static bool shows_page(const struct mkto_request *request,
                       const struct mkto_page_response *response)
{
    if (!mkto_slice_is(request->method, "GET")) {
        return false;
    }
    return response->status == 304
               ? may_be_document(response) && asks_for_document(request, false)
               : response->status == 200 && mkto_page_is_document(response->content_type);
}

/* An Android web view sends the name of its app as X-Requested-With with each page: it has a dot.
 */
static bool is_script(const struct mkto_request *request)
{
    const struct mkto_slice with = request->header[MKTO_HEADER_X_REQUESTED_WITH];
    return !asks_for_document(request, true) ||
           (with.len > 0 && memchr(with.data, '.', with.len) == NULL);
}

static bool is_ahead_of_time(const struct mkto_request *request)
{
    static const enum mkto_header headers[] = {MKTO_HEADER_SEC_PURPOSE, MKTO_HEADER_PURPOSE,
                                               MKTO_HEADER_X_PURPOSE, MKTO_HEADER_X_MOZ};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        const struct mkto_slice value = request->header[headers[i]];
        if (value.len > 0 && mkto_header_asks(headers[i], value)) {
            return true;
        }
    }
    return false;
}

bool mkto_page_judge(const struct mkto_request *request, const struct mkto_page_response *response,
                     enum mkto_skip *skip)
{
    *skip = MKTO_SKIP_NONE;
    if (!shows_page(request, response)) {
        return false;
    }
    if (is_ahead_of_time(request)) {
        *skip = MKTO_SKIP_PREFETCH;
        return false;
    }
    return !is_script(request);
}

enum mkto_skip mkto_page_visitor(const struct mkto_request *request, enum mkto_skip privacy)
{
    if (mkto_page_is_bot(request->header[MKTO_HEADER_USER_AGENT])) {
        return MKTO_SKIP_BOT;
    }
    if (privacy != MKTO_SKIP_NONE) {
        return privacy;
    }
    return request->visitor.found ? MKTO_SKIP_NONE : MKTO_SKIP_NO_VISITOR;
}

/* Its event. */

static struct mkto_slice before(struct mkto_slice text, char c)
{
    return mkto_slice_cut(&text, c);
}

/* Path and query of what stands in the request line, which may be a whole URL. */
static struct mkto_slice path_of(struct mkto_slice uri)
{
    const struct mkto_slice host = mkto_host_of_url(uri);
    if (host.len > 0) {
        const char *end = host.data + host.len;
        uri = (struct mkto_slice){end, (size_t)(uri.data + uri.len - end)};
    }
    return before(uri, '#');
}

static size_t write_body(const struct mkto_request *request, struct mkto_slice path,
                         struct mkto_slice referrer, char *out, size_t size)
{
    struct mkto_writer writer = {out, size, 0};
    mkto_writer_put(&writer, MKTO_SLICE_LIT("{\"properties\":{\"url\":\""));
    mkto_writer_put(&writer,
                    request->https ? MKTO_SLICE_LIT("https://") : MKTO_SLICE_LIT("http://"));
    mkto_writer_put(&writer, request->host);
    if (path.len == 0 || path.data[0] != '/') {
        mkto_writer_put(&writer, MKTO_SLICE_LIT("/"));
    }
    mkto_writer_put_encoded(&writer, path, &mkto_writer_url);
    if (referrer.len > 0) {
        mkto_writer_put(&writer, MKTO_SLICE_LIT("\",\"referrer\":\""));
        mkto_writer_put_encoded(&writer, referrer, &mkto_writer_url);
    }
    mkto_writer_put(&writer, MKTO_SLICE_LIT("\"}}"));
    return writer.len <= size ? writer.len : 0;
}

/* What is tried one after the other until it fits. */
struct attempt {
    struct mkto_slice path, referrer;
};

#define ATTEMPTS 4

static void list_attempts(struct mkto_slice uri, struct mkto_slice referrer,
                          struct attempt attempts[ATTEMPTS])
{
    const struct mkto_slice path = path_of(uri);
    referrer = before(referrer, '#');
    attempts[0] = (struct attempt){path, referrer};
    attempts[1] = (struct attempt){path, before(referrer, '?')};
    attempts[2] = (struct attempt){before(path, '?'), before(referrer, '?')};
    attempts[3] = (struct attempt){before(path, '?'), MKTO_SLICE_NONE};
}

size_t mkto_page_body(const struct mkto_request *request, char *out, size_t size)
{
    struct attempt attempts[ATTEMPTS];
    size_t len = 0;
    if (!mkto_host_is_clean(request->host)) {
        return 0;
    }
    size = size < MKTO_PAGE_BODY_MAX ? size : MKTO_PAGE_BODY_MAX;
    list_attempts(request->uri, request->header[MKTO_HEADER_REFERER], attempts);
    for (size_t i = 0; i < ATTEMPTS && len == 0; i++) {
        len = write_body(request, attempts[i].path, attempts[i].referrer, out, size);
    }
    return len;
}

bool mkto_page_fit(struct mkto_slice *uri, struct mkto_slice *referrer)
{
    struct attempt attempts[ATTEMPTS];
    if (uri->len + referrer->len <= MKTO_PAGE_BODY_MAX) { /* nearly always */
        return true;
    }
    list_attempts(*uri, *referrer, attempts);
    for (size_t i = 0; i < ATTEMPTS; i++) {
        if (attempts[i].path.len + attempts[i].referrer.len <= MKTO_PAGE_BODY_MAX) {
            *uri = attempts[i].path;
            *referrer = attempts[i].referrer;
            return true;
        }
    }
    return false;
}
