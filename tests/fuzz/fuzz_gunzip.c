/*
 * fuzz_gunzip: a body that says it is gzip. The input is tried as such; and as a text it is packed
 * in two members and must come back, but not from a beginning of them.
 */
#include "check_core.h"
#include "mkto_gunzip.h"

#include "../unit/core/gzip_text.h"

#define MAX 4096

static struct mkto_gunzip *gunzip;

static bool read_packed(struct mkto_slice packed, size_t max, struct mkto_slice *text)
{
    struct mkto_event_fault fault = {MKTO_ANSWER_STORED, MKTO_ERROR_INIT};
    if (mkto_gunzip_read(gunzip, packed, max, text, &fault) == 0) {
        HOLDS(text->data != NULL && text->len <= max);
        return true;
    }
    check_error(&fault.error, packed.len);
    HOLDS(check_clean(fault.error.text)); /* it goes into an answer of JSON */
    HOLDS(fault.answer == MKTO_ANSWER_BAD_REQUEST || fault.answer == MKTO_ANSWER_TOO_LARGE);
    return false;
}

static void check_members(struct mkto_slice text)
{
    const size_t half = text.len / 2;
    struct packed packed = gzip_of(text.data, half);
    struct mkto_slice got = MKTO_SLICE_NONE;
    const size_t first = packed.len;

    gzip_add(&packed, text.data + half, text.len - half);
    HOLDS(read_packed(gzip_slice(&packed), text.len, &got) && mkto_slice_eq(got, text));
    HOLDS(text.len == 0 || !read_packed(gzip_slice(&packed), text.len - 1, &got));
    packed.len -= 1 + text.len % (packed.len - first - 1);
    HOLDS(!read_packed(gzip_slice(&packed), text.len, &got));
    free(packed.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mkto_slice input = {(const char *)data, size};
    struct mkto_slice text = MKTO_SLICE_NONE;
    apr_pool_t *pool = check_pool();

    gunzip = mkto_gunzip_create(pool);
    read_packed(input, MAX, &text);
    if (size > 0 && size <= MAX) {
        check_members(input);
    }
    check_pool_end(pool);
    return 0;
}
