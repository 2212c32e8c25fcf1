/*
 * mkto_intake_state: what the files of intake share. No other file includes this.
 *
 * The way of an event: peer reads bytes, frame takes them apart, event or batch checks and hands
 * each to store, which appends it to the turn's transaction; its verdict waits at the peer until
 * mkto_intake_commit.
 */
#ifndef MKTO_INTAKE_STATE_H
#define MKTO_INTAKE_STATE_H

#include <event2/event.h>
#include <sys/types.h>
#include <syslog.h>

#include "mkto_event.h"
#include "mkto_gunzip.h"
#include "mkto_intake.h"
#include "mkto_map.h"
#include "mkto_rate.h"
#include "mkto_tally.h"
#include "mkto_view.h"

struct mkto_bytes {
    uint8_t *data;
    size_t len;
    size_t size;
};

/* A verdict that waits for the end of the turn. */
struct mkto_due {
    struct mkto_verdict_frame verdict;
    bool stored; /* it holds only if the commit does */
    bool early;  /* it goes out before the commit */
    bool aside;  /* of no event: not among the answers that are counted */
    bool status; /* its body is the courier's status, made at the end of the turn */
    bool shares; /* counted only: another one has the frame's verdict */
    bool view;   /* a page view of a web server: nobody will send it again */
};

struct mkto_peer {
    struct mkto_intake *intake;
    struct mkto_peer *next; /* all of them */
    struct mkto_peer *previous;
    struct mkto_peer *next_touched; /* those with something to do at the end of the turn */
    bool touched;
    int fd;
    uid_t uid;
    uint8_t role; /* 0 before HELLO */
    bool crowd;   /* one too many: refused when it says hello */
    bool tailing;
    bool ending;           /* no more input; closed when the output is out */
    bool broken;           /* closed at the end of the turn */
    struct event *reading; /* persistent */
    struct event *writing;
    struct mkto_bytes in;  /* the beginning of a frame, until its rest is there */
    size_t in_need;        /* bytes that make it whole, or its header */
    struct mkto_bytes out; /* what could not be written yet: from out_at on */
    size_t out_at;
    struct mkto_due *due;
    size_t due_count;
    size_t due_size;
    uint8_t refusal; /* to be sent after the verdicts */
    struct mkto_error refusal_text;
    uint64_t lost_lines; /* of tail */
    uint8_t *question;   /* payload of an ASK that waits for the end of the turn; owned, or NULL */
    size_t question_len;
};

/* An event that was answered (ack=memory) before it was stored. */
struct mkto_kept {
    struct mkto_kept *next;
    uint64_t hash;
    struct mkto_slice envelope;
};

/* What became of an event at the door, for `marketo tail`. */
struct mkto_intake_fate {
    const char *verdict; /* "accepted", "duplicate", "filtered", "rejected", "refused" */
    const char *reason;  /* a word, or NULL */
    const char *text;    /* what the client is told, or NULL */
    int64_t id;          /* of the event in the spool; 0: none */
    bool stored;         /* it holds only if the commit does */
};

struct mkto_line {
    struct mkto_line *next;
    struct mkto_note note;
    struct mkto_intake_fate fate;
};

struct mkto_turn {
    bool open;    /* the spool's transaction has begun */
    bool refused; /* no room, or it failed: everything of this turn is MKTO_ANSWER_FULL */
    bool early;   /* there are verdicts that do not wait for the commit */
    size_t bytes;
    unsigned stored;
    int64_t last_id;
    struct mkto_kept *kept; /* newest first */
    struct mkto_peer *touched;
    struct mkto_line *lines; /* oldest first */
    struct mkto_line *last_line;
    unsigned line_count;
    uint64_t lines_lost;
    bool asked; /* a web server asks for the status */
    struct mkto_slice status;
};

struct mkto_intake_counters {
    uint64_t answers[MKTO_ANSWER_COUNT]; /* verdicts */
    uint64_t stored;                     /* events */
    uint64_t duplicates;
    uint64_t filtered;
    uint64_t rejected;
    uint64_t commits;
    uint64_t failures; /* of commits */
    uint64_t refused;  /* connections */
    uint64_t hashes;   /* that were given out */
};

struct mkto_intake {
    struct event_base *base;
    const struct mkto_config *config;
    struct mkto_spool *spool;
    struct mkto_clock clock;
    struct mkto_intake_hooks hooks;
    bool own_uid_only;
    size_t clients_max;
    uid_t uid; /* ours */
    apr_pool_t *pool;
    apr_pool_t *scratch; /* one event, or one batch */
    apr_pool_t *turn_pool;
    struct mkto_turn turn;
    struct mkto_peer *peers;
    size_t peer_count;
    size_t role_count[MKTO_ROLE_TOOL + 1];
    size_t tails;
    uint64_t now;                                       /* monotonic ms, of this callback */
    int64_t wall;                                       /* ms since the epoch */
    uint8_t *buffer;                                    /* what is read goes through here */
    struct mkto_verdict_frame chunk[MKTO_VERDICTS_MAX]; /* a frame that is put together */
    int64_t last_id;
    apr_pool_t *kept_pool; /* NULL: nothing is kept */
    struct mkto_kept *kept;
    size_t kept_count;
    uint64_t kept_again; /* monotonic ms: next attempt */
    bool full_told;      /* a line said so */
    uint64_t full_said;  /* monotonic ms of the last line, +1; 0: never */
    uint64_t unknown_said;
    uint64_t frame_said;
    uint64_t key_said;
    struct mkto_rate *rate;     /* NULL until somebody is counted */
    struct mkto_gunzip *gunzip; /* NULL until a body is compressed */
    struct mkto_intake_counters counters;
    struct mkto_tally filtered_by; /* reason */
    struct mkto_tally rejected_by; /* reason */
    struct mkto_tally_minute minute;
};

#define MKTO_INTAKE_BUFFER (256u << 10) /* bytes: a unix socket holds about 200 KiB */

/* ---- mkto_intake.c ---- */
__attribute__((format(printf, 3, 4))) void mkto_intake_log(struct mkto_intake *intake, int level,
                                                           const char *format, ...);
/* True once in MKTO_INTAKE_SAY_MS. */
bool mkto_intake_may_say(struct mkto_intake *intake, uint64_t *said);
void mkto_intake_touch(struct mkto_peer *peer);
/* With an allocator of its own, which gives the memory of large batches back and needs no lock. */
apr_pool_t *mkto_intake_pool(apr_pool_t *parent);

/* ---- mkto_intake_peer.c: one connection ---- */
struct mkto_peer *mkto_peer_create(struct mkto_intake *intake, int fd, uid_t uid);
void mkto_peer_destroy(struct mkto_peer *peer);
/* Adds a verdict; memory for its body lives until the end of the turn. */
void mkto_peer_verdict(struct mkto_peer *peer, const struct mkto_due *due);
/* Room for a frame in the output, or NULL when the client is behind too far (it is dropped). */
uint8_t *mkto_peer_reserve(struct mkto_peer *peer, size_t size);
/* Verdicts as frames: the early ones, or those that are left. */
void mkto_peer_answer(struct mkto_peer *peer, bool early, bool failed);
void mkto_peer_flush(struct mkto_peer *peer);
void mkto_peer_stop_reading(struct mkto_peer *peer);

/* REFUSED, once, behind the verdicts. */
void mkto_peer_say_refusal(struct mkto_peer *peer);
void mkto_peer_tell(struct mkto_peer *peer, struct mkto_slice text, bool last);
size_t mkto_peer_unsent(const struct mkto_peer *peer);

/* ---- mkto_intake_frame.c ---- */
/* The reason goes out behind the verdicts, then the connection ends. */
void mkto_intake_refuse(struct mkto_peer *peer, enum mkto_refusal refusal,
                        const struct mkto_error *why);
/* Answers the question that waits, if one does. Not in a transaction of the spool. */
void mkto_intake_reply(struct mkto_peer *peer);
/* Whole frames off the front of data. Returns how many bytes they were; after the last good one the
 * peer may be ending. */
size_t mkto_intake_frames(struct mkto_peer *peer, const uint8_t *data, size_t len);

/* ---- mkto_intake_event.c ---- */
/* An event frame, and what the checks of its envelope found. */
struct mkto_intake_call {
    struct mkto_peer *peer;
    struct mkto_event_frame frame;
    struct mkto_envelope envelope;
    bool verbatim;        /* the envelope can be stored as it came */
    bool shares;          /* one that comes behind brings the frame's verdict */
    uint16_t retry_after; /* seconds, for the answer; 0: the answer's own */
    const struct mkto_subscription *subscription;
};
void mkto_intake_event(struct mkto_peer *peer, const struct mkto_event_frame *frame);
/* The checks of any call. false: it does not pass, and that was answered. */
bool mkto_intake_in_time(struct mkto_intake_call *call);
bool mkto_intake_subscription(struct mkto_intake_call *call); /* finds it */
/* One call, not a batch: reads it, decides, and answers. */
void mkto_intake_single(struct mkto_intake_call *call);
/* Decides on the write key, and sets the envelope's source and, but for browsers, its flag. false:
 * MKTO_ANSWER_UNAUTHORIZED. */
bool mkto_intake_key(struct mkto_intake_call *call, const struct mkto_json *root);
void mkto_intake_answer(struct mkto_intake_call *call, enum mkto_answer answer, const char *text);
/* Of what is no event: not among the answers that are counted. */
void mkto_intake_answer_aside(struct mkto_intake_call *call, enum mkto_answer answer,
                              const char *text);
/* As answer, and counted under the reason; NULL: the answer's own word. */
void mkto_intake_reject(struct mkto_intake_call *call, enum mkto_answer answer, const char *reason,
                        const char *text);
/* Counted, and told to tails, as kept out on purpose; the answer is the caller's. */
void mkto_intake_filter(struct mkto_intake_call *call, enum mkto_call type,
                        const struct mkto_event *event, const char *reason);
/* The body of an answer that says why. */
struct mkto_slice mkto_intake_body(struct mkto_intake *intake, const char *text);
uint64_t mkto_intake_hash(const struct mkto_subscription *subscription, struct mkto_slice id);

/* ---- mkto_intake_view.c ---- */
/* A page view that a web server passes on: judges it, and makes the page event of it. The last one
 * of a frame brings the frame's verdict. */
void mkto_intake_view(struct mkto_peer *peer, const struct mkto_view *view,
                      struct mkto_request *request, uint64_t seq, bool last);

/* ---- mkto_intake_rate.c ---- */
/* So many events: may they come from that network now? false: too many, and that was answered. */
bool mkto_intake_admit(struct mkto_intake_call *call, unsigned count);
/* The same for hashes, which are fewer; false: nothing is answered, retry_after is set. */
bool mkto_intake_admit_hash(struct mkto_intake_call *call);

/* ---- mkto_intake_mask.c ---- */
/* The request's address, as it may be stored. */
void mkto_intake_mask(struct mkto_intake_call *call);
/* The text of an event, or what a batch says for all (event NULL), as it may be stored. */
struct mkto_slice mkto_intake_masked(const struct mkto_intake_call *call,
                                     const struct mkto_event *event, struct mkto_slice text);

/* ---- mkto_intake_sign.c: MKTO_CALL_HASH ---- */
void mkto_intake_sign(struct mkto_intake_call *call);

/* ---- mkto_intake_status.c: MKTO_CALL_STATUS ---- */
void mkto_intake_ask_status(struct mkto_intake_call *call);
/* Makes the answer to those that asked in this turn. Not in a transaction of the spool. */
void mkto_intake_make_status(struct mkto_intake *intake);
/* The status as it fits a verdict: a list of subscriptions that is too long is cut, with the number
 * of them all in subscriptions_total. Absent: it cannot be made to fit. */
struct mkto_slice mkto_intake_fit_status(struct mkto_slice json, size_t max, apr_pool_t *pool);

/* ---- mkto_intake_batch.c ---- */
void mkto_intake_batch(struct mkto_intake_call *call);

/* ---- mkto_intake_tail.c ---- */
/* A line about an event (NULL: it could not be read), told at the end of the turn. Does nothing
 * while nobody listens. */
void mkto_intake_note(struct mkto_intake_call *call, enum mkto_call type,
                      const struct mkto_event *event, const struct mkto_intake_fate *fate);
void mkto_intake_tell_lines(struct mkto_intake *intake, bool failed);

/* ---- mkto_intake_store.c ---- */
enum mkto_stored {
    MKTO_STORED_NEW,
    MKTO_STORED_SEEN, /* a duplicate */
    MKTO_STORED_NOT,  /* the spool refuses: so does the whole turn */
};
enum mkto_stored mkto_intake_store(struct mkto_intake *intake, struct mkto_slice envelope,
                                   uint64_t hash, bool memory);
/* May an event be answered before it is stored? Not while others wait for the disk. */
bool mkto_intake_early(const struct mkto_intake *intake);
/* For `marketo tail`: of an event that was handed to mkto_intake_store just now, with that memory.
 */
void mkto_intake_note_stored(struct mkto_intake_call *call, enum mkto_call type,
                             const struct mkto_event *event, enum mkto_stored stored, bool memory);
/* Commits the turn. Returns false when that failed. */
bool mkto_intake_store_commit(struct mkto_intake *intake);

#endif
