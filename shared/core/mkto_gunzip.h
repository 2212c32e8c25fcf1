/*
 * mkto_gunzip: the text of a body that came as gzip (RFC 1952), as the SDKs of apps send it.
 *
 * One of them serves all bodies: zlib's state and room for the longest text are made with it and
 * kept, so that a body, whatever it says of itself, makes nothing grow.
 */
#ifndef MKTO_GUNZIP_H
#define MKTO_GUNZIP_H

#include <apr_pools.h>

#include "mkto_event.h"

struct mkto_gunzip;

/* Lives as long as the pool: about 1.1 MB, of which is touched what texts need. */
struct mkto_gunzip *mkto_gunzip_create(apr_pool_t *pool);

/*
 * Inflates one or more members, whose texts follow each other; anything else before, between or
 * behind them is an error. max: bytes of text, at most MKTO_BODY_MAX (more counts as that). The
 * text holds until the next call. Returns 0, or -1 with fault: TOO_LARGE as soon as the text is
 * longer than max, BAD_REQUEST with the byte of packed up to which it could be read.
 */
int mkto_gunzip_read(struct mkto_gunzip *gunzip, struct mkto_slice packed, size_t max,
                     struct mkto_slice *text, struct mkto_event_fault *fault);

#endif
