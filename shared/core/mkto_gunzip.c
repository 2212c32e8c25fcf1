#include "mkto_gunzip.h"

#include <stdlib.h>

#define ZLIB_CONST
#include <zlib.h>

#define GZIP_ONLY (16 + MAX_WBITS) /* windowBits of inflateInit2: not zlib's own format */

struct mkto_gunzip {
    z_stream stream;
    uint8_t text[MKTO_BODY_MAX + 1]; /* the last byte tells a text that is too long */
};

/* zlib asks for its state at the beginning and for its window once; a reset keeps both. */
static voidpf allocate(voidpf pool, uInt count, uInt size)
{
    return apr_palloc(pool, (apr_size_t)count * size);
}

static void release(voidpf pool, voidpf memory)
{
    (void)pool;
    (void)memory;
}

struct mkto_gunzip *mkto_gunzip_create(apr_pool_t *pool)
{
    struct mkto_gunzip *gunzip = apr_palloc(pool, sizeof(*gunzip));
    gunzip->stream = (z_stream){.zalloc = allocate, .zfree = release, .opaque = pool};
    if (inflateInit2(&gunzip->stream, GZIP_ONLY) != Z_OK) {
        abort(); /* no memory, or another zlib than the one we were built with */
    }
    return gunzip;
}

static int refuse(struct mkto_event_fault *fault, const z_stream *stream, int code, size_t at)
{
    fault->answer = MKTO_ANSWER_BAD_REQUEST;
    if (code == Z_BUF_ERROR) {
        return mkto_error_set(&fault->error, "gzip: the body ends in the middle, at byte %zu", at);
    }
    return mkto_error_set(&fault->error, "gzip: %s at byte %zu",
                          stream->msg != NULL ? stream->msg : "it cannot be read", at);
}

int mkto_gunzip_read(struct mkto_gunzip *gunzip, struct mkto_slice packed, size_t max,
                     struct mkto_slice *text, struct mkto_event_fault *fault)
{
    z_stream *stream = &gunzip->stream;
    const size_t limit = max < MKTO_BODY_MAX ? max : MKTO_BODY_MAX;
    int code;
    stream->next_in = (const Bytef *)packed.data;
    stream->avail_in = (uInt)packed.len;
    stream->next_out = gunzip->text;
    stream->avail_out = (uInt)(limit + 1);
    do {
        inflateReset(stream);
        code = inflate(stream, Z_FINISH);
    } while (code == Z_STREAM_END && stream->avail_in > 0 && stream->avail_out > 0);
    if (stream->avail_out == 0) {
        fault->answer = MKTO_ANSWER_TOO_LARGE;
        return mkto_error_set(&fault->error, "gzip: the text has more than %zu bytes", limit);
    }
    if (code != Z_STREAM_END) {
        return refuse(fault, stream, code, packed.len - stream->avail_in);
    }
    *text = (struct mkto_slice){(const char *)gunzip->text, limit + 1 - stream->avail_out};
    return 0;
}
