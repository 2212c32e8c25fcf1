/*
 * mkto_inbox: whole frames out of bytes that a socket cuts as it likes. The part of mkto_client
 * that puts them together.
 */
#ifndef MKTO_INBOX_H
#define MKTO_INBOX_H

#include "mkto_frame.h"

/* Starts as zeroes. It holds memory from the beginning of a frame that is cut until what follows it
 * comes. */
struct mkto_inbox {
    uint8_t *data; /* its beginning; NULL when there is none */
    size_t len, size;
    bool whole; /* it was handed out */
};

/*
 * Takes bytes off the front of data, up to the end of one frame. Returns how many; -1 with the
 * reason when they are none, or memory runs out. When the frame is whole, *frame is it, valid as
 * long as data and until the next call; else its payload is NULL.
 */
long mkto_inbox_take(struct mkto_inbox *inbox, const uint8_t *data, size_t len,
                     struct mkto_frame *frame, struct mkto_error *err);

/* Forgets what came. */
void mkto_inbox_clear(struct mkto_inbox *inbox);

#endif
