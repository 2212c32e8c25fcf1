#include "mkto_inbox.h"

#include <stdlib.h>

#include "mkto_bytes.h"

#define SIZE_FIRST 4096                                /* bytes of the first buffer */
#define SIZE_MOST (MKTO_FRAME_HEADER + MKTO_FRAME_MAX) /* bytes: one frame */

void mkto_inbox_clear(struct mkto_inbox *inbox)
{
    free(inbox->data);
    memset(inbox, 0, sizeof(*inbox));
}

/* How many more bytes the frame in the buffer needs, as far as its header tells. */
static size_t bytes_missing(const struct mkto_inbox *inbox)
{
    if (inbox->len < MKTO_FRAME_HEADER) {
        return MKTO_FRAME_HEADER - inbox->len;
    }
    return MKTO_FRAME_HEADER + mkto_bytes_get32(inbox->data) - inbox->len;
}

static int keep(struct mkto_inbox *inbox, const uint8_t *data, size_t len, struct mkto_error *err)
{
    const size_t need = inbox->len + len;
    if (need > inbox->size) {
        size_t size = inbox->size == 0 ? SIZE_FIRST : inbox->size * 2;
        size = size < need ? need : size;
        size = size > SIZE_MOST ? SIZE_MOST : size;
        uint8_t *more = realloc(inbox->data, size);
        if (more == NULL) {
            return mkto_error_set(err, "out of memory for a frame");
        }
        inbox->data = more;
        inbox->size = size;
    }
    mkto_bytes_put(inbox->data + inbox->len, data, len);
    inbox->len = need;
    return 0;
}

/* Takes what the kept frame lacks, and no more. */
static long complete(struct mkto_inbox *inbox, const uint8_t *data, size_t len,
                     struct mkto_frame *frame, struct mkto_error *err)
{
    const size_t need = bytes_missing(inbox);
    const size_t used = len < need ? len : need;
    if (keep(inbox, data, used, err) != 0) {
        return -1;
    }
    const long size = mkto_frame_next(inbox->data, inbox->len, frame, err);
    inbox->whole = size > 0;
    return size < 0 ? -1 : (long)used;
}

long mkto_inbox_take(struct mkto_inbox *inbox, const uint8_t *data, size_t len,
                     struct mkto_frame *frame, struct mkto_error *err)
{
    frame->payload = NULL;
    if (inbox->whole) {
        mkto_inbox_clear(inbox);
    }
    if (inbox->len > 0) {
        return complete(inbox, data, len, frame, err);
    }
    const long size = mkto_frame_next(data, len, frame, err); /* straight from the caller's bytes */
    if (size != 0) {
        return size;
    }
    return keep(inbox, data, len, err) == 0 ? (long)len : -1;
}
