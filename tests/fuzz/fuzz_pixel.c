/* fuzz_pixel: the query of the pixel. What it means is JSON, an object, and nothing else. */
#include "check_core.h"
#include "mkto_pixel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mkto_slice body = MKTO_SLICE_NONE;
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_error why = MKTO_ERROR_INIT;
    struct mkto_json *root = NULL;
    apr_pool_t *pool = check_pool();

    if (mkto_pixel_read((struct mkto_slice){(const char *)data, size}, &body, &err, pool) != 0) {
        check_error(&err, size);
        HOLDS(check_clean(err.text)); /* it goes into a log and an answer */
    } else if (mkto_json_parse(body, &root, &why, pool) == 0) {
        HOLDS(root->type == MKTO_JSON_OBJECT);
        check_json(root, pool);
    } else {
        HOLDS_FOR(strstr(why.text, "NUL") != NULL, why.text); /* %00: the courier says so */
    }
    check_pool_end(pool);
    return 0;
}
