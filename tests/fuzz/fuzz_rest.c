/* fuzz_rest: an answer of the REST API or its token service, or what stands in for one. */
#include "check_core.h"
#include "mkto_rest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mkto_slice body = {(const char *)data, size};
    struct mkto_call_result result;
    const char **names = NULL;
    apr_pool_t *pool = check_pool();

    mkto_rest_read(body, &result, pool);
    check_result(MKTO_API_REST, body, &result, MKTO_REST_BATCH_MAX, pool);
    HOLDS(result.token == NULL || check_one_line(mkto_slice_str(result.token)));
    const size_t count = mkto_rest_read_fields(body, &names, pool);
    HOLDS(count <= MKTO_REST_FIELDS_MAX);
    for (size_t i = 0; i < count; i++) {
        HOLDS(names[i] != NULL && names[i][0] != '\0');
    }
    check_pool_end(pool);
    return 0;
}
