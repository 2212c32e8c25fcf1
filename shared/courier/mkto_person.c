#include "mkto_person.h"

#include <apr_strings.h>
#include <string.h>
#include <strings.h>

/* ---- the address ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct mkto_slice trimmed(struct mkto_slice text)
{
    while (text.len > 0 && is_space(text.data[text.len - 1])) {
        text.len--;
    }
    while (text.len > 0 && is_space(text.data[0])) {
        text.data++;
        text.len--;
    }
    return text;
}

int mkto_person_init(struct mkto_person *person, struct mkto_slice email, struct mkto_error *err)
{
    *person = (struct mkto_person){.email = MKTO_SLICE_NONE};
    email = trimmed(email);
    if (email.len > MKTO_PERSON_EMAIL_MAX) {
        return mkto_error_set(err, "an e-mail has %d bytes at most", MKTO_PERSON_EMAIL_MAX);
    }
    for (size_t i = 0; i < email.len; i++) {
        if ((unsigned char)email.data[i] <= 0x20 || email.data[i] == 0x7f) {
            return mkto_error_set(err, "an e-mail has no blanks in it");
        }
    }
    const char *at = email.len == 0 ? NULL : memchr(email.data, '@', email.len);
    if (at == NULL || at == email.data || at == email.data + email.len - 1) {
        return mkto_error_set(err, "this is no e-mail: NAME@DOMAIN");
    }
    person->email = email;
    person->at = (size_t)(at - email.data);
    return 0;
}

/* ---- the search ---- */

/* Letters, digits and all that is not ASCII: what a longer address would go on with. */
static bool is_inner(char c)
{
    const unsigned char u = (unsigned char)c;
    return u >= 0x80 || (u >= '0' && u <= '9') || ((u | 0x20u) >= 'a' && (u | 0x20u) <= 'z');
}

/* Dots and the like belong to the address when there is more of it beyond them. */
static bool goes_on_before(struct mkto_slice bytes, size_t start)
{
    while (start > 0 && strchr("._+-", bytes.data[start - 1]) != NULL && bytes.data[start - 1]) {
        start--;
    }
    return start > 0 && is_inner(bytes.data[start - 1]);
}

static bool goes_on_behind(struct mkto_slice bytes, size_t end)
{
    if (end < bytes.len && (bytes.data[end] == '.' || bytes.data[end] == '-')) {
        end++;
    }
    return end < bytes.len && is_inner(bytes.data[end]);
}

/* at: where an '@' is. */
static bool is_here(const struct mkto_person *person, struct mkto_slice bytes, size_t at)
{
    if (at < person->at || bytes.len - (at - person->at) < person->email.len) {
        return false;
    }
    const size_t start = at - person->at;
    return strncasecmp(bytes.data + start, person->email.data, person->email.len) == 0 &&
           !goes_on_before(bytes, start) && !goes_on_behind(bytes, start + person->email.len);
}

bool mkto_person_in_bytes(const struct mkto_person *person, struct mkto_slice bytes)
{
    size_t from = 0;
    while (person->email.len > 0 && from < bytes.len) {
        const char *at = memchr(bytes.data + from, '@', bytes.len - from);
        if (at == NULL) {
            return false;
        }
        from = (size_t)(at - bytes.data);
        if (is_here(person, bytes, from)) {
            return true;
        }
        from++;
    }
    return false;
}

/* ---- encoded forms ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const int letter = (c | 0x20) - 'a';
    return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

/* The number that `digits` hex digits are, or -1. */
static int hex_number(struct mkto_slice text, size_t at, size_t digits)
{
    int number = 0;
    if (text.len - at < digits) {
        return -1;
    }
    for (size_t i = 0; i < digits; i++) {
        const int digit = hex(text.data[at + i]);
        if (digit < 0) {
            return -1;
        }
        number = number * 16 + digit;
    }
    return number;
}

static size_t put_character(char *out, unsigned character)
{
    const unsigned bytes = character < 0x80      ? 1
                           : character < 0x800   ? 2
                           : character < 0x10000 ? 3
                                                 : 4;
    static const unsigned heads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (unsigned i = bytes; i-- > 1;) {
        out[i] = (char)(0x80u | (character & 0x3fu));
        character >>= 6;
    }
    out[0] = (char)(heads[bytes] | character);
    return bytes;
}

/* Takes the character of a \uXXXX, or of two that are a pair. False when it is none. */
static bool take_unicode(struct mkto_slice text, size_t *at, unsigned *character)
{
    const int first = text.data[*at + 1] == 'u' ? hex_number(text, *at + 2, 4) : -1;
    if (first < 0) {
        return false;
    }
    *at += 6;
    *character = (unsigned)first;
    if (*character >> 10 != 0xd800 >> 10 || text.len - *at < 6 || text.data[*at] != '\\' ||
        text.data[*at + 1] != 'u') {
        return true;
    }
    const int second = hex_number(text, *at + 2, 4);
    if (second >= 0 && (unsigned)second >> 10 == 0xdc00 >> 10) {
        *character = 0x10000 + ((*character & 0x3ffu) << 10) + ((unsigned)second & 0x3ffu);
        *at += 6;
    }
    return true;
}

/* What \b, \n and so on stand for ends an address, whatever it is exactly; the others stand for
 * themselves. */
static char unescaped(char c)
{
    return strchr("bfnrt", c) != NULL ? ' ' : c;
}

/* In place: what is written is never longer than what was read. */
static size_t decode_json(char *text, size_t len)
{
    const struct mkto_slice all = {text, len};
    size_t out = 0;
    for (size_t at = 0; at < len;) {
        unsigned character;
        if (text[at] != '\\' || at + 1 == len) {
            text[out++] = text[at++];
        } else if (take_unicode(all, &at, &character)) {
            out += put_character(text + out, character);
        } else {
            text[out++] = unescaped(text[at + 1]);
            at += 2;
        }
    }
    return out;
}

static size_t decode_percent(char *text, size_t len)
{
    const struct mkto_slice all = {text, len};
    size_t out = 0;
    for (size_t at = 0; at < len;) {
        const int byte = text[at] == '%' ? hex_number(all, at + 1, 2) : -1;
        if (byte >= 0) {
            text[out++] = (char)byte;
            at += 3;
        } else {
            text[out++] = text[at++];
        }
    }
    return out;
}

static bool has(struct mkto_slice text, char c)
{
    return text.len > 0 && memchr(text.data, c, text.len) != NULL;
}

/* With an escape in it, the bytes as they stand there would show "nada" in "\nada". */
bool mkto_person_in_text(const struct mkto_person *person, struct mkto_slice text, apr_pool_t *pool)
{
    const bool escapes = has(text, '\\');
    if (!escapes && mkto_person_in_bytes(person, text)) {
        return true;
    }
    if (!escapes && !has(text, '%')) {
        return false;
    }
    char *copy = apr_pstrmemdup(pool, text.data, text.len);
    struct mkto_slice decoded = {copy, escapes ? decode_json(copy, text.len) : text.len};
    for (int round = 0; !mkto_person_in_bytes(person, decoded); round++) {
        if (round == MKTO_PERSON_ROUNDS || !has(decoded, '%')) {
            return false;
        }
        decoded.len = decode_percent(copy, decoded.len);
    }
    return true;
}

/* ---- events ---- */

bool mkto_person_in_envelope(const struct mkto_person *person, const struct mkto_envelope *envelope,
                             apr_pool_t *pool)
{
    const struct mkto_slice fields[] = {
        envelope->body,
        envelope->defaults,
        envelope->referer,
        envelope->cookie,
        envelope->request_id,
        envelope->origin,
        envelope->accept_language,
        envelope->user_agent,
        envelope->host,
        envelope->dnt,
        envelope->gpc,
        envelope->remote_addr,
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (mkto_person_in_text(person, fields[i], pool)) {
            return true;
        }
    }
    return false;
}

bool mkto_person_in_event(const struct mkto_person *person, struct mkto_slice envelope,
                          struct mkto_slice raw, apr_pool_t *pool)
{
    struct mkto_envelope decoded;
    if (envelope.data != NULL &&
        mkto_envelope_decode((const uint8_t *)envelope.data, envelope.len, &decoded, NULL) == 0) {
        return mkto_person_in_envelope(person, &decoded, pool);
    }
    return mkto_person_in_text(person, envelope, pool) || mkto_person_in_text(person, raw, pool);
}
