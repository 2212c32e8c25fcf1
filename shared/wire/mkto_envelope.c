#include "mkto_envelope.h"

#include "mkto_bytes.h"

#define FIELD_HEADER 5 /* tag and length */

/* Tags stand in spools that are already on disk: never renumber, never reuse. */
enum tag {
    TAG_CALL = 1,
    TAG_FLAGS = 2,
    TAG_RECEIVED = 3,
    TAG_SUBSCRIPTION = 4,
    TAG_REMOTE_ADDR = 5,
    TAG_HOST = 6,
    TAG_USER_AGENT = 7,
    TAG_ACCEPT_LANGUAGE = 8,
    TAG_REFERER = 9,
    TAG_ORIGIN = 10,
    TAG_DNT = 11,
    TAG_GPC = 12,
    TAG_COOKIE = 13,
    TAG_REQUEST_ID = 14,
    TAG_BODY = 15,
    TAG_DEFAULTS = 16,
    TAG_SOURCE = 17,
    TAG_EMAIL = 18,
    TAG_TEXT_MAX = 19,
};

struct text_field {
    enum tag tag;
    size_t offset; /* of its slice in struct mkto_envelope */
    size_t max;
    const char *name;
};

/* clang-format off */
#define TEXT(tag, member, max) {tag, offsetof(struct mkto_envelope, member), max, #member}

static const struct text_field text_fields[] = {
    TEXT(TAG_SUBSCRIPTION, subscription, MKTO_ENVELOPE_NAME_MAX),
    TEXT(TAG_REMOTE_ADDR, remote_addr, MKTO_ENVELOPE_ADDR_MAX),
    TEXT(TAG_HOST, host, MKTO_ENVELOPE_HOST_MAX),
    TEXT(TAG_USER_AGENT, user_agent, MKTO_ENVELOPE_HEADER_MAX),
    TEXT(TAG_ACCEPT_LANGUAGE, accept_language, MKTO_ENVELOPE_HEADER_MAX),
    TEXT(TAG_REFERER, referer, MKTO_ENVELOPE_REFERER_MAX),
    TEXT(TAG_ORIGIN, origin, MKTO_ENVELOPE_HEADER_MAX),
    TEXT(TAG_DNT, dnt, MKTO_ENVELOPE_HEADER_MAX),
    TEXT(TAG_GPC, gpc, MKTO_ENVELOPE_HEADER_MAX),
    TEXT(TAG_COOKIE, cookie, MKTO_ENVELOPE_COOKIE_MAX),
    TEXT(TAG_REQUEST_ID, request_id, MKTO_ENVELOPE_NAME_MAX),
    TEXT(TAG_BODY, body, UINT32_MAX),
    TEXT(TAG_DEFAULTS, defaults, UINT32_MAX),
    TEXT(TAG_SOURCE, source, MKTO_ENVELOPE_NAME_MAX),
    TEXT(TAG_EMAIL, email, MKTO_ENVELOPE_EMAIL_MAX),
};
/* clang-format on */

#define TEXT_COUNT (sizeof(text_fields) / sizeof(text_fields[0]))
#define FIXED_SIZE (FIELD_HEADER + 1 + FIELD_HEADER + 4 + FIELD_HEADER + 8)
#define TEXT_MAX_SIZE (FIELD_HEADER + 4)

_Static_assert(MKTO_ENVELOPE_OVERHEAD >= FIXED_SIZE + TEXT_MAX_SIZE + TEXT_COUNT * FIELD_HEADER +
                                             3 * MKTO_ENVELOPE_NAME_MAX + MKTO_ENVELOPE_ADDR_MAX +
                                             MKTO_ENVELOPE_HOST_MAX + 5 * MKTO_ENVELOPE_HEADER_MAX +
                                             MKTO_ENVELOPE_REFERER_MAX + MKTO_ENVELOPE_COOKIE_MAX +
                                             MKTO_ENVELOPE_EMAIL_MAX,
               "an envelope of longest fields fits its overhead");

/* Cut inside a UTF-8 character, a header would become invalid UTF-8 on its way. */
static size_t cut_at_character(struct mkto_slice text, size_t max)
{
    size_t len = max;
    while (len > 0 && max - len < 4 && ((unsigned char)text.data[len] & 0xc0u) == 0x80u) {
        len--;
    }
    return max - len < 4 ? len : max;
}

/* What is written of a field; absent stays absent. */
static struct mkto_slice text_to_write(const struct mkto_envelope *envelope,
                                       const struct text_field *field)
{
    struct mkto_slice text;
    memcpy(&text, (const char *)envelope + field->offset, sizeof(text));
    if (text.data == NULL || text.len <= field->max) {
        return text;
    }
    if (field->tag == TAG_COOKIE) {
        return MKTO_SLICE_NONE;
    }
    if (field->tag == TAG_EMAIL) {
        return MKTO_SLICE_LIT("");
    }
    text.len = cut_at_character(text, field->max);
    return text;
}

size_t mkto_envelope_size(const struct mkto_envelope *envelope)
{
    size_t size = FIXED_SIZE + (envelope->text_max > 0 ? TEXT_MAX_SIZE : 0);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        const struct mkto_slice text = text_to_write(envelope, &text_fields[i]);
        size += text.data == NULL ? 0 : FIELD_HEADER + text.len;
    }
    return size;
}

static uint8_t *put_header(uint8_t *out, enum tag tag, size_t len)
{
    out = mkto_bytes_put8(out, (uint8_t)tag);
    return mkto_bytes_put32(out, (uint32_t)len);
}

size_t mkto_envelope_encode(const struct mkto_envelope *envelope, uint8_t *out)
{
    uint8_t *p = put_header(out, TAG_CALL, 1);
    p = mkto_bytes_put8(p, (uint8_t)envelope->call);
    p = put_header(p, TAG_FLAGS, 4);
    p = mkto_bytes_put32(p, envelope->flags);
    p = put_header(p, TAG_RECEIVED, 8);
    p = mkto_bytes_put64(p, (uint64_t)envelope->received_ms);
    if (envelope->text_max > 0) {
        p = put_header(p, TAG_TEXT_MAX, 4);
        p = mkto_bytes_put32(p, envelope->text_max);
    }
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        const struct mkto_slice text = text_to_write(envelope, &text_fields[i]);
        if (text.data != NULL) {
            p = put_header(p, text_fields[i].tag, text.len);
            p = mkto_bytes_put(p, text.data, text.len);
        }
    }
    return (size_t)(p - out);
}

static int read_text(const struct text_field *field, const uint8_t *data, size_t len,
                     struct mkto_envelope *envelope, struct mkto_error *err)
{
    if (len > field->max) {
        return mkto_error_set(err, "envelope: %s has %zu bytes, over %zu", field->name, len,
                              field->max);
    }
    const struct mkto_slice text = {(const char *)data, len};
    memcpy((char *)envelope + field->offset, &text, sizeof(text));
    return 0;
}

static int expect_len(const char *name, size_t len, size_t want, struct mkto_error *err)
{
    if (len != want) {
        return mkto_error_set(err, "envelope: %s has %zu bytes instead of %zu", name, len, want);
    }
    return 0;
}

static int read_call(const uint8_t *data, size_t len, struct mkto_envelope *envelope,
                     struct mkto_error *err)
{
    if (expect_len("call", len, 1, err) != 0) {
        return -1;
    }
    if (data[0] == MKTO_CALL_NONE || data[0] >= MKTO_CALL_COUNT) {
        return mkto_error_set(err, "envelope: unknown call %u", data[0]);
    }
    envelope->call = (enum mkto_call)data[0];
    return 0;
}

static int read_number(const char *name, const uint8_t *data, size_t len, uint32_t *number,
                       struct mkto_error *err)
{
    if (expect_len(name, len, 4, err) != 0) {
        return -1;
    }
    *number = mkto_bytes_get32(data);
    return 0;
}

static int read_field(unsigned tag, const uint8_t *data, size_t len, struct mkto_envelope *envelope,
                      struct mkto_error *err)
{
    if (tag == TAG_CALL) {
        return read_call(data, len, envelope, err);
    }
    if (tag == TAG_FLAGS) {
        return read_number("flags", data, len, &envelope->flags, err);
    }
    if (tag == TAG_TEXT_MAX) {
        return read_number("text_max", data, len, &envelope->text_max, err);
    }
    if (tag == TAG_RECEIVED) {
        if (expect_len("received_ms", len, 8, err) != 0) {
            return -1;
        }
        envelope->received_ms = (int64_t)mkto_bytes_get64(data);
        return 0;
    }
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        if (text_fields[i].tag == (enum tag)tag) {
            return read_text(&text_fields[i], data, len, envelope, err);
        }
    }
    return 0; /* of a newer module */
}

int mkto_envelope_decode(const uint8_t *data, size_t len, struct mkto_envelope *envelope,
                         struct mkto_error *err)
{
    uint32_t seen[8] = {0}; /* one bit a tag */
    size_t at = 0;

    memset(envelope, 0, sizeof(*envelope));
    while (at < len) {
        if (len - at < FIELD_HEADER) {
            return mkto_error_set(err, "envelope: cut off at byte %zu", at);
        }
        const unsigned tag = data[at];
        const size_t field_len = mkto_bytes_get32(data + at + 1);
        if (field_len > len - at - FIELD_HEADER) {
            return mkto_error_set(err, "envelope: field %u at byte %zu runs past the end", tag, at);
        }
        if ((seen[tag / 32] & (1u << (tag % 32))) != 0) {
            return mkto_error_set(err, "envelope: field %u repeated at byte %zu", tag, at);
        }
        seen[tag / 32] |= 1u << (tag % 32);
        if (read_field(tag, data + at + FIELD_HEADER, field_len, envelope, err) != 0) {
            return -1;
        }
        at += FIELD_HEADER + field_len;
    }
    if (envelope->call == MKTO_CALL_NONE) {
        return mkto_error_set(err, "envelope: no call in it");
    }
    return 0;
}
