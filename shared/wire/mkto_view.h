/*
 * mkto_view: a page view as it crosses the socket, in a VIEW frame (mkto_frame): what a web server
 * saw, as it came. The server finds out that a page was shown and that nothing private forbids to
 * record it; the courier, whether a person saw it and who, and makes the event. So it costs the
 * server little more than a copy, and the spool holds no such frame.
 *
 * Payload: u64 seq, u64 deadline, i64 received, 16 bytes of id, u8 https, u8 count of cookies; then
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

struct mkto_view {
    uint64_t seq;         /* as an event's (mkto_event_frame) */
    uint64_t deadline_ms; /* likewise */
    int64_t received_ms;  /* wall clock at receipt, ms since the epoch */
    uint8_t id[MKTO_VIEW_ID];
    struct mkto_slice subscription; /* name of the [marketo name] section; empty for the unnamed */
    struct mkto_slice email;        /* what marketo_email says, as in an envelope */
};

/* The texts of one, in the order of the payload; they point where those of the request do. */
#define MKTO_VIEW_TEXTS 12 /* beside the cookies */

struct mkto_view_texts {
    size_t count;
    struct mkto_slice of[MKTO_VIEW_TEXTS + MKTO_REQUEST_COOKIES_MAX];
};

/*
 * Writing in two steps, so that room can be made between them. list: size of the whole frame. Path
 * and referrer are cut as mkto_page_fit cuts them; 0: it cannot be made to fit. Of the request only
 * what stands in the payload goes along.
 */
size_t mkto_view_list(const struct mkto_view *view, const struct mkto_request *request,
                      struct mkto_view_texts *texts);
void mkto_view_put(const struct mkto_view *view, const struct mkto_request *request,
                   const struct mkto_view_texts *texts, uint8_t *out);

/* Both, as the writers of other frames (mkto_frame). */
size_t mkto_view_write(const struct mkto_view *view, const struct mkto_request *request,
                       uint8_t *out);

/* 0, or -1 with the reason. The request is as the server had it before mkto_request_settle, without
 * munchkin_id, which is the courier's to set. Slices point into the payload. */
int mkto_view_read(const struct mkto_frame *frame, struct mkto_view *view,
                   struct mkto_request *request, struct mkto_error *err);

#endif
