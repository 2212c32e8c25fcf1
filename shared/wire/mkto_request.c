#include "mkto_request.h"

#define LENGTH_MAX 16 /* of the names below: two words */

struct row {
    char name[LENGTH_MAX + 1]; /* `first` knows its length */
    uint8_t header;
};

/* By length: a server asks about each header of each request, and most are told apart by it. */
/* clang-format off */
#define ROW(name, header) {name, header}

static const struct row rows[] = {
    ROW("DNT", MKTO_HEADER_DNT),
    ROW("X-Moz", MKTO_HEADER_X_MOZ),
    ROW("Accept", MKTO_HEADER_ACCEPT),
    ROW("Cookie", MKTO_HEADER_COOKIE),
    ROW("Origin", MKTO_HEADER_ORIGIN),
    ROW("Referer", MKTO_HEADER_REFERER),
    ROW("Purpose", MKTO_HEADER_PURPOSE),
    ROW("Sec-GPC", MKTO_HEADER_SEC_GPC),
    ROW("X-Purpose", MKTO_HEADER_X_PURPOSE),
    ROW("User-Agent", MKTO_HEADER_USER_AGENT),
    ROW("Sec-Purpose", MKTO_HEADER_SEC_PURPOSE),
    ROW("Content-Type", MKTO_HEADER_CONTENT_TYPE),
    ROW("Authorization", MKTO_HEADER_AUTHORIZATION),
    ROW("If-None-Match", MKTO_HEADER_IF_NONE_MATCH),
    ROW("Sec-Fetch-Dest", MKTO_HEADER_SEC_FETCH_DEST),
    ROW("Sec-Fetch-Mode", MKTO_HEADER_SEC_FETCH_MODE),
    ROW("Sec-Fetch-Site", MKTO_HEADER_SEC_FETCH_SITE),
    ROW("X-Marketo-Hash", MKTO_HEADER_X_MARKETO_HASH),
    ROW("Accept-Language", MKTO_HEADER_ACCEPT_LANGUAGE),
    ROW("Content-Encoding", MKTO_HEADER_CONTENT_ENCODING),
    ROW("X-Requested-With", MKTO_HEADER_X_REQUESTED_WITH),
};
/* clang-format on */

_Static_assert(sizeof(rows) / sizeof(rows[0]) == MKTO_HEADER_COUNT, "a row for each header");

/* The first row of each length; the next one's is its end. */
static const uint8_t first[LENGTH_MAX + 2] = {0, 0, 0,  0,  1,  1,  2,  5,  8,
                                              8, 9, 10, 11, 12, 14, 18, 19, MKTO_HEADER_COUNT};

#define LETTERS UINT64_C(0x4040404040404040) /* set in those of ASCII, and not in '-' */

/* All of a name of up to LENGTH_MAX bytes, each at least once. */
struct words {
    uint64_t front, back;
};

static inline struct words words_of(const char *text, size_t len)
{
    struct words words;
    if (len >= 8) {
        memcpy(&words.front, text, 8);
        memcpy(&words.back, text + len - 8, 8);
        return words;
    }
    if (len >= 4) {
        uint32_t front, back;
        memcpy(&front, text, 4);
        memcpy(&back, text + len - 4, 4);
        words.front = front | (uint64_t)back << 32;
    } else {
        const unsigned char *byte = (const unsigned char *)text;
        words.front = byte[0] | (uint64_t)byte[len / 2] << 8 | (uint64_t)byte[len - 1] << 16;
    }
    words.back = words.front;
    return words;
}

/* But for what tells the case of the known name's letters: of '-' all bits count. */
static inline uint64_t difference(uint64_t name, uint64_t known)
{
    return (name ^ known) & ~((known & LETTERS) >> 1);
}

static inline bool same(struct words name, struct words known)
{
    return (difference(name.front, known.front) | difference(name.back, known.back)) == 0;
}

static inline enum mkto_header find(struct mkto_slice name)
{
    if (name.len == 0 || name.len > LENGTH_MAX || first[name.len] == first[name.len + 1]) {
        return MKTO_HEADER_COUNT;
    }
    const struct words words = words_of(name.data, name.len);
    for (size_t i = first[name.len]; i < first[name.len + 1]; i++) {
        if (same(words, words_of(rows[i].name, name.len))) {
            return (enum mkto_header)rows[i].header;
        }
    }
    return MKTO_HEADER_COUNT;
}

enum mkto_header mkto_header_find(struct mkto_slice name)
{
    return find(name);
}

static bool is_one_of(struct mkto_slice part, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (mkto_slice_is_fold(part, *words)) {
            return true;
        }
    }
    return false;
}

static const char *const *words_of_header(enum mkto_header header)
{
    static const char *const privacy[] = {"1", NULL};
    static const char *const ahead[] = {"prefetch", "prerender", "preview", "instant", NULL};
    switch (header) {
    case MKTO_HEADER_DNT:
    case MKTO_HEADER_SEC_GPC: return privacy;
    case MKTO_HEADER_PURPOSE:
    case MKTO_HEADER_SEC_PURPOSE:
    case MKTO_HEADER_X_MOZ:
    case MKTO_HEADER_X_PURPOSE: return ahead;
    default: return NULL;
    }
}

bool mkto_header_asks(enum mkto_header header, struct mkto_slice value)
{
    const char *const *words = words_of_header(header);
    while (words != NULL && value.len > 0) {
        struct mkto_slice element = mkto_slice_cut(&value, ',');
        while (element.len > 0) {
            if (is_one_of(mkto_slice_trim(mkto_slice_cut(&element, ';')), words)) {
                return true;
            }
        }
    }
    return false;
}

/* Makes room by keeping the one that would be chosen of these: it wins over them later, too. */
static void thin_cookies(struct mkto_request *request)
{
    struct mkto_cookie_pick pick = {.found = false};
    for (size_t i = 0; i < request->cookie_count; i++) {
        const int before = pick.rank;
        mkto_cookie_offer(&pick, request->cookies[i], request->munchkin_id, request->host);
        if (pick.rank > before) {
            request->cookies[0] = request->cookies[i];
        }
    }
    request->cookie_count = pick.found ? 1 : 0;
}

static void note_cookie(struct mkto_request *request, struct mkto_slice value)
{
    if (value.len > MKTO_COOKIE_RAW_MAX) {
        return;
    }
    if (request->cookie_count == MKTO_REQUEST_COOKIES_MAX) {
        thin_cookies(request);
    }
    request->cookies[request->cookie_count++] = value;
}

/* One way through a header that may be long, for both names. */
static void read_cookies(struct mkto_request *request, struct mkto_slice cookies)
{
    const struct mkto_slice visitor = MKTO_SLICE_LIT(MKTO_COOKIE_NAME);
    const struct mkto_slice opt_out = MKTO_SLICE_LIT(MKTO_OPT_OUT_NAME);
    while (cookies.len > 0) {
        const struct mkto_slice cookie = mkto_cookie_next(&cookies);
        struct mkto_slice value;
        if (cookie.len == 0) {
            continue;
        }
        if (cookie.data[0] == visitor.data[0] && mkto_cookie_is(cookie, visitor, &value)) {
            note_cookie(request, value);
        } else if (cookie.data[0] == opt_out.data[0] && mkto_cookie_is(cookie, opt_out, &value)) {
            request->opt_out = request->opt_out || mkto_slice_unquote(value).len > 0;
        }
    }
}

static void note_again(struct mkto_request *request, enum mkto_header header,
                       struct mkto_slice value)
{
    if (header == MKTO_HEADER_CONTENT_TYPE) {
        request->header[header] = MKTO_SLICE_LIT("");
    } else if (header == MKTO_HEADER_ORIGIN || header == MKTO_HEADER_SEC_FETCH_SITE) {
        request->header[header] = MKTO_SLICE_LIT("null");
    } else if (mkto_header_asks(header, value)) {
        request->header[header] = value;
    }
}

void mkto_request_header(struct mkto_request *request, struct mkto_slice name,
                         struct mkto_slice value)
{
    const enum mkto_header header = find(name);
    if (value.data == NULL) {
        value = MKTO_SLICE_LIT("");
    }
    if (header == MKTO_HEADER_COOKIE) {
        read_cookies(request, value);
    } else if (header < MKTO_HEADER_COUNT) {
        if (request->header[header].data == NULL) {
            request->header[header] = value;
        } else {
            note_again(request, header, value);
        }
    }
}

bool mkto_request_is_https(struct mkto_slice said, bool connection)
{
    if (mkto_slice_is_fold(said, "https")) {
        return true;
    }
    return connection && !mkto_slice_is_fold(said, "http");
}

void mkto_request_settle(struct mkto_request *request)
{
    for (size_t i = 0; i < request->cookie_count; i++) {
        mkto_cookie_offer(&request->visitor, request->cookies[i], request->munchkin_id,
                          request->host);
    }
}

void mkto_request_keep(struct mkto_request *request, const struct mkto_cookie *cookie, char *text)
{
    const size_t len = mkto_cookie_format(cookie->id, cookie->token, text, MKTO_COOKIE_MAX);
    request->visitor.found = true;
    request->visitor.best = *cookie;
    request->cookies[0] = (struct mkto_slice){text, len};
    request->cookie_count = 1;
}

struct mkto_slice mkto_request_query(struct mkto_slice url)
{
    struct mkto_slice rest = mkto_slice_cut(&url, '#');
    mkto_slice_cut(&rest, '?');
    return rest;
}

struct mkto_slice mkto_request_parameter(struct mkto_slice query, const char *name)
{
    const size_t len = strlen(name);
    while (query.len > 0) {
        const struct mkto_slice one = mkto_slice_cut(&query, '&');
        if (one.len < len || memcmp(one.data, name, len) != 0) {
            continue;
        }
        if (one.len == len) {
            return MKTO_SLICE_LIT("");
        }
        if (one.data[len] == '=') {
            return (struct mkto_slice){one.data + len + 1, one.len - len - 1};
        }
    }
    return MKTO_SLICE_NONE;
}

/* The id as it came: whose cookie it is, the courier judges. */
static struct mkto_slice visitor_cookie(const struct mkto_request *request, char *out)
{
    if (!request->visitor.found) {
        return MKTO_SLICE_NONE;
    }
    struct mkto_cookie cookie = request->visitor.best;
    if (cookie.id[0] == '\0' && request->munchkin_id.len <= MKTO_COOKIE_ID_MAX &&
        request->munchkin_id.len > 0) {
        memcpy(cookie.id, request->munchkin_id.data, request->munchkin_id.len);
    }
    const size_t len = mkto_cookie_format(cookie.id, cookie.token, out, MKTO_COOKIE_MAX);
    return len == 0 ? MKTO_SLICE_NONE : (struct mkto_slice){out, len};
}

/* Said twice it is said once. */
static struct mkto_slice signal_of(const struct mkto_request *request, enum mkto_header header)
{
    const struct mkto_slice value = request->header[header];
    return mkto_header_asks(header, value) ? MKTO_SLICE_LIT("1") : value;
}

void mkto_request_envelope(const struct mkto_request *request, struct mkto_envelope *envelope,
                           char *cookie)
{
    const struct mkto_slice *header = request->header;
    const bool browser =
        header[MKTO_HEADER_ORIGIN].data != NULL || header[MKTO_HEADER_SEC_FETCH_SITE].data != NULL;
    envelope->flags |= request->https ? (uint32_t)MKTO_ENVELOPE_HTTPS : 0u;
    envelope->flags |= browser ? (uint32_t)MKTO_ENVELOPE_BROWSER : 0u;
    envelope->remote_addr = request->remote_addr;
    envelope->host = request->host;
    envelope->user_agent = header[MKTO_HEADER_USER_AGENT];
    envelope->accept_language = header[MKTO_HEADER_ACCEPT_LANGUAGE];
    envelope->referer = header[MKTO_HEADER_REFERER];
    envelope->origin = header[MKTO_HEADER_ORIGIN];
    envelope->dnt = signal_of(request, MKTO_HEADER_DNT);
    envelope->gpc = signal_of(request, MKTO_HEADER_SEC_GPC);
    envelope->cookie = visitor_cookie(request, cookie);
}
