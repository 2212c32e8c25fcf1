/*
 * mkto_intake: takes events from the web servers, checks them, and answers when they are on disk.
 *
 * Connections are read from the courier's event loop; what arrives is checked and appended to the
 * spool at once. At the end of a turn of the loop the courier calls mkto_intake_commit: one
 * transaction for everything that came in over all connections, then the verdicts, one write a
 * connection. So a lone event waits for nothing, and under load the batches make themselves.
 *
 * Nothing of a turn whose commit failed is acknowledged: all of it is answered
 * MKTO_ANSWER_FULL. Events with ack=memory are answered before the commit; those of a failed commit
 * are kept and stored when the spool works again, and until then ack=memory waits for the disk.
 *
 * Peers: the file mode of the socket decides who connects. A spawned courier's socket is 0600, and
 * it takes its own uid and root only. With an external courier (0660) whoever may open the socket
 * may send events. Tools (status, tail) need the courier's uid or root in any case.
 */
#ifndef MKTO_INTAKE_H
#define MKTO_INTAKE_H

#include <apr_pools.h>
#include <stdbool.h>
#include <stdint.h>

#include "mkto_clock.h"
#include "mkto_config.h"
#include "mkto_frame.h"
#include "mkto_note.h"
#include "mkto_spool.h"

#define MKTO_INTAKE_READ_MAX (1u << 20)       /* bytes of a connection in one turn */
#define MKTO_INTAKE_COMMIT_MAX (4u << 20)     /* bytes of events in one commit */
#define MKTO_INTAKE_OUTPUT_PAUSE (256u << 10) /* bytes a client has not read: it is not read */
#define MKTO_INTAKE_OUTPUT_MAX (4u << 20)     /* bytes a client has not read: it is dropped */
#define MKTO_INTAKE_HELLO_MS 5000             /* from connect to HELLO */
#define MKTO_INTAKE_STALL_MS 30000   /* a client that reads nothing for so long is dropped */
#define MKTO_INTAKE_REJECTED_MAX 10  /* items of a batch that the answer names */
#define MKTO_INTAKE_LINES_MAX 1024   /* events of a turn that `marketo tail` hears of */
#define MKTO_INTAKE_SAY_MS 60000     /* one line a minute for what goes on happening */
#define MKTO_INTAKE_RETAINED_MS 1000 /* between attempts to store what memory holds */
#define MKTO_INTAKE_HASH_RATE 5      /* hashes per second and network, without write key */
#define MKTO_INTAKE_HASH_BURST 20

struct event_base;
struct mkto_intake;

struct mkto_intake_hooks {
    void *ctx;
    /* A line for the log: syslog severity, text beginning with a stable id. */
    void (*log)(void *ctx, int level, const char *text);
    /* Somebody says hello. 0: welcome, with *digest the config's; else an enum mkto_refusal and
     * words. */
    uint8_t (*hello)(void *ctx, const struct mkto_hello *hello, uint64_t *digest,
                     struct mkto_error *why);
    /* A tool asks: at the end of a turn, when the spool is in no transaction. The answer is a JSON
     * object in the pool; absent: not known. */
    struct mkto_slice (*ask)(void *ctx, const struct mkto_ask *ask, apr_pool_t *pool);
};

struct mkto_intake_options {
    struct event_base *base;
    const struct mkto_config *config;
    struct mkto_spool *spool;
    const struct mkto_clock *clock;
    struct mkto_intake_hooks hooks;
    bool own_uid_only; /* spawned: events from our own uid and root only */
    size_t clients_max;
};

struct mkto_intake *mkto_intake_create(const struct mkto_intake_options *options, apr_pool_t *pool);

/* Closes all connections. */
void mkto_intake_destroy(struct mkto_intake *intake);

/* Events are checked by this config from now on; call between turns. */
void mkto_intake_reload(struct mkto_intake *intake, const struct mkto_config *config);

/* Takes over a connected socket. Over clients_max it is refused when it has said hello. */
void mkto_intake_adopt(struct mkto_intake *intake, int fd);

/* The end of a turn: stores, answers, closes what is to be closed. */
void mkto_intake_commit(struct mkto_intake *intake);

/* Is there anything that the next commit would send? */
bool mkto_intake_pending(const struct mkto_intake *intake);

/* Id of the newest event that is durable; 0: none since the start. */
int64_t mkto_intake_last_id(const struct mkto_intake *intake);

/* Acknowledged events that could not be stored yet (ack=memory); commit tries again. */
size_t mkto_intake_retained(const struct mkto_intake *intake);

/* REFUSED to every client, after its verdicts; from now on nobody is read any more. Commit sends
 * it. */
void mkto_intake_leave(struct mkto_intake *intake, const char *why);

/* Connections that said hello in that role. */
size_t mkto_intake_count(const struct mkto_intake *intake, enum mkto_role role);

/* Bytes of output that wait in all connections. */
size_t mkto_intake_unsent(const struct mkto_intake *intake);

/* A line of log to one presence connection. false: there is none. */
bool mkto_intake_tell_log(struct mkto_intake *intake, int level, const char *text);

/* Is there a `marketo tail`? A line for all of them; those that do not keep up lose lines, and are
 * told how many: {"type":"lost","lines":3}. */
bool mkto_intake_tailing(const struct mkto_intake *intake);
void mkto_intake_tell_tail(struct mkto_intake *intake, struct mkto_slice json);

/* The intake part of `marketo status`. */
void mkto_intake_status(const struct mkto_intake *intake, struct mkto_note *status);

#endif
