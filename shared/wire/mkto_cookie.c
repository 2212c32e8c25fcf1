#include "mkto_cookie.h"

#include <string.h>

#include "mkto_host.h"
#include "mkto_writer.h"

#define HEX_MIN 4  /* digits of a token's last part: four words without leading zeros … */
#define HEX_MAX 32 /* … of up to eight digits each */
#define RANDOM_DIGITS 5
#define TOKEN_PREFIX "_mch-"

#define RANK_PARSED 1  /* a cookie of some kind */
#define RANK_OURS 1000 /* our id, and a domain that covers the host; less its length */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool has(struct mkto_slice s, char c)
{
    return s.len > 0 && memchr(s.data, c, s.len) != NULL;
}

static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Percent-decodes; with a malformed escape the text stays as it is, as Munchkin does it. Returns
 * the length, or -1 when it does not fit. */
static long decode(struct mkto_slice in, char *out, size_t size)
{
    if (in.len > size) {
        return -1;
    }
    size_t len = 0;
    for (size_t i = 0; i < in.len; i++) {
        if (in.data[i] != '%') {
            out[len++] = in.data[i];
            continue;
        }
        const int high = i + 2 < in.len ? hex_value(in.data[i + 1]) : -1;
        const int low = i + 2 < in.len ? hex_value(in.data[i + 2]) : -1;
        if (high < 0 || low < 0) {
            memcpy(out, in.data, in.len);
            return (long)in.len;
        }
        out[len++] = (char)(high * 16 + low);
        i += 2;
    }
    return (long)len;
}

/* What goes into a cookie, a URL and a log of Marketo's: printable, and nothing that could end a
 * cookie or a header early. */
static bool is_clean(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~' || text[i] == ';' || text[i] == ',') {
            return false;
        }
    }
    return true;
}

/* Decodes one part into a string of at most max bytes. false when it is too long or unclean. */
static bool take_part(struct mkto_slice raw, char *out, size_t max)
{
    char buffer[MKTO_COOKIE_RAW_MAX];
    if (!has(raw, '%')) { /* nearly always */
        if (raw.len > max || !is_clean(raw.data, raw.len)) {
            return false;
        }
        if (raw.len > 0) {
            memcpy(out, raw.data, raw.len);
        }
        out[raw.len] = '\0';
        return true;
    }
    const long len = decode(raw, buffer, sizeof(buffer));
    if (len < 0 || (size_t)len > max || !is_clean(buffer, (size_t)len)) {
        return false;
    }
    memcpy(out, buffer, (size_t)len);
    out[len] = '\0';
    return true;
}

struct parts {
    struct mkto_slice id, token; /* as received; absent when not there */
};

static struct parts split(struct mkto_slice value, char separator)
{
    struct parts parts = {MKTO_SLICE_NONE, MKTO_SLICE_NONE};
    while (value.len > 0) {
        struct mkto_slice part = mkto_slice_cut(&value, '&');
        if (!has(part, separator)) {
            continue;
        }
        const struct mkto_slice key = mkto_slice_trim(mkto_slice_cut(&part, separator));
        if (part.data == NULL) {
            part = (struct mkto_slice){"", 0};
        }
        if (mkto_slice_is(key, "id")) {
            parts.id = mkto_slice_trim(part);
        } else if (mkto_slice_is(key, "token")) {
            parts.token = mkto_slice_trim(part);
        }
    }
    return parts;
}

static int parse_raw(struct mkto_slice value, struct mkto_cookie *cookie)
{
    struct parts parts = split(value, '=');
    if (parts.id.data == NULL || parts.token.data == NULL) {
        parts = split(value, ':');
    }
    if (parts.token.len == 0) {
        return -1;
    }
    if (!take_part(parts.token, cookie->token, MKTO_COOKIE_TOKEN_MAX) ||
        !take_part(parts.id, cookie->id, MKTO_COOKIE_ID_MAX)) {
        memset(cookie, 0, sizeof(*cookie));
        return -1;
    }
    return 0;
}

int mkto_cookie_parse(struct mkto_slice value, struct mkto_cookie *cookie)
{
    memset(cookie, 0, sizeof(*cookie));
    if (value.len > MKTO_COOKIE_RAW_MAX) {
        return -1;
    }
    value = mkto_slice_unquote(mkto_slice_trim(value));
    if (value.len == 0) {
        return -1;
    }
    if (has(value, ':') || has(value, '=') || !has(value, '%')) {
        return parse_raw(value, cookie);
    }
    char decoded[MKTO_COOKIE_RAW_MAX];
    const long len = decode(value, decoded, sizeof(decoded));
    return parse_raw((struct mkto_slice){decoded, (size_t)len}, cookie);
}

static int rank_of(const struct mkto_cookie *cookie, struct mkto_slice munchkin_id,
                   struct mkto_slice host)
{
    if (!mkto_slice_eq_fold(mkto_slice_str(cookie->id), munchkin_id)) {
        return RANK_PARSED;
    }
    const struct mkto_slice domain = mkto_cookie_token_domain(mkto_slice_str(cookie->token));
    return mkto_host_covers(domain, host) ? RANK_OURS - (int)domain.len : RANK_PARSED;
}

struct mkto_slice mkto_cookie_next(struct mkto_slice *cookies)
{
    struct mkto_slice cookie = mkto_slice_cut(cookies, ';');
    while (cookie.len > 0 && is_blank(cookie.data[0])) {
        cookie.data++;
        cookie.len--;
    }
    return cookie;
}

bool mkto_cookie_is(struct mkto_slice cookie, struct mkto_slice name, struct mkto_slice *value)
{
    if (cookie.len <= name.len || cookie.data[0] != name.data[0] ||
        memcmp(cookie.data, name.data, name.len) != 0) {
        return false;
    }
    *value = (struct mkto_slice){cookie.data + name.len, cookie.len - name.len};
    if (mkto_slice_trim(mkto_slice_cut(value, '=')).len > 0 || value->data == NULL) {
        return false;
    }
    *value = mkto_slice_trim(*value);
    return true;
}

void mkto_cookie_offer(struct mkto_cookie_pick *pick, struct mkto_slice value,
                       struct mkto_slice munchkin_id, struct mkto_slice host)
{
    struct mkto_cookie cookie;
    if (mkto_cookie_parse(value, &cookie) != 0) {
        return;
    }
    const int rank = rank_of(&cookie, munchkin_id, mkto_host_name(host));
    if (rank > pick->rank) {
        pick->found = true;
        pick->rank = rank;
        pick->best = cookie;
    }
}

void mkto_cookie_scan(struct mkto_cookie_pick *pick, struct mkto_slice header,
                      struct mkto_slice munchkin_id, struct mkto_slice host)
{
    const struct mkto_slice name = MKTO_SLICE_LIT(MKTO_COOKIE_NAME);
    while (header.len > 0) {
        struct mkto_slice value;
        if (mkto_cookie_is(mkto_cookie_next(&header), name, &value)) {
            mkto_cookie_offer(pick, value, munchkin_id, host);
        }
    }
}

size_t mkto_cookie_format(const char *munchkin_id, const char *token, char *out, size_t size)
{
    struct mkto_writer writer = {out, size, 0};
    mkto_writer_put(&writer, MKTO_SLICE_LIT("id:"));
    mkto_writer_put_encoded(&writer, mkto_slice_str(munchkin_id), &mkto_writer_component);
    mkto_writer_put(&writer, MKTO_SLICE_LIT("&token:"));
    mkto_writer_put_encoded(&writer, mkto_slice_str(token), &mkto_writer_component);
    if (writer.len >= size) { /* one byte is the NUL's */
        return 0;
    }
    out[writer.len] = '\0';
    return writer.len;
}

/* How many bytes at the end of s satisfy `is`. */
static size_t run_at_end(struct mkto_slice s, bool (*is)(char))
{
    size_t len = 0;
    while (len < s.len && is(s.data[s.len - 1 - len])) {
        len++;
    }
    return len;
}

/* Takes "-" and a last part of len bytes off the end. */
static bool strip(struct mkto_slice *s, size_t len)
{
    if (len == 0 || s->len <= len || s->data[s->len - len - 1] != '-') {
        return false;
    }
    s->len -= len + 1;
    return true;
}

static bool is_domain(struct mkto_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alnum(s.data[i]) && s.data[i] != '-' && s.data[i] != '.') {
            return false;
        }
    }
    return s.len > 0 && is_alnum(s.data[0]);
}

struct mkto_slice mkto_cookie_token_domain(struct mkto_slice token)
{
    const size_t prefix = sizeof(TOKEN_PREFIX) - 1;
    if (token.len <= prefix || memcmp(token.data, TOKEN_PREFIX, prefix) != 0) {
        return MKTO_SLICE_NONE;
    }
    struct mkto_slice rest = {token.data + prefix, token.len - prefix};
    struct mkto_slice timed = rest;
    if (run_at_end(timed, is_digit) == RANDOM_DIGITS && strip(&timed, RANDOM_DIGITS) &&
        strip(&timed, run_at_end(timed, is_digit)) && is_domain(timed)) {
        return timed;
    }
    const size_t hex = run_at_end(rest, is_hex);
    if (hex < HEX_MIN || hex > HEX_MAX || !strip(&rest, hex) || !is_domain(rest)) {
        return MKTO_SLICE_NONE;
    }
    return rest;
}

struct mkto_slice mkto_cookie_domain(struct mkto_slice host)
{
    host = mkto_host_name(host);
    if (host.len == 0 || mkto_host_is_address(host)) {
        return host;
    }
    const struct mkto_slice site = mkto_host_site(host);
    return site.len > 0 ? site : host;
}
