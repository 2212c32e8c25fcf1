#include "mkto_config_lines.h"

#include <ini.h>
#include <stdint.h>
#include <stdio.h>

#include "mkto_config.h"

#define SECTION_MAX 49 /* bytes that inih keeps of a section's name */
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

struct reader {
    const struct mkto_config_lines_sink *sink;
    struct mkto_slice text; /* lines that have not been looked at */
    unsigned line;          /* of the line that was looked at last */
    /* The pair of that line: as this reader sees it, and as inih gives it back. */
    struct mkto_slice key;
    struct mkto_slice value;
    struct mkto_slice left; /* of the value: not yet handed to inih */
    char got_key[MKTO_CONFIG_KEY_MAX + 1];
    char got_value[MKTO_CONFIG_LINE_MAX + 1];
    size_t got;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct mkto_slice trim(struct mkto_slice s)
{
    while (s.len > 0 && is_space(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && is_space(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

static struct mkto_slice before(struct mkto_slice s, size_t at)
{
    return (struct mkto_slice){s.data, at};
}

static struct mkto_slice after(struct mkto_slice s, size_t at)
{
    return (struct mkto_slice){s.data + at, s.len - at};
}

/* Bytes of the UTF-8 character at the front of s, or 0 when there is none: overlong forms,
 * surrogates and what is beyond U+10FFFF are not UTF-8 (RFC 3629). */
static size_t utf8_length(struct mkto_slice s)
{
    const unsigned char *p = (const unsigned char *)s.data;
    size_t len = p[0] < 0x80                   ? 1
                 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                               : 0;

    if (len == 0 || len > s.len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    return len;
}

/* Why the bytes of a line cannot be taken, or NULL. */
static const char *check_bytes(struct mkto_slice line)
{
    if (line.len > MKTO_CONFIG_LINE_MAX) {
        return "the line is longer than " TEXT(MKTO_CONFIG_LINE_MAX) " bytes";
    }
    while (line.len > 0) {
        unsigned char c = (unsigned char)line.data[0];
        size_t len = utf8_length(line);

        if (c == 0) {
            return "a NUL byte";
        }
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return "a control character";
        }
        if (len == 0) {
            return "the line is not UTF-8";
        }
        line = after(line, len);
    }
    return NULL;
}

/* A comment behind a value begins with white space and ';', as inih has it. */
static struct mkto_slice strip_comment(struct mkto_slice line)
{
    for (size_t i = 1; i < line.len; i++) {
        if (line.data[i] == ';' && is_space(line.data[i - 1])) {
            return before(line, i);
        }
    }
    return line;
}

static struct mkto_slice next_line(struct reader *r)
{
    const char *end = memchr(r->text.data, '\n', r->text.len);
    size_t len = end == NULL ? r->text.len : (size_t)(end - r->text.data);
    struct mkto_slice line = before(r->text, len);

    r->text = after(r->text, end == NULL ? len : len + 1);
    r->line++;
    if (line.len > 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }
    if (r->line == 1 && line.len >= 3 && memcmp(line.data, "\xef\xbb\xbf", 3) == 0) {
        line = after(line, 3);
    }
    return line;
}

/* Reads `[section]` into out, which inih then gets to see. */
static const char *take_section(struct reader *r, struct mkto_slice line, char *out)
{
    const char *close = memchr(line.data, ']', line.len);
    struct mkto_slice name;
    char text[SECTION_MAX + 1];

    if (close == NULL) {
        return "the section's ']' is missing";
    }
    if (close != line.data + line.len - 1) {
        return "text behind the section's ']'";
    }
    name = trim((struct mkto_slice){line.data + 1, line.len - 2});
    if (name.len == 0) {
        return "the section has no name";
    }
    if (name.len > SECTION_MAX) {
        return "the section's name is longer than " TEXT(SECTION_MAX) " bytes";
    }
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    snprintf(out, SECTION_MAX + 3, "[%s]", text);
    r->sink->section(r->sink->ctx, r->line, text);
    return NULL;
}

static const char *take_pair(struct reader *r, struct mkto_slice line)
{
    const char *equals = memchr(line.data, '=', line.len);
    const char *colon = memchr(line.data, ':', line.len);
    size_t at;

    if (colon != NULL && (equals == NULL || colon < equals)) {
        return "':' does not separate a key from its value here: write key = value";
    }
    if (equals == NULL) {
        return "neither key = value nor [section]";
    }
    at = (size_t)(equals - line.data);
    r->key = trim(before(line, at));
    r->value = trim(after(line, at + 1));
    r->left = r->value;
    if (r->key.len == 0) {
        return "there is no key before '='";
    }
    if (r->key.len > MKTO_CONFIG_KEY_MAX) {
        return "the key is longer than " TEXT(MKTO_CONFIG_KEY_MAX) " bytes";
    }
    return NULL;
}

/* Bytes of the rest of the value that may go into the next piece. inih trims a piece and takes one
 * that begins with ';' or '#' for a comment, so no cut is made there. 0: there is no place to cut.
 */
static size_t cut(struct mkto_slice left, size_t room)
{
    if (left.len <= room) {
        return left.len;
    }
    for (size_t at = room; at > 0; at--) {
        char c = left.data[at];

        if (!is_space(c) && c != ';' && c != '#' && !is_space(left.data[at - 1])) {
            return at;
        }
    }
    return 0;
}

/* Writes the next piece of the pair: "key=value", or " value" for a continuation. */
static const char *give_piece(struct reader *r, char *out, size_t size, bool first)
{
    size_t head = first ? r->key.len + 1 : 1;
    size_t len;

    if (head + 1 >= size) {
        return "the key is too long";
    }
    len = cut(r->left, size - 1 - head);
    if (len == 0 && r->left.len > 0) {
        return "too many spaces, ';' or '#' in a row";
    }
    if (first) {
        memcpy(out, r->key.data, r->key.len);
        out[r->key.len] = '=';
    } else {
        out[0] = ' ';
    }
    if (len > 0) {
        memcpy(out + head, r->left.data, len);
    }
    out[head + len] = '\0';
    r->left = after(r->left, len);
    return NULL;
}

static void forget_pair(struct reader *r)
{
    r->key = r->value = r->left = MKTO_SLICE_NONE;
    r->got = 0;
    r->got_key[0] = '\0';
    r->got_value[0] = '\0';
}

/* The line is over: what inih gave back is the pair, if it is all that was in the line. */
static void end_pair(struct reader *r)
{
    if (r->key.len == 0) {
        return;
    }
    if (mkto_slice_is(r->key, r->got_key) &&
        mkto_slice_eq(r->value, (struct mkto_slice){r->got_value, r->got})) {
        r->sink->pair(r->sink->ctx, r->line, r->got_key, r->got_value);
    } else {
        r->sink->mistake(r->sink->ctx, r->line, "the line cannot be read whole");
    }
    forget_pair(r);
}

/* Looks at one line and leaves in out what inih shall see of it: "" for none. */
static const char *take_line(struct reader *r, struct mkto_slice line, char *out, size_t size)
{
    const char *reason = check_bytes(line);
    bool indented = line.len > 0 && is_space(line.data[0]);

    out[0] = '\0';
    if (reason != NULL) {
        return reason;
    }
    if (line.len > 0 && (line.data[0] == ';' || line.data[0] == '#')) {
        return NULL;
    }
    line = trim(strip_comment(line));
    if (line.len == 0 || (indented && line.data[0] == '#')) {
        return NULL;
    }
    if (indented) {
        return "the line is indented: a value cannot go on in a second line, and a key begins at "
               "the first column";
    }
    if (line.data[0] == '[') {
        return take_section(r, line, out);
    }
    reason = take_pair(r, line);
    return reason != NULL ? reason : give_piece(r, out, size, true);
}

static char *read_piece(char *out, int size, void *stream)
{
    struct reader *r = stream;
    const char *reason;

    if (size < SECTION_MAX + 3) {
        return NULL;
    }
    if (r->left.len > 0) {
        reason = give_piece(r, out, (size_t)size, false);
    } else {
        end_pair(r);
        if (r->text.len == 0) {
            return NULL;
        }
        reason = take_line(r, next_line(r), out, (size_t)size);
    }
    if (reason != NULL) {
        r->sink->mistake(r->sink->ctx, r->line, reason);
        forget_pair(r);
        out[0] = '\0';
    }
    return out;
}

/* Called by inih with a pair, or with a further piece of its value (and then a cut key). */
static int take_piece(void *user, const char *section, const char *key, const char *value)
{
    struct reader *r = user;
    size_t len = strlen(value);

    (void)section;
    if (r->got_key[0] == '\0') {
        snprintf(r->got_key, sizeof(r->got_key), "%s", key);
    }
    if (len >= sizeof(r->got_value) - r->got) {
        return 0;
    }
    memcpy(r->got_value + r->got, value, len + 1);
    r->got += len;
    return 1;
}

void mkto_config_lines(struct mkto_slice text, const struct mkto_config_lines_sink *sink)
{
    struct reader r = {.sink = sink, .text = text};

    forget_pair(&r);
    if (ini_parse_stream(read_piece, &r, take_piece, &r) != 0) {
        sink->mistake(sink->ctx, r.line, "the INI parser gave up");
    }
}
