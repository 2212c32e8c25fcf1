/*
 * mkto_dispatch_state: what the files of dispatch share. No other file includes this.
 *
 * The way of an event: load reads rows in the order of their ids and puts each into its lane; lead,
 * link and visit take lanes that are ready and make calls of them; answer decides by the verdict;
 * record writes what became of the events, and only then lets their lanes move on.
 */
#ifndef MKTO_DISPATCH_STATE_H
#define MKTO_DISPATCH_STATE_H

#include <syslog.h>

#include "mkto_backoff.h"
#include "mkto_budget.h"
#include "mkto_dispatch.h"
#include "mkto_event.h"
#include "mkto_gate.h"
#include "mkto_lanes.h"
#include "mkto_map.h"
#include "mkto_outcome.h"
#include "mkto_refused.h"
#include "mkto_rest.h"
#include "mkto_soap.h"
#include "mkto_tally.h"
#include "mkto_verdict.h"

/* Limits that have no key in the config. */
#define MKTO_DISPATCH_LOAD_ROWS 32          /* rows that are read at a time */
#define MKTO_DISPATCH_AHEAD_SHARE 8         /* one in so many events in memory: visits alone */
#define MKTO_DISPATCH_AHEAD_TIMES 16        /* ids that visits may be ahead, by events_max */
#define MKTO_DISPATCH_MERGE_MAX 256         /* identifies of one lead that go into one call */
#define MKTO_DISPATCH_CALL_EVENTS_MAX 10000 /* events behind one call */
#define MKTO_DISPATCH_RECORD_MAX 512        /* outcomes in one commit */
#define MKTO_DISPATCH_RECORD_MS 5   /* an outcome waits so long for others to share a commit */
#define MKTO_DISPATCH_AGAIN_MS 1000 /* after a commit or a read that failed */
#define MKTO_DISPATCH_TOKEN_MARGIN_MS 60000 /* a token is renewed so long before its end */
#define MKTO_DISPATCH_TOKEN_MIN_MS 1000     /* tokens are asked for at most so often */
#define MKTO_DISPATCH_KNOWN_WAIT_MS 300000  /* a cookie may become known so long after the event */
#define MKTO_DISPATCH_KNOWN_AGAIN_MS 15000  /* and is looked up again so often */
#define MKTO_DISPATCH_SAY_MS 60000          /* one line a minute for what goes on happening */
#define MKTO_DISPATCH_SECRET_MAX 512        /* bytes of a secret with its NUL */
#define MKTO_DISPATCH_SPLIT_ALONE 6         /* refused alone, none taken: the call is at fault */
#define MKTO_DISPATCH_VAIN_TRIES 2          /* calls held to be at fault, until a record is dead */
#define MKTO_DISPATCH_VAIN_MS 300000        /* between them; twice that at most */
#define MKTO_DISPATCH_UNSURE UINT64_C(0)    /* digest of a lead while Marketo's answer is out */

/* What an event turned out to be when it was read. */
enum fate {
    FATE_TAKEN,    /* goes into the call */
    FATE_GONE,     /* not in the spool any more */
    FATE_BAD,      /* the row is damaged */
    FATE_REJECTED, /* cannot be delivered: dead letter */
    FATE_FILTERED, /* must not be delivered: done */
    FATE_MOVED,    /* belongs in another lane, since the config changed */
};

/* How far an event has come, the bits of mkto_spool_retry's stage; 0: nothing of it is settled. */
enum {
    STAGE_LINK = 1,   /* its lead was synced, its cookie is to be associated */
    STAGE_STRIKE = 4, /* times how often a verdict of limited tries was answered */
    STAGE_LEARN = 2, /* Marketo had no lead of the id that was known for it: that is learned anew */
};

/* An event behind a call. */
struct ref {
    int64_t id;
    int stage;
    int64_t first_ms;   /* wall clock of the first attempt; 0: none yet */
    int64_t due_ms;     /* and when the next one was due */
    uint64_t token;     /* hash of its cookie's token; 0: no cookie */
    const char *reason; /* static word: REJECTED, FILTERED, BAD */
    const char *detail; /* in the errand's pool, or NULL */
    unsigned attempts;
    enum fate fate;
};

/* One record of a call: a lane, with the events at its head that it carries. */
struct parcel {
    uint32_t lane;
    uint32_t at;   /* next event of the lane to look at, while it is put together */
    uint64_t lead; /* hash of the lead: the lane's, but for links */
    struct mkto_lead merged;
    struct mkto_field *fields;
    size_t field_count;
    size_t field_max;
    size_t bytes; /* of names and values */
    struct ref *refs;
    unsigned ref_count;
    unsigned ref_max;
    unsigned taken;      /* refs that are FATE_TAKEN */
    unsigned attempts;   /* most of any ref */
    int64_t received_ms; /* of the first event */
    int64_t lead_id;     /* UPDATE and LINK */
    uint64_t digest;     /* of what is sent */
    struct ref one;      /* refs of a visit and of a link */
};

enum errand_kind {
    ERRAND_TOKEN,
    ERRAND_BATCH,  /* REST Sync Leads, SOAP syncMultipleLeads */
    ERRAND_SINGLE, /* SOAP syncLead with a cookie */
    ERRAND_UPDATE, /* REST Sync Leads of one known lead by its id */
    ERRAND_LINK,   /* REST Associate Lead */
    ERRAND_VISIT,
};

/* A call, from the first event that goes into it until its answer is dealt with. */
struct errand {
    struct mkto_dispatch *dispatch;
    struct channel *channel;
    enum errand_kind kind;
    enum mkto_api api;
    bool probe;               /* asks whether a closed gate is open again */
    bool refreshed;           /* token or signature were renewed for it already */
    bool from_group;          /* takes the lanes of a split call and no others */
    struct group *group;      /* while it takes them; owned */
    struct mkto_split *split; /* of the call that it is a part of, or NULL */
    bool open;                /* the parcel after the last one is being put together */
    apr_pool_t *pool;
    struct parcel *parcels;
    unsigned count;
    unsigned max;
    unsigned events;
    size_t bytes;
    const char *cookie; /* LINK */
    uint64_t sent_ms;   /* monotonic */
    int64_t sent_wall_ms;
    unsigned token_number; /* which token it was sent with */
    struct errand *next;
    struct parcel one; /* parcels of a visit, a link, a single lead */
};

/* Lanes of a call that Marketo refused as a whole: they go out together, without others. */
struct group {
    struct group *next;
    struct mkto_split *split; /* or NULL */
    uint32_t count;
    uint32_t at; /* next lane to take */
    uint32_t lanes[];
};

struct counters {
    uint64_t delivered; /* events */
    uint64_t merged;    /* events that shared a call with another of their lead */
    uint64_t linked;    /* cookies that were associated with their lead */
    uint64_t unchanged; /* events that cost no call */
    uint64_t retried;   /* attempts that failed and will be made again */
    uint64_t stripped;  /* values that were left out */
    uint64_t dead;      /* events */
    uint64_t filtered;  /* events */
    uint64_t calls;     /* to the lead API */
    uint64_t visits;    /* visits sent */
};

/* A subscription. */
struct channel {
    const char *name;
    const char *label; /* "[marketo NAME]" */
    const char *scope; /* of the keys of its lanes: mkto_lanes_scope */
    uint8_t number;
    const struct mkto_subscription *sub; /* NULL: not in the config any more */
    int64_t lead_interval_ms;            /* of sub, or as it was last */
    int64_t retry_for_ms;
    struct mkto_budget budget;
    bool unsaved;        /* the budget has changed since it was written */
    int64_t budget_said; /* day whose end of the budget the log has named */
    struct mkto_gate leads;
    struct mkto_gate visits;
    struct mkto_lane_queue batch;
    struct mkto_lane_queue single;
    struct mkto_lane_queue links;
    struct mkto_lane_queue views; /* visits */
    struct group *groups;
    struct errand *filling; /* a batch that is put together over several turns */
    bool single_turn;       /* single calls go next */
    bool link_turn;         /* Associate Lead goes next */
    struct errand *outbox;  /* calls that wait until their budget is recorded */
    char *token;            /* REST; owned */
    uint64_t token_until;   /* monotonic ms */
    uint64_t token_asked;   /* monotonic ms; 0: never */
    unsigned token_number;
    bool token_coming;
    unsigned token_failures;
    int64_t clock_offset_ms; /* Marketo's clock less ours */
    unsigned visits_running;
    struct mkto_refused refused;
    struct counters counters;
    struct mkto_tally filtered_by; /* reason */
    struct mkto_tally withheld_by; /* traits and fields, by rule */
    struct mkto_tally errors;      /* "rest 606" */
    struct mkto_tally_minute minute;
    uint64_t waiting[MKTO_LANE_KINDS]; /* events in memory */
    uint64_t dead_said;                /* monotonic ms */
    uint64_t dead_unsaid;
};

/*
 * Visits that were put into their lanes ahead of the loader, past leads for which there is no room:
 * which ones, until the loader has passed them. A bit each, as their meaning may change on the way.
 */
struct ahead {
    int64_t cursor; /* last id that was looked at; not above the loader's: nothing is ahead */
    bool more;      /* visits may follow the cursor */
    uint8_t *marks; /* of id modulo how far ahead they may be; NULL: none */
};

struct mkto_dispatch {
    const struct mkto_config *config;
    struct mkto_spool *spool;
    struct mkto_transport *transport;
    struct mkto_clock clock;
    struct mkto_dispatch_hooks hooks;
    apr_pool_t *pool;    /* channels and names: as long as the dispatch */
    apr_pool_t *scratch; /* one event; cleared by whoever reads the next */
    apr_pool_t *answers; /* one answer */
    struct mkto_lanes *lanes;
    struct channel *channels[MKTO_LANES_CHANNELS_MAX];
    unsigned channel_count;
    unsigned turn_of; /* channel that may start first in the next turn */
    struct mkto_outcomes outcomes;
    uint64_t outcomes_since;
    uint64_t record_again; /* monotonic ms: not before, after a failure */
    bool blocked;          /* outcomes cannot be written: start nothing */
    uint64_t record_said;
    int64_t cursor;   /* last id that was loaded */
    int64_t accepted; /* last id that is known to be there */
    bool more;        /* rows may follow the cursor */
    size_t events_max;
    struct ahead ahead;
    uint64_t load_again;
    bool hold;
    bool leaving; /* destroy: nothing is started any more */
    size_t in_flight;
    uint64_t deadline; /* of this turn */
    uint64_t next;
    struct mkto_backoff backoff;
    struct errand *spare; /* errands without a pool, to use again */
    uint64_t bad_rows;
};

/* ---- mkto_dispatch.c ---- */
uint64_t mkto_dispatch_mono(const struct mkto_dispatch *dispatch);
int64_t mkto_dispatch_wall(const struct mkto_dispatch *dispatch);
bool mkto_dispatch_late(const struct mkto_dispatch *dispatch); /* the turn's time is over */
__attribute__((format(printf, 3, 4))) void mkto_dispatch_log(struct mkto_dispatch *dispatch,
                                                             int level, const char *format, ...);

/* ---- mkto_dispatch_read.c: a row and what it means today ---- */
struct reading {
    struct mkto_spool_row row;
    struct mkto_envelope envelope;
    struct channel *channel; /* NULL when the row is too bad to tell */
    struct mkto_delivery delivery;
    enum fate fate;
    const char *reason;
    const char *detail;
    enum mkto_lane_kind kind; /* where it belongs, when TAKEN */
    uint64_t lane;
    uint64_t lead;  /* hash; LEAD and LINK */
    uint64_t token; /* hash of the cookie's token; 0: none */
    uint64_t alone; /* LEAD without e-mail: its lane while nobody knows the cookie; else 0 */
};
/* Of a row that was read; everything in the pool. */
void mkto_dispatch_read_row(struct mkto_dispatch *dispatch, struct reading *reading,
                            apr_pool_t *pool);
/* By id. Returns false when the spool could not be read. */
bool mkto_dispatch_read(struct mkto_dispatch *dispatch, int64_t id, struct reading *reading,
                        apr_pool_t *pool);
/* SOAP: must this lead's cookie go along? Not when it is one of ours and Marketo has it. */
bool mkto_dispatch_needs_cookie(struct mkto_dispatch *dispatch, const struct reading *reading);
/* A lead that cannot go in a batch: SOAP's with a cookie, REST's without an e-mail. */
bool mkto_dispatch_goes_alone(struct mkto_dispatch *dispatch, const struct reading *reading);

/* ---- mkto_dispatch_load.c ---- */
/* Reads rows into lanes for this turn. */
void mkto_dispatch_load(struct mkto_dispatch *dispatch);
/* Puts one that was read into its lane, or records that it has none. */
void mkto_dispatch_place(struct mkto_dispatch *dispatch, const struct reading *reading);
/* The same for one whose new stage is an outcome that waits to be recorded: a lane that begins with
 * it stands still until then, as the row would be read in its old stage. */
void mkto_dispatch_place_later(struct mkto_dispatch *dispatch, const struct reading *reading);
uint64_t mkto_dispatch_load_when(const struct mkto_dispatch *dispatch, uint64_t now);
/* Up to MKTO_DISPATCH_LOAD_ROWS rows behind the id. Returns how many; -1: the log says why, and the
 * loader waits. */
int mkto_dispatch_load_rows(struct mkto_dispatch *dispatch, int64_t after,
                            struct mkto_spool_row *rows, apr_pool_t *pool);

/* ---- mkto_dispatch_ahead.c: visits go past leads that wait in the spool ---- */
/* The loader stands still for want of room; may visits be loaded all the same? */
bool mkto_dispatch_ahead_may(const struct mkto_dispatch *dispatch);
/* Loads visits of some rows. Returns true when there is more to do. */
bool mkto_dispatch_ahead_load(struct mkto_dispatch *dispatch);
/* Was that event loaded ahead? */
bool mkto_dispatch_ahead_has(const struct mkto_dispatch *dispatch, int64_t id);
/* The loader has come from one id to the other. */
void mkto_dispatch_ahead_passed(struct mkto_dispatch *dispatch, int64_t from, int64_t to);
void mkto_dispatch_ahead_clear(struct mkto_dispatch *dispatch);

/* ---- mkto_dispatch_lane.c: lanes between calls ---- */
/* An IDLE lane, to its queue. */
void mkto_dispatch_ready(struct mkto_dispatch *dispatch, uint32_t lane);
/* A lane whose outcomes are recorded: closed, waiting or ready. */
void mkto_dispatch_settle(struct mkto_dispatch *dispatch, uint32_t lane);
/* A BUSY lane whose call came to nothing, to the front of its queue; it is sent without a wait. */
void mkto_dispatch_put_back(struct mkto_dispatch *dispatch, uint32_t lane);
/* A BUSY lane that may be looked at again at due, with nothing to record. */
void mkto_dispatch_postpone(struct mkto_dispatch *dispatch, uint32_t lane, uint64_t due);
/* Undoes what is being put together: before a reload. */
void mkto_dispatch_unpack(struct mkto_dispatch *dispatch, struct channel *channel);
/* Lanes of a subscription that the config no longer has: dead letters, to be replayed when it is
 * back. */
void mkto_dispatch_orphans(struct mkto_dispatch *dispatch, struct channel *channel);
/* The monotonic time of a wall clock time that was saved. */
uint64_t mkto_dispatch_mono_of(const struct mkto_dispatch *dispatch, int64_t wall_ms);

/* ---- mkto_dispatch_record.c ---- */
void mkto_dispatch_outcome(struct mkto_dispatch *dispatch, const struct mkto_outcome *outcome);
void mkto_dispatch_done(struct mkto_dispatch *dispatch, int64_t id);
void mkto_dispatch_bury(struct mkto_dispatch *dispatch, struct channel *channel,
                        const struct ref *ref, const char *what, uint64_t lead, const char *answer);
void mkto_dispatch_settle_later(struct mkto_dispatch *dispatch, uint32_t lane);
/* Writes what is due to be written, and lets calls go whose budget is saved. */
void mkto_dispatch_record(struct mkto_dispatch *dispatch);
uint64_t mkto_dispatch_record_when(const struct mkto_dispatch *dispatch);

/* ---- mkto_dispatch_merge.c: the events of a lane become one lead ---- */
enum merged {
    MERGED_MORE,  /* the turn's time is over: call again with the same parcel */
    MERGED_WHOLE, /* it can be sent (or has nothing to send: taken is 0) */
    MERGED_NOT,   /* not now: the lane has been postponed or queued elsewhere */
};
void mkto_dispatch_merge_begin(struct mkto_dispatch *dispatch, struct parcel *parcel,
                               uint32_t lane);
enum merged mkto_dispatch_merge(struct mkto_dispatch *dispatch, struct errand *errand,
                                struct parcel *parcel);
/* Events at the head of the lane leave it with the parcel: TAKEN ones as `done` says, the others by
 * their fate. */
enum ending {
    ENDING_DONE,
    ENDING_DEAD,
    ENDING_LINK, /* delivered; the first event of each new cookie goes on to be associated */
};
void mkto_dispatch_end(struct mkto_dispatch *dispatch, struct channel *channel,
                       struct parcel *parcel, enum ending ending, const char *what,
                       const char *reason, const char *answer);
bool mkto_dispatch_ref_add(struct parcel *parcel, const struct ref *ref, apr_pool_t *pool);
/* How often verdicts with limited tries were answered, of the event that has most. */
unsigned mkto_dispatch_strikes(const struct parcel *parcel);
/* How many events of the parcel count as delivered with it: not those that were delivered before
 * and only wait for their lead's id. An update is their first delivery. */
unsigned mkto_dispatch_counted(const struct errand *errand, const struct parcel *parcel);

/* ---- mkto_dispatch_lead.c, _link.c, _visit.c: calls ---- */
/* When one could be started: not after now means now, UINT64_MAX: when something else happens. */
uint64_t mkto_dispatch_lead_when(struct channel *channel, const struct mkto_dispatch *dispatch);
uint64_t mkto_dispatch_link_when(struct channel *channel, const struct mkto_dispatch *dispatch);
uint64_t mkto_dispatch_visit_when(struct channel *channel, const struct mkto_dispatch *dispatch);
void mkto_dispatch_lead_start(struct mkto_dispatch *dispatch, struct channel *channel);
void mkto_dispatch_link_start(struct mkto_dispatch *dispatch, struct channel *channel);
void mkto_dispatch_visit_start(struct mkto_dispatch *dispatch, struct channel *channel);
/* A visit that was just read goes out at once when nothing stands in its way. */
bool mkto_dispatch_visit_now(struct mkto_dispatch *dispatch, const struct reading *reading,
                             uint32_t lane);

/* ---- mkto_dispatch_errand.c ---- */
struct errand *mkto_dispatch_errand(struct mkto_dispatch *dispatch, struct channel *channel,
                                    enum errand_kind kind);
void mkto_dispatch_errand_free(struct errand *errand);
/* A call to the lead API: its budget is spent, it goes when that is recorded. */
void mkto_dispatch_errand_post(struct errand *errand);
/* Writes the request and hands it to the transport. */
void mkto_dispatch_errand_send(struct errand *errand);
/* When the lead API may be called, gate, token and budget considered. */
uint64_t mkto_dispatch_api_when(struct channel *channel, const struct mkto_dispatch *dispatch,
                                enum mkto_budget_use use);
/* REST without a token: asks for one. Returns true when there is one already, or none is needed. */
bool mkto_dispatch_token(struct mkto_dispatch *dispatch, struct channel *channel);
void mkto_dispatch_token_drop(struct channel *channel);

/* The event at the head of a LINK lane has left it. */
void mkto_dispatch_link_shift(struct mkto_dispatch *dispatch, struct channel *channel,
                              uint32_t lane);

/* ---- mkto_dispatch_learn.c: lead ids that Marketo no longer has ---- */
/* An event whose cookie is to be associated, when its lead's id is not known (any more): its lead
 * is synced first. */
void mkto_dispatch_learn_again(struct mkto_dispatch *dispatch, struct reading *reading);
/* The answer says that there is no lead of the parcel's id. Returns true when the id is forgotten
 * and the events wait for another one; false: that has been tried, or is not what this call needs.
 */
bool mkto_dispatch_learn(struct errand *errand, struct parcel *parcel, int code,
                         const char *answer);
/* Has it been tried for this parcel? Then since when: whole hours of attempts may lie before. */
bool mkto_dispatch_learnt(const struct parcel *parcel, int64_t *since_ms);

/* ---- mkto_dispatch_update.c ---- */
/* Sync Leads of a lead that is known by its id alone. */
void mkto_dispatch_update(const struct errand *errand, struct mkto_http_request *request);

/* ---- mkto_dispatch_split.c: calls that Marketo refused as a whole ---- */
/* The lanes of some parcels, to be sent together again at once. */
void mkto_dispatch_group(struct channel *channel, const struct parcel *parcels, unsigned count,
                         struct mkto_split *split);
/* The first group, if there is one, is the errand's: groups come and go while it is filled. */
bool mkto_dispatch_group_begin(struct errand *errand);
/* The next lane of the errand's group, or MKTO_LANE_NONE. */
uint32_t mkto_dispatch_group_take(struct errand *errand);
/* What it did not take goes out with the next call. */
void mkto_dispatch_group_end(struct errand *errand);
/* Forgets the first group. */
void mkto_dispatch_group_drop(struct channel *channel);
/* Both halves of the call go out again. */
void mkto_dispatch_split(struct errand *errand);
void mkto_dispatch_split_drop(struct mkto_split *split);
/* The call was refused as a whole, or not, if it is part of one that was split. */
void mkto_dispatch_split_refused(struct errand *errand);
void mkto_dispatch_split_taken(struct errand *errand);
/* The request is at fault, not one of its records. */
bool mkto_dispatch_split_in_vain(const struct errand *errand);

/* ---- mkto_dispatch_answer.c ---- */
void mkto_dispatch_answered(void *errand, const struct mkto_http_answer *answer);

/* ---- mkto_dispatch_pause.c ---- */
/* Closes the gate of an API. */
void mkto_dispatch_pause(struct mkto_dispatch *dispatch, struct channel *channel, enum mkto_api api,
                         const struct mkto_verdict_decision *decision, bool probe, int code,
                         const char *why);
/* Names closed gates, and once a day that the day's budget is used up. */
void mkto_dispatch_say_gates(struct mkto_dispatch *dispatch, struct channel *channel);
/* When a closed gate is to be named next. */
uint64_t mkto_dispatch_say_when(const struct channel *channel);
/* An answer that is no pause. */
void mkto_dispatch_open(struct mkto_dispatch *dispatch, struct channel *channel, enum mkto_api api,
                        bool probe);

/* ---- mkto_dispatch_renew.c ---- */
/* Token or signature is stale: another one, for the call's lanes. date_ms: Marketo's clock, 0 or
 * less when it did not say. */
void mkto_dispatch_renew(const struct errand *errand, int64_t date_ms);

/* ---- mkto_dispatch_refuse.c ---- */
/* Remembers the fields of a STRIP verdict. Returns false when nothing that was sent can be left
 * out: sending again would change nothing. */
bool mkto_dispatch_refuse(struct errand *errand, const struct mkto_verdict_decision *decision);

/* ---- mkto_dispatch_tail.c ---- */
struct told {
    const struct errand *errand;
    const struct parcel *parcel;
    const struct mkto_verdict_decision *decision;
    int code;
    const char *text;
    int64_t took_ms;
};
void mkto_dispatch_tell(struct mkto_dispatch *dispatch, const struct told *told);

#endif
