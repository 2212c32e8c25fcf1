/*
 * mkto_envelope: one tracking call as it crosses the socket and lies in the spool: the body
 * untouched, and what the web server knew about the request.
 *
 * Encoded as a run of fields, each: u8 tag, u32 length (little-endian), bytes. Unknown tags are
 * skipped when read, so that an older courier can read a newer module; a repeated tag, a length
 * that runs past the end, or a fixed-size field of the wrong size is an error. All slices of a
 * decoded envelope point into the input.
 */
#ifndef MKTO_ENVELOPE_H
#define MKTO_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "mkto_error.h"
#include "mkto_route.h"
#include "mkto_slice.h"

/* Longest text fields in bytes. The encoder cuts longer ones, at the start of a UTF-8 character,
 * but for cookie, which is left out, and email, which becomes empty; the decoder refuses them. */
#define MKTO_ENVELOPE_NAME_MAX 64     /* subscription, request id, source */
#define MKTO_ENVELOPE_ADDR_MAX 64     /* remote address */
#define MKTO_ENVELOPE_HOST_MAX 260    /* host with port */
#define MKTO_ENVELOPE_HEADER_MAX 1024 /* user agent, accept-language, dnt, gpc, origin */
#define MKTO_ENVELOPE_REFERER_MAX 4096
#define MKTO_ENVELOPE_COOKIE_MAX 320 /* the visitor's cookie, formatted */
#define MKTO_ENVELOPE_EMAIL_MAX 320  /* an address has at most 254 bytes (RFC 5321) */
#define MKTO_ENVELOPE_OVERHEAD 12288 /* at most this many bytes beside body and defaults */

enum mkto_envelope_flag {
    MKTO_ENVELOPE_HTTPS = 1 << 0,   /* the request came over TLS, as the web server sees it */
    MKTO_ENVELOPE_BROWSER = 1 << 1, /* it had Origin or Sec-Fetch-Site */
    MKTO_ENVELOPE_KEYED = 1 << 2,   /* set by the courier: a configured write key was given, and by
                                       no browser, whose key everybody can read */
    MKTO_ENVELOPE_OWN = 1 << 3,     /* a page of this very host sent it (MKTO_SITE_OWN) */
    MKTO_ENVELOPE_PIXEL = 1 << 4,   /* body is the query string of v1/pixel, not JSON; never in the
                                       spool: the courier stores the JSON that it means */
    MKTO_ENVELOPE_SERVER = 1 << 5,  /* a page view that the web server recorded itself */
};

struct mkto_envelope {
    enum mkto_call call;
    uint32_t flags;
    uint32_t text_max;   /* not 0: body is gzip (RFC 1952) of a text of at most so many bytes; never
                            in the spool: the courier stores the text */
    int64_t received_ms; /* wall clock at receipt, ms since the epoch */
    struct mkto_slice
        subscription; /* name of the [marketo name] section; empty for the unnamed one */
    struct mkto_slice remote_addr; /* as the web server resolved it: text form, no port */
    struct mkto_slice host;        /* Host header, with port if given */
    struct mkto_slice user_agent;
    struct mkto_slice accept_language;
    struct mkto_slice referer;
    struct mkto_slice origin;
    struct mkto_slice dnt; /* value of the DNT header */
    struct mkto_slice gpc; /* value of the Sec-GPC header */
    struct mkto_slice
        cookie; /* the visitor's _mkto_trk, formatted by mkto_cookie_format; no other cookie ever */
    struct mkto_slice request_id; /* made at receipt: the message id of a call that brings none;
                                     index added in a batch */
    struct mkto_slice body;       /* JSON text; in the spool of a batch: the text of one item */
    struct mkto_slice defaults;   /* in the spool only: JSON object with batch-level context,
                                     integrations, sentAt */
    struct mkto_slice source; /* in the spool only: name of the [sources] row whose write key was
                                 given */
    struct mkto_slice email;  /* what marketo_email says of the visitor: the site vouches for it.
                                 Empty: it is set, and names nobody; so is one that is too long */
};

/* Exact number of bytes that mkto_envelope_encode will write. */
size_t mkto_envelope_size(const struct mkto_envelope *envelope);

/* Writes to out, which has at least mkto_envelope_size bytes; returns the number written. Absent
 * slices are left out. */
size_t mkto_envelope_encode(const struct mkto_envelope *envelope, uint8_t *out);

/* Returns 0, or -1 with the reason in err. */
int mkto_envelope_decode(const uint8_t *data, size_t len, struct mkto_envelope *envelope,
                         struct mkto_error *err);

#endif
