/*
 * Bodies as gzip, for tests: zlib packs what ours has to unpack.
 */
#ifndef GZIP_TEXT_H
#define GZIP_TEXT_H

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "mkto_slice.h"

struct packed {
    uint8_t *data; /* room for one member of any text of that length; free() it */
    size_t len;
};

/* One member, behind those that are there. */
static inline void gzip_add(struct packed *packed, const void *text, size_t len)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        abort();
    }
    const size_t room = deflateBound(&stream, (uLong)len);
    packed->data = realloc(packed->data, packed->len + room);
    stream.next_in = (Bytef *)(uintptr_t)text;
    stream.avail_in = (uInt)len;
    stream.next_out = packed->data + packed->len;
    stream.avail_out = (uInt)room;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END) {
        abort();
    }
    packed->len += room - stream.avail_out;
    deflateEnd(&stream);
}

static inline struct packed gzip_of(const void *text, size_t len)
{
    struct packed packed = {NULL, 0};
    gzip_add(&packed, text, len);
    return packed;
}

static inline struct mkto_slice gzip_slice(const struct packed *packed)
{
    return (struct mkto_slice){(const char *)packed->data, packed->len};
}

#endif
