/*
 * mkto_pixel: the query of v1/pixel/<call> as the JSON body of the call that it means (contract
 * segment-api-and-mapping 4, "pixel").
 *
 * Either `data=`, base64 of the call's JSON: standard or URL-safe, padded or not, percent-encoded
 * or not; of the other parameters only writeKey counts then, where the JSON has none. Or a member
 * for each parameter, dots leading into objects: `userId=u1&properties.subject=Hello+World`. All
 * values are texts there, numbers too, since a text may look like one; true and false below
 * `integrations` alone are booleans, for only those switch anything.
 */
#ifndef MKTO_PIXEL_H
#define MKTO_PIXEL_H

#include <apr_pools.h>

#include "mkto_error.h"
#include "mkto_slice.h"

#define MKTO_PIXEL_QUERY_MAX 16384    /* bytes; web servers take 8 KB of request line */
#define MKTO_PIXEL_PARAMETERS_MAX 256 /* further ones are an error */

/*
 * Returns 0 and the body, in the pool or in the query's memory, or -1 with the reason: a limit, a
 * broken percent-encoding or base64, text that is not UTF-8 or, in data, no JSON object; a name
 * that stands twice, or is both a value and an object (`a=1&a.b=2`), or has an empty part
 * (`a..b`).
 */
int mkto_pixel_read(struct mkto_slice query, struct mkto_slice *body, struct mkto_error *err,
                    apr_pool_t *pool);

#endif
