/*
 * mkto_frame: what travels between web server and courier over a unix stream socket.
 *
 * A frame is a header of 8 bytes - u32 payload length, u8 type, three zero bytes - and a payload.
 * All integers are little-endian; text is u16 length and bytes. A payload is its struct's members
 * in order (an event's envelope is the rest of it; a TELL's text has a u32 length). Anything
 * malformed, bytes left over included, ends the connection: the side that met it says why. HELLO
 * and WELCOME of another wire version may be longer: what stands here stays at their front for
 * good, so that version and build can always be compared.
 *
 *   client                              courier
 *   HELLO           ------------->
 *                   <-------------      WELCOME, or REFUSED with the reason and then end of stream
 *   EVENT seq=1     ------------->
 *   VIEW seq=2      ------------->      a page view, which the courier judges (mkto_view)
 *                   <-------------      VERDICTS {1,2}      one frame for everything that one
 * commit made durable
 *                   <-------------      LOG                 to one presence connection only
 *   COUNTS          ------------->      what the server kept away itself; no answer
 *   ASK  (tools)    ------------->
 *                   <-------------      TELL ... TELL(last)
 */
#ifndef MKTO_FRAME_H
#define MKTO_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "mkto_answer.h"
#include "mkto_envelope.h"
#include "mkto_error.h"
#include "mkto_skip.h"

#define MKTO_WIRE_VERSION 3 /* a limit that grows makes another one, too */
#define MKTO_FRAME_HEADER 8 /* bytes */
#define MKTO_FRAME_MAX (MKTO_BODY_MAX + MKTO_ENVELOPE_OVERHEAD + 4096) /* bytes of payload */
#define MKTO_FRAME_TEXT_MAX 65535                                      /* bytes of one text */
#define MKTO_VERDICTS_MAX 1024                                         /* verdicts in one frame */
#define MKTO_VERDICT_BODY_MAX 61440 /* bytes of one verdict's body */
#define MKTO_AUTHORIZATION_MAX 512  /* bytes; a longer header is left out */

enum mkto_frame_type {
    MKTO_FRAME_HELLO = 1,
    MKTO_FRAME_WELCOME,
    MKTO_FRAME_REFUSED,
    MKTO_FRAME_EVENT,
    MKTO_FRAME_VERDICTS,
    MKTO_FRAME_LOG,
    MKTO_FRAME_ASK,
    MKTO_FRAME_TELL,
    MKTO_FRAME_COUNTS,
    MKTO_FRAME_VIEW,
};

enum mkto_role {
    MKTO_ROLE_EVENTS = 1,   /* a worker that sends events */
    MKTO_ROLE_PRESENCE = 2, /* keeps a spawned courier alive, takes its log */
    MKTO_ROLE_TOOL = 3,     /* the marketo command */
};

struct mkto_hello {
    uint16_t version;              /* MKTO_WIRE_VERSION of the sender */
    uint8_t role;                  /* enum mkto_role */
    uint64_t build;                /* orders builds: a larger one is newer (MKTO_BUILD) */
    uint64_t config_digest;        /* mkto_config.digest of the sender; 0 for tools */
    struct mkto_slice config_path; /* absolute */
};

struct mkto_welcome {
    uint16_t version;
    uint64_t build;
    uint64_t config_digest; /* of the config that the courier runs on now */
    uint32_t pid;
};

enum mkto_refusal {
    MKTO_REFUSED_VERSION = 1, /* other wire version */
    MKTO_REFUSED_CONFIG = 2,  /* the courier serves another config file */
    MKTO_REFUSED_PEER = 3,    /* the peer's uid may not connect */
    MKTO_REFUSED_LEAVING = 4, /* stopping, or making room for a newer build: connect again soon */
    MKTO_REFUSED_FRAME = 5,   /* malformed frame, or one that does not fit here */
    MKTO_REFUSED_CROWD = 6,   /* too many connections */
};

struct mkto_refused {
    uint8_t reason; /* enum mkto_refusal */
    struct mkto_slice text;
};

enum mkto_ack {
    MKTO_ACK_DISK = 0,   /* answer after fsync */
    MKTO_ACK_MEMORY = 1, /* answer when the courier has it; on disk within 1 s */
};

struct mkto_event_frame {
    uint64_t seq; /* chosen by the client; unique in its connection's life, kept on resend */
    uint64_t
        deadline_ms; /* CLOCK_MONOTONIC; past it the courier answers EXPIRED and stores nothing */
    uint8_t ack;     /* enum mkto_ack */
    struct mkto_slice authorization; /* Authorization header; here and not in the envelope, for it
                                        must not be spooled */
    struct mkto_slice envelope;      /* encoded */
};

struct mkto_verdict_frame {
    uint64_t seq;
    uint8_t answer;         /* enum mkto_answer */
    uint16_t retry_after;   /* seconds; 0: take the table's */
    struct mkto_slice body; /* JSON to send; empty: take the table's. ≤ MKTO_VERDICT_BODY_MAX */
};

struct mkto_log_frame {
    uint8_t level;          /* syslog severity: 3 error, 4 warning, 5 notice, 6 info */
    struct mkto_slice text; /* one line, begins with a stable id: "MKTO0103 …" */
};

struct mkto_ask {
    struct mkto_slice what; /* "status", "tail", "dead", "forget" */
    struct mkto_slice args; /* JSON object, or empty */
};

struct mkto_tell {
    bool last;
    struct mkto_slice text; /* JSON; u32 length on the wire, up to what fits a frame */
};

/* What a server has kept away from the courier since its last COUNTS, by enum mkto_skip. At most
 * MKTO_COUNTS_FRAME_MAX bytes on the wire. */
#define MKTO_COUNTS_FRAME_MAX (MKTO_FRAME_HEADER + 1 + MKTO_SKIP_COUNT * (1 + 4))

struct mkto_counts_frame {
    uint32_t of[MKTO_SKIP_COUNT];
};

struct mkto_frame {
    enum mkto_frame_type type;
    const uint8_t *payload; /* points into the caller's buffer */
    size_t len;
};

/*
 * Takes one frame off the front of data. Returns its whole size in bytes (header included), 0 when
 * more bytes are needed, or -1 with the reason in err (unknown type, reserved bytes set, payload
 * over MKTO_FRAME_MAX).
 */
long mkto_frame_next(const uint8_t *data, size_t len, struct mkto_frame *frame,
                     struct mkto_error *err);

/* Readers of payloads: 0, or -1 with the reason. Slices point into the payload. */
int mkto_hello_read(const struct mkto_frame *frame, struct mkto_hello *hello,
                    struct mkto_error *err);
int mkto_welcome_read(const struct mkto_frame *frame, struct mkto_welcome *welcome,
                      struct mkto_error *err);
int mkto_refused_read(const struct mkto_frame *frame, struct mkto_refused *refused,
                      struct mkto_error *err);
int mkto_event_frame_read(const struct mkto_frame *frame, struct mkto_event_frame *event,
                          struct mkto_error *err);
int mkto_log_read(const struct mkto_frame *frame, struct mkto_log_frame *log,
                  struct mkto_error *err);
int mkto_ask_read(const struct mkto_frame *frame, struct mkto_ask *ask, struct mkto_error *err);
/* On the wire: u8 count of rows, then rows of u8 reason and u32 number. Rows of reasons that are
 * not known here (a newer module) are skipped; one that stands twice is an error. */
int mkto_counts_frame_read(const struct mkto_frame *frame, struct mkto_counts_frame *counts,
                           struct mkto_error *err);
int mkto_tell_read(const struct mkto_frame *frame, struct mkto_tell *tell, struct mkto_error *err);

/*
 * A VERDICTS frame is walked: zero the iterator, call until it returns 0 (end) or -1 (error); 1 is
 * one verdict. No verdict at all, or more than MKTO_VERDICTS_MAX, is an error.
 */
struct mkto_verdict_iter {
    size_t offset;
    size_t count; /* verdicts so far */
};
int mkto_verdicts_next(const struct mkto_frame *frame, struct mkto_verdict_iter *iter,
                       struct mkto_verdict_frame *verdict, struct mkto_error *err);

/*
 * Writers: the size of the whole frame, header included. With out == NULL they only measure, so
 * that the caller can make room; else out has at least that many bytes. mkto_event_write takes the
 * envelope as a struct and encodes it in place. 0 means that it cannot be written (a text or the
 * payload is over its maximum).
 */
size_t mkto_hello_write(const struct mkto_hello *hello, uint8_t *out);
size_t mkto_welcome_write(const struct mkto_welcome *welcome, uint8_t *out);
size_t mkto_refused_write(const struct mkto_refused *refused, uint8_t *out);
size_t mkto_event_write(const struct mkto_event_frame *event, const struct mkto_envelope *envelope,
                        uint8_t *out);
size_t mkto_verdicts_write(const struct mkto_verdict_frame *verdicts, size_t count, uint8_t *out);
size_t mkto_log_write(const struct mkto_log_frame *log, uint8_t *out);
size_t mkto_ask_write(const struct mkto_ask *ask, uint8_t *out);
size_t mkto_counts_frame_write(const struct mkto_counts_frame *counts,
                               uint8_t *out); /* rows over 0 */
size_t mkto_tell_write(const struct mkto_tell *tell, uint8_t *out);

#endif
