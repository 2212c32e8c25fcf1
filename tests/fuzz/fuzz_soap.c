/* fuzz_soap: an answer of the SOAP API, or what stands in for one. */
#include "check_core.h"
#include "mkto_soap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mkto_slice body = {(const char *)data, size};
    struct mkto_call_result result;
    apr_pool_t *pool = check_pool();

    mkto_soap_read(body, &result, pool);
    check_result(MKTO_API_SOAP, body, &result, MKTO_SOAP_BATCH_MAX, pool);
    check_pool_end(pool);
    return 0;
}
