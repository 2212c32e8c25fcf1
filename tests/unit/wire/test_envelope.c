#include "wire_test.h"

#include "mkto_envelope.h"

static const struct mkto_envelope full = {
    .call = MKTO_CALL_TRACK,
    .flags = MKTO_ENVELOPE_HTTPS | MKTO_ENVELOPE_BROWSER,
    .received_ms = INT64_C(1795469861123),
    .subscription = {"brand-b", 7},
    .remote_addr = {"2001:db8::1", 11},
    .host = {"www.example.com:8443", 20},
    .user_agent = {"Mozilla/5.0", 11},
    .accept_language = {"de,en;q=0.5", 11},
    .referer = {"https://www.example.com/a?b=c", 29},
    .origin = {"https://www.example.com", 23},
    .dnt = {"1", 1},
    .gpc = {"1", 1},
    .cookie = {"id:561-HYG-937&token:_mch-example.com-1374552656411-90718", 57},
    .request_id = {"0f8fad5b", 8},
    .body = {"{\"event\":\"a\"}", 13},
    .defaults = {"", 0},
    .source = {"site", 4},
    .email = {"ada@example.com", 15},
};

static void assert_same(const struct mkto_envelope *a, const struct mkto_envelope *b)
{
    assert_int_equal(a->call, b->call);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->text_max, b->text_max);
    assert_true(a->received_ms == b->received_ms);
    const struct mkto_slice *left = &a->subscription;
    const struct mkto_slice *right = &b->subscription;
    for (size_t i = 0; left + i <= &a->email; i++) {
        assert_true(mkto_slice_eq(left[i], right[i]));
        assert_int_equal(left[i].data == NULL, right[i].data == NULL);
    }
}

/* Encodes into an exact allocation, so that the sanitizer sees one byte too many. */
static uint8_t *encode(const struct mkto_envelope *envelope, size_t *len)
{
    *len = mkto_envelope_size(envelope);
    uint8_t *data = malloc(*len);
    assert_non_null(data);
    assert_int_equal(mkto_envelope_encode(envelope, data), *len);
    return data;
}

static void round_trip(void **state)
{
    (void)state;
    size_t len;
    uint8_t *data = encode(&full, &len);
    struct mkto_envelope back;
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(mkto_envelope_decode(data, len, &back, &err), 0);
    assert_same(&full, &back);
    free(data);
}

/* Bits that stand in spools: never renumber. */
static void flags(void **state)
{
    (void)state;
    static const uint32_t bits[] = {MKTO_ENVELOPE_HTTPS, MKTO_ENVELOPE_BROWSER,
                                    MKTO_ENVELOPE_KEYED, MKTO_ENVELOPE_OWN,
                                    MKTO_ENVELOPE_PIXEL, MKTO_ENVELOPE_SERVER};
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
        const struct mkto_envelope one = {.call = MKTO_CALL_PAGE, .flags = bits[i]};
        struct mkto_envelope back;
        size_t len;
        uint8_t *data = encode(&one, &len);
        assert_int_equal(bits[i], 1u << i);
        assert_int_equal(mkto_envelope_decode(data, len, &back, NULL), 0);
        assert_int_equal(back.flags, bits[i]);
        free(data);
    }
}

static void email_has_a_tag(void **state)
{
    (void)state;
    const struct mkto_envelope one = {.call = MKTO_CALL_PAGE, .email = {"a@b", 3}};
    static const uint8_t want[] = {18, 3, 0, 0, 0, 'a', '@', 'b'};
    size_t len;
    uint8_t *data = encode(&one, &len);
    assert_memory_equal(data + len - sizeof(want), want, sizeof(want));
    free(data);
}

static void text_max_has_a_tag(void **state)
{
    (void)state;
    const struct mkto_envelope one = {.call = MKTO_CALL_PAGE, .text_max = 0x01020304};
    static const uint8_t want[] = {19, 4, 0, 0, 0, 4, 3, 2, 1};
    struct mkto_envelope back;
    struct mkto_error err = MKTO_ERROR_INIT;
    size_t len;
    uint8_t *data = encode(&one, &len);
    assert_memory_equal(data + len - sizeof(want), want, sizeof(want));
    assert_int_equal(mkto_envelope_decode(data, len, &back, NULL), 0);
    assert_int_equal(back.text_max, 0x01020304);
    data[len - sizeof(want) + 1] = 3;
    assert_int_equal(mkto_envelope_decode(data, len - 1, &back, &err), -1);
    assert_string_equal(err.text, "envelope: text_max has 3 bytes instead of 4");
    free(data);
}

static void absent_stays_absent(void **state)
{
    (void)state;
    const struct mkto_envelope bare = {.call = MKTO_CALL_PAGE, .received_ms = -1};
    size_t len;
    uint8_t *data = encode(&bare, &len);
    struct mkto_envelope back;
    assert_int_equal(mkto_envelope_decode(data, len, &back, NULL), 0);
    assert_same(&bare, &back);
    free(data);
}

static void exact_bytes(void **state)
{
    (void)state;
    const struct mkto_envelope bare = {.call = MKTO_CALL_IDENTIFY,
                                       .flags = 2,
                                       .received_ms = 0x0102030405060708,
                                       .body = {"{}", 2}};
    static const uint8_t want[] = {1,  1, 0, 0, 0, 1,                         /* call */
                                   2,  4, 0, 0, 0, 2,   0,  0, 0,             /* flags */
                                   3,  8, 0, 0, 0, 8,   7,  6, 5, 4, 3, 2, 1, /* received */
                                   15, 2, 0, 0, 0, '{', '}'};                 /* body */
    size_t len;
    uint8_t *data = encode(&bare, &len);
    assert_int_equal(len, sizeof(want));
    assert_memory_equal(data, want, len);
    free(data);
}

/* Every proper prefix is an error, or (cut between two fields) an envelope that lacks the rest. */
static void every_cut(void **state)
{
    (void)state;
    size_t len;
    uint8_t *data = encode(&full, &len);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + 1);
        assert_non_null(part);
        memcpy(part, data, cut);
        struct mkto_envelope back;
        struct mkto_error err = MKTO_ERROR_INIT;
        if (mkto_envelope_decode(part, cut, &back, &err) == 0) {
            assert_true(cut >= 6);
            assert_string_equal(err.text, "");
        } else {
            assert_true(strlen(err.text) > 0);
        }
        free(part);
    }
    free(data);
}

static int decode(const char *data, size_t len, struct mkto_error *err)
{
    struct mkto_envelope back;
    memset(err, 0, sizeof(*err));
    return mkto_envelope_decode((const uint8_t *)data, len, &back, err);
}

#define CALL "\x01\x01\0\0\0\x02"
#define DECODE(text, err) decode(text, sizeof(text) - 1, err)

static void malformed(void **state)
{
    (void)state;
    struct mkto_error err;
    assert_int_equal(DECODE(CALL, &err), 0);
    assert_int_equal(DECODE(CALL "\xc8\x02\0\0\0xx", &err), 0); /* unknown tag */
    assert_int_equal(DECODE("", &err), -1);
    assert_string_equal(err.text, "envelope: no call in it");
    assert_int_equal(DECODE("\x0f\x01\0\0\0x", &err), -1);
    assert_string_equal(err.text, "envelope: no call in it");
    assert_int_equal(DECODE(CALL "\x0f\x01\0\0\0x\x0f\x01\0\0\0y", &err), -1);
    assert_string_equal(err.text, "envelope: field 15 repeated at byte 12");
    assert_int_equal(DECODE(CALL "\xc8\x00\0\0\0\xc8\x00\0\0\0", &err), -1);
    assert_string_equal(err.text, "envelope: field 200 repeated at byte 11");
    assert_int_equal(DECODE(CALL "\x0f\x02\0\0\0x", &err), -1);
    assert_string_equal(err.text, "envelope: field 15 at byte 6 runs past the end");
    assert_int_equal(DECODE(CALL "\x0f\xff\xff\xff\xffx", &err), -1);
    assert_int_equal(DECODE(CALL "\x0f", &err), -1);
    assert_string_equal(err.text, "envelope: cut off at byte 6");
    assert_int_equal(DECODE("\x01\x02\0\0\0\x02\x00", &err), -1);
    assert_string_equal(err.text, "envelope: call has 2 bytes instead of 1");
    assert_int_equal(DECODE("\x01\x01\0\0\0\x0a", &err), -1);
    assert_string_equal(err.text, "envelope: unknown call 10");
    assert_int_equal(DECODE("\x01\x01\0\0\0\x00", &err), -1);
    assert_int_equal(DECODE(CALL "\x02\x03\0\0\0xxx", &err), -1);
    assert_string_equal(err.text, "envelope: flags has 3 bytes instead of 4");
    assert_int_equal(DECODE(CALL "\x03\x04\0\0\0xxxx", &err), -1);
    assert_string_equal(err.text, "envelope: received_ms has 4 bytes instead of 8");
}

struct limit {
    size_t offset;
    size_t max;
    bool cut; /* or left out */
};

#define LIMIT(member, max, cut)                                                                    \
    {                                                                                              \
        offsetof(struct mkto_envelope, member), max, cut                                           \
    }

static const struct limit limits[] = {
    LIMIT(subscription, MKTO_ENVELOPE_NAME_MAX, true),
    LIMIT(remote_addr, MKTO_ENVELOPE_ADDR_MAX, true),
    LIMIT(host, MKTO_ENVELOPE_HOST_MAX, true),
    LIMIT(user_agent, MKTO_ENVELOPE_HEADER_MAX, true),
    LIMIT(accept_language, MKTO_ENVELOPE_HEADER_MAX, true),
    LIMIT(referer, MKTO_ENVELOPE_REFERER_MAX, true),
    LIMIT(origin, MKTO_ENVELOPE_HEADER_MAX, true),
    LIMIT(dnt, MKTO_ENVELOPE_HEADER_MAX, true),
    LIMIT(gpc, MKTO_ENVELOPE_HEADER_MAX, true),
    LIMIT(cookie, MKTO_ENVELOPE_COOKIE_MAX, false),
    LIMIT(request_id, MKTO_ENVELOPE_NAME_MAX, true),
    LIMIT(source, MKTO_ENVELOPE_NAME_MAX, true),
    LIMIT(email, MKTO_ENVELOPE_EMAIL_MAX, false),
};

static struct mkto_slice after_trip(size_t offset, struct mkto_slice text)
{
    static uint8_t data[8192];
    struct mkto_envelope envelope = {.call = MKTO_CALL_PAGE};
    struct mkto_envelope back;
    struct mkto_slice result;
    memcpy((char *)&envelope + offset, &text, sizeof(text));
    const size_t len = mkto_envelope_encode(&envelope, data);
    assert_int_equal(len, mkto_envelope_size(&envelope));
    assert_int_equal(mkto_envelope_decode(data, len, &back, NULL), 0);
    memcpy(&result, (char *)&back + offset, sizeof(result));
    return result;
}

static void longest_fields(void **state)
{
    (void)state;
    static char text[8192];
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        const struct limit *limit = &limits[i];
        const struct mkto_slice at = {text, limit->max};
        const struct mkto_slice over = {text, limit->max + 1};
        assert_int_equal(after_trip(limit->offset, at).len, limit->max);
        const struct mkto_slice result = after_trip(limit->offset, over);
        assert_int_equal(result.len, limit->cut ? limit->max : 0);
        const bool empty = limit->offset == offsetof(struct mkto_envelope, email);
        assert_int_equal(result.data == NULL, !limit->cut && !empty);
    }
}

static void over_long_field_is_refused(void **state)
{
    (void)state;
    char data[6 + 5 + MKTO_ENVELOPE_NAME_MAX + 1] = CALL "\x04\x40\0\0\0"; /* subscription */
    struct mkto_error err;
    assert_int_equal(decode(data, 6 + 5 + MKTO_ENVELOPE_NAME_MAX, &err), 0);
    data[7]++;
    assert_int_equal(decode(data, sizeof(data), &err), -1);
    assert_string_equal(err.text, "envelope: subscription has 65 bytes, over 64");
}

static void cut_keeps_characters_whole(void **state)
{
    (void)state;
    char text[MKTO_ENVELOPE_ADDR_MAX + 8];
    const size_t offset = offsetof(struct mkto_envelope, remote_addr);
    for (size_t before = MKTO_ENVELOPE_ADDR_MAX - 4; before <= MKTO_ENVELOPE_ADDR_MAX; before++) {
        memset(text, 'x', sizeof(text));
        memcpy(text + before, "\xf0\x9f\x8d\xaa", 4);
        const size_t want = before == MKTO_ENVELOPE_ADDR_MAX - 4 ? MKTO_ENVELOPE_ADDR_MAX : before;
        assert_int_equal(after_trip(offset, (struct mkto_slice){text, sizeof(text)}).len, want);
    }
    memset(text, 0x80, sizeof(text)); /* not UTF-8 at all */
    assert_int_equal(after_trip(offset, (struct mkto_slice){text, sizeof(text)}).len,
                     MKTO_ENVELOPE_ADDR_MAX);
}

static void overhead_holds(void **state)
{
    (void)state;
    static char text[16384];
    struct mkto_envelope envelope = full;
    struct mkto_slice *slices = &envelope.subscription;
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; slices + i < &envelope.body; i++) {
        slices[i] = (struct mkto_slice){text, sizeof(text)};
    }
    envelope.cookie.len = MKTO_ENVELOPE_COOKIE_MAX;
    envelope.source = (struct mkto_slice){text, sizeof(text)};
    envelope.email = (struct mkto_slice){text, MKTO_ENVELOPE_EMAIL_MAX};
    const size_t beside = mkto_envelope_size(&envelope) - envelope.body.len - envelope.defaults.len;
    assert_true(beside <= MKTO_ENVELOPE_OVERHEAD);
}

static void garbage(void **state)
{
    (void)state;
    uint64_t seed = wire_seed();
    size_t full_len;
    uint8_t *good = encode(&full, &full_len);
    for (int round = 0; round < 20000; round++) {
        const size_t len = wire_below(&seed, full_len + 1);
        uint8_t *data = malloc(len + 1);
        assert_non_null(data);
        memcpy(data, good, len);
        for (size_t flips = wire_below(&seed, 8); len > 0 && flips > 0; flips--) {
            data[wire_below(&seed, len)] = (uint8_t)wire_random(&seed);
        }
        struct mkto_envelope back;
        struct mkto_error err = MKTO_ERROR_INIT;
        const int rc = mkto_envelope_decode(data, len, &back, &err);
        assert_true(rc == 0 ? err.text[0] == '\0' : err.text[0] != '\0');
        if (rc == 0) { /* what was understood can be written again */
            size_t again;
            free(encode(&back, &again));
            assert_true(again <= len + 22);
        }
        free(data);
    }
    free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(flags),
        cmocka_unit_test(email_has_a_tag),
        cmocka_unit_test(text_max_has_a_tag),
        cmocka_unit_test(absent_stays_absent),
        cmocka_unit_test(exact_bytes),
        cmocka_unit_test(every_cut),
        cmocka_unit_test(malformed),
        cmocka_unit_test(longest_fields),
        cmocka_unit_test(over_long_field_is_refused),
        cmocka_unit_test(cut_keeps_characters_whole),
        cmocka_unit_test(overhead_holds),
        cmocka_unit_test(garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
