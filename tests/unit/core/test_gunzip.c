/* gzip bodies: what is taken, where the others are broken, and that a text ends at its limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <malloc.h>

#include "gzip_text.h"
#include "mkto_gunzip.h"

#define JSON "{\"event\":\"Signed Up\",\"userId\":\"u1\"}"

static apr_pool_t *pool;
static struct mkto_gunzip *gunzip;

static int setup(void **state)
{
    (void)state;
    if (apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        return -1;
    }
    gunzip = mkto_gunzip_create(pool);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

static void means(struct mkto_slice packed, size_t max, const char *text, size_t len)
{
    struct mkto_slice got = MKTO_SLICE_NONE;
    struct mkto_event_fault fault = {MKTO_ANSWER_STORED, MKTO_ERROR_INIT};
    if (mkto_gunzip_read(gunzip, packed, max, &got, &fault) != 0) {
        fail_msg("%s", fault.error.text);
    }
    assert_int_equal(got.len, len);
    assert_non_null(got.data);
    assert_memory_equal(got.data, text, len);
}

static void refused(struct mkto_slice packed, size_t max, enum mkto_answer answer, const char *why)
{
    struct mkto_slice got = MKTO_SLICE_NONE;
    struct mkto_event_fault fault = {MKTO_ANSWER_STORED, MKTO_ERROR_INIT};
    assert_int_equal(mkto_gunzip_read(gunzip, packed, max, &got, &fault), -1);
    assert_int_equal(fault.answer, answer);
    if (why != NULL) {
        assert_string_equal(fault.error.text, why);
    }
    assert_null(got.data);
}

static void a_text(void **state)
{
    (void)state;
    struct packed packed = gzip_of(JSON, strlen(JSON));
    for (int i = 0; i < 3; i++) { /* what is kept is as new each time */
        means(gzip_slice(&packed), MKTO_EVENT_MAX, JSON, strlen(JSON));
        refused((struct mkto_slice){"x", 1}, MKTO_EVENT_MAX, MKTO_ANSWER_BAD_REQUEST, NULL);
    }
    free(packed.data);
    packed = gzip_of("", 0);
    means(gzip_slice(&packed), MKTO_EVENT_MAX, "", 0);
    means(gzip_slice(&packed), 0, "", 0);
    free(packed.data);
}

/* RFC 1952, 2.2: a file is a series of members. */
static void several_members(void **state)
{
    (void)state;
    struct packed packed = gzip_of("{\"a\":", 5);
    gzip_add(&packed, "", 0);
    gzip_add(&packed, "1}", 2);
    means(gzip_slice(&packed), 7, "{\"a\":1}", 7);
    refused(gzip_slice(&packed), 6, MKTO_ANSWER_TOO_LARGE, "gzip: the text has more than 6 bytes");
    refused(gzip_slice(&packed), 4, MKTO_ANSWER_TOO_LARGE, "gzip: the text has more than 4 bytes");
    free(packed.data);
}

/* Name, comment and extra field of a header are skipped, its checksum is checked. */
static void a_header_with_everything(void **state)
{
    (void)state;
    struct packed plain = gzip_of(JSON, strlen(JSON));
    static const char head[] = "\x1f\x8b\x08\x1c\0\0\0\0\0\x03\x02\0xxname\0comment";
    struct packed packed = {malloc(plain.len + sizeof(head)), sizeof(head) + plain.len - 10};
    memcpy(packed.data, head, sizeof(head));
    memcpy(packed.data + sizeof(head), plain.data + 10, plain.len - 10);
    means(gzip_slice(&packed), MKTO_EVENT_MAX, JSON, strlen(JSON));
    packed.data[3] |= 0xe0;
    refused(gzip_slice(&packed), MKTO_EVENT_MAX, MKTO_ANSWER_BAD_REQUEST,
            "gzip: unknown header flags set at byte 4");
    free(packed.data);
    free(plain.data);
}

static void the_edge(size_t max)
{
    char *text = calloc(1, max + 2);
    memset(text, ' ', max + 1);
    struct packed packed = gzip_of(text, max);
    means(gzip_slice(&packed), max, text, max);
    if (max > 0) {
        refused(gzip_slice(&packed), max - 1, MKTO_ANSWER_TOO_LARGE, NULL);
    }
    free(packed.data);
    packed = gzip_of(text, max + 1);
    refused(gzip_slice(&packed), max, MKTO_ANSWER_TOO_LARGE, NULL);
    free(packed.data);
    free(text);
}

static void limits(void **state)
{
    (void)state;
    the_edge(0);
    the_edge(1);
    the_edge(MKTO_EVENT_MAX);
    the_edge(MKTO_BODY_DEFAULT);
    the_edge(MKTO_BODY_MAX);
}

/* A gigabyte in a megabyte, and nothing grows. */
static void a_bomb(void **state)
{
    (void)state;
    const size_t size = 64u << 20;
    char *zeros = calloc(1, size);
    struct packed packed = gzip_of(zeros, size);
    for (int i = 1; i < 3; i++) {
        gzip_add(&packed, zeros, size);
    }
    free(zeros);
    assert_true(packed.len < MKTO_BODY_MAX);
    refused(gzip_slice(&packed), MKTO_BODY_DEFAULT, MKTO_ANSWER_TOO_LARGE,
            "gzip: the text has more than 512000 bytes");
    const struct mallinfo2 before = mallinfo2();
    refused(gzip_slice(&packed), SIZE_MAX, MKTO_ANSWER_TOO_LARGE,
            "gzip: the text has more than 1048576 bytes");
    const struct mallinfo2 after = mallinfo2();
    assert_int_equal(after.uordblks + after.hblkhd, before.uordblks + before.hblkhd);
    free(packed.data);
}

/* Each beginning of a body is told as such, with its length. */
static void every_cut(void **state)
{
    (void)state;
    struct packed packed = gzip_of(JSON, strlen(JSON));
    for (size_t cut = 0; cut < packed.len; cut++) {
        uint8_t *part = malloc(cut + 1); /* so that the sanitizer sees one byte too many */
        char why[80];
        memcpy(part, packed.data, cut);
        snprintf(why, sizeof(why), "gzip: the body ends in the middle, at byte %zu", cut);
        refused((struct mkto_slice){(const char *)part, cut}, MKTO_EVENT_MAX,
                MKTO_ANSWER_BAD_REQUEST, why);
        free(part);
    }
    free(packed.data);
    refused(MKTO_SLICE_NONE, MKTO_EVENT_MAX, MKTO_ANSWER_BAD_REQUEST,
            "gzip: the body ends in the middle, at byte 0");
}

/* None is taken for another text. */
static void every_wrong_bit(void **state)
{
    (void)state;
    struct packed packed = gzip_of(JSON, strlen(JSON));
    for (size_t bit = 0; bit < packed.len * 8; bit++) {
        struct mkto_slice got = MKTO_SLICE_NONE;
        struct mkto_event_fault fault = {MKTO_ANSWER_STORED, MKTO_ERROR_INIT};
        packed.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (mkto_gunzip_read(gunzip, gzip_slice(&packed), MKTO_EVENT_MAX, &got, &fault) == 0) {
            assert_true(mkto_slice_is(got, JSON)); /* of the time, say, or behind the last code */
        } else {
            assert_int_equal(fault.answer, MKTO_ANSWER_BAD_REQUEST);
        }
        packed.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    packed.data[packed.len - 8] ^= 1u;
    char why[80];
    snprintf(why, sizeof(why), "gzip: incorrect data check at byte %zu", packed.len - 4);
    refused(gzip_slice(&packed), MKTO_EVENT_MAX, MKTO_ANSWER_BAD_REQUEST, why);
    free(packed.data);
}

static void what_is_none(void **state)
{
    (void)state;
    struct packed packed = gzip_of(JSON, strlen(JSON));
    const size_t end = packed.len;
    char why[80];
    packed.data = realloc(packed.data, end + 8);
    memcpy(packed.data + end, "garbage", 8);
    packed.len = end + 7;
    snprintf(why, sizeof(why), "gzip: incorrect header check at byte %zu", end + 2);
    refused(gzip_slice(&packed), MKTO_EVENT_MAX, MKTO_ANSWER_BAD_REQUEST, why);
    free(packed.data);
    refused(MKTO_SLICE_LIT(JSON), MKTO_EVENT_MAX, MKTO_ANSWER_BAD_REQUEST,
            "gzip: incorrect header check at byte 2");
    refused(MKTO_SLICE_LIT("\x78\x9c\x01\x00\x00\xff\xff\x00\x00\x00\x01"), MKTO_EVENT_MAX,
            MKTO_ANSWER_BAD_REQUEST, "gzip: incorrect header check at byte 2"); /* deflate */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text),       cmocka_unit_test(several_members),
        cmocka_unit_test(limits),       cmocka_unit_test(a_header_with_everything),
        cmocka_unit_test(a_bomb),       cmocka_unit_test(every_cut),
        cmocka_unit_test(what_is_none), cmocka_unit_test(every_wrong_bit),
    };
    apr_initialize();
    const int failed = cmocka_run_group_tests(tests, setup, teardown);
    apr_terminate();
    return failed;
}
