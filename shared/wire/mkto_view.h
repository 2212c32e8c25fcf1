/*
 * mkto_view: a page view as it crosses the socket, in a VIEW frame (mkto_frame): what a web server
 * saw, as it came. The server finds out that a page was shown and that nothing private forbids to
 * record it; the courier, whether a person saw it and who, and makes the event. So it costs the
 * server little more than a copy, and the spool holds no such frame.
 *
 * A frame has what gathered until it went out, and one verdict: u64 seq, u64 deadline, and the
 * views, at least one. Each is i64 received, 16 bytes of id, u8 https, u8 count of cookies; then
 * texts, each u16 length plus one and bytes, 0 for an absent one: subscription, email, address,
 * host, path; Referer, User-Agent, Accept-Language, DNT, Sec-GPC, Origin, Sec-Fetch-Site; the
 * values of _mkto_trk.
 */
#ifndef MKTO_VIEW_H
#define MKTO_VIEW_H

#include "mkto_frame.h"
#include "mkto_request.h"

#define MKTO_VIEW_ID 16          /* bytes of an id; its hex digits are the request id */
#define MKTO_VIEW_TEXT_MAX 16384 /* bytes of one text; longer ones are cut */
#define MKTO_VIEW_HEAD (MKTO_FRAME_HEADER + 8 + 8) /* bytes of a frame in front of its views */
#define MKTO_VIEWS_MAX 1024                        /* views in one frame */

struct mkto_view {
    uint64_t deadline_ms; /* CLOCK_MONOTONIC; as an event's (mkto_event_frame) */
    int64_t received_ms;  /* wall clock at receipt, ms since the epoch */
    uint8_t id[MKTO_VIEW_ID];
    struct mkto_slice subscription; /* name of the [marketo name] section; empty for the unnamed */
    struct mkto_slice email;        /* what marketo_email says, as in an envelope */
};

/*
 * Writing in two steps, so that room can be made between them. fit: bytes of the view in a frame.
 * Texts that are too long are cut where they are, path and referrer as mkto_page_fit cuts them; 0:
 * it cannot be made to fit. put: where it ends, after a fit. Of the request only what stands in the
 * payload goes along.
 */
size_t mkto_view_fit(struct mkto_view *view, struct mkto_request *request);
uint8_t *mkto_view_put(const struct mkto_view *view, const struct mkto_request *request,
                       uint8_t *out);

/* The front of a frame of len bytes: MKTO_VIEW_HEAD and the views. */
void mkto_view_head(uint64_t seq, uint64_t deadline_ms, size_t len, uint8_t *out);

/*
 * A frame's views are walked as verdicts are: zero the iterator, call until it returns 0 (end) or
 * -1 (error); 1 is one view. No view at all, or more than MKTO_VIEWS_MAX, is an error. The request
 * is as the server had it before mkto_request_settle, without munchkin_id, which is the courier's
 * to set. Slices point into the payload.
 */
struct mkto_view_iter {
    uint64_t seq; /* of the frame; there from the first view on */
    size_t offset;
    size_t count; /* views so far */
};
int mkto_views_next(const struct mkto_frame *frame, struct mkto_view_iter *iter,
                    struct mkto_view *view, struct mkto_request *request, struct mkto_error *err);

#endif
