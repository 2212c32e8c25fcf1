/*
 * mkto_courier_state: what the files of the courier's process share. No other file includes this.
 */
#ifndef MKTO_COURIER_STATE_H
#define MKTO_COURIER_STATE_H

#include <apr_pools.h>
#include <event2/event.h>
#include <syslog.h>
#include <sys/types.h>

#include "mkto_clock.h"
#include "mkto_config.h"
#include "mkto_courier.h"
#include "mkto_dispatch.h"
#include "mkto_intake.h"
#include "mkto_spool.h"
#include "mkto_transport.h"

#define MKTO_COURIER_LOG_LINES 128     /* lines kept until a server is there to log them */
#define MKTO_COURIER_LOG_LINE_MAX 512  /* bytes of one, with its NUL */
#define MKTO_COURIER_TURN_MS 2         /* dispatch in one turn of the loop */
#define MKTO_COURIER_TRIM_MS 1000      /* between two looks at what is past its time */
#define MKTO_COURIER_SALVAGE_MS 600000 /* between two salvages: each keeps a file */
#define MKTO_COURIER_ALONE_MS 10000    /* a new courier waits so long for its first server */
#define MKTO_COURIER_GRACE_MS 3000     /* idle, and no server: leave after this */
#define MKTO_COURIER_LOOK_MS 1000      /* between two looks whether who spawned it still lives */
#define MKTO_COURIER_STOP_MS 700       /* SIGTERM: calls under way may still end (of 1 s in all) */
#define MKTO_COURIER_END_MS 1000    /* the same when the last server has gone, or for a new build */
#define MKTO_COURIER_YOUNG_MS 60000 /* so new that another start would give the same again */
#define MKTO_COURIER_ACCEPT_AGAIN_MS 1000 /* after accept ran out of descriptors */
#define MKTO_COURIER_LAST_WORDS_MS                                                                 \
    3000 /* a spawned one that cannot run waits for somebody to tell */

/* Lines that no server has taken yet; the oldest are lost first. */
struct mkto_courier_log {
    bool spawned; /* else: to stderr */
    bool journal; /* stderr is systemd's */
    unsigned first;
    unsigned count;
    unsigned lost;
    int levels[MKTO_COURIER_LOG_LINES];
    char lines[MKTO_COURIER_LOG_LINES][MKTO_COURIER_LOG_LINE_MAX];
};

struct mkto_courier_socket {
    int fd;
    const char *path;
    dev_t device; /* of the socket's own file: another's is not removed */
    ino_t inode;
    struct event *event;
    struct event *again;
};

/* A config that is not current any more; dispatch may still have calls under way that use it. */
struct mkto_courier_retired {
    struct mkto_courier_retired *next;
    const struct mkto_config *config;
};

/* The program file that this process runs, to see whether it has been replaced since. */
struct mkto_courier_program {
    char path[512];
    dev_t device;
    ino_t inode;
};

struct mkto_courier {
    struct mkto_courier_options options;
    apr_pool_t *pool;
    const struct mkto_config *config;
    struct mkto_courier_retired *retired;
    struct mkto_courier_log log;
    struct mkto_courier_socket socket;
    struct mkto_courier_program program;
    struct event_base *base;
    struct event *timer;
    struct event *signals[3];
    struct mkto_spool *spool;
    struct mkto_intake *intake;
    struct mkto_transport *transport;
    struct mkto_dispatch *dispatch;
    int64_t accepted;     /* last id that dispatch knows of */
    bool reread;          /* dispatch has not got the current config yet */
    bool had_server;      /* somebody was there once */
    pid_t spawner;        /* the server process that started it */
    uint64_t alone_since; /* monotonic ms; 0: a server is there */
    const char *stopping; /* why, or NULL */
    uint64_t stop_by;     /* monotonic ms */
    bool stopped;
    bool newer_said;
    uint64_t trim_at;
    uint64_t trim_said;
    uint64_t salvage_at; /* not before */
    uint64_t started_ms;
    uint64_t accept_said;
    uint64_t config_said;
};

/* ---- mkto_courier_log.c ---- */
void mkto_courier_log_open(struct mkto_courier *courier);
__attribute__((format(printf, 3, 4))) void mkto_courier_say(struct mkto_courier *courier, int level,
                                                            const char *format, ...);
void mkto_courier_log_line(void *courier, int level, const char *text);
/* Gives kept lines to a server, if there is one. */
void mkto_courier_log_flush(struct mkto_courier *courier);

/* ---- mkto_courier_process.c: what the process is ---- */
/* Leaves the web server: another process, another session, nothing inherited. The parent exits. */
int mkto_courier_detach(struct mkto_error *err);
void mkto_courier_program_note(struct mkto_courier_program *program);
bool mkto_courier_program_replaced(const struct mkto_courier_program *program);
void mkto_courier_settle(void);
/* As root: becomes the owner of the spool directory, or refuses. */
int mkto_courier_drop_root(const char *spool, struct mkto_error *err);

/* ---- mkto_courier_socket.c ---- */
int mkto_courier_bind(struct mkto_courier_socket *sock, mode_t mode, struct mkto_error *err);
int mkto_courier_listen(struct mkto_courier *courier, struct mkto_error *err);
void mkto_courier_socket_close(struct mkto_courier_socket *sock);
/* A spawned courier that cannot run says why to whoever connects, for a while. */
void mkto_courier_last_words(const char *path, const char *why);

/* ---- mkto_courier_life.c: when it ends, and what it runs on ---- */
uint8_t mkto_courier_hello(void *courier, const struct mkto_hello *hello, uint64_t *digest,
                           struct mkto_error *why);
void mkto_courier_reload(struct mkto_courier *courier);
void mkto_courier_stop(struct mkto_courier *courier, const char *why, uint64_t within_ms);
/* Once a turn. */
void mkto_courier_watch(struct mkto_courier *courier);
uint64_t mkto_courier_watch_next(const struct mkto_courier *courier);
void mkto_courier_forget_configs(struct mkto_courier *courier);

/* ---- mkto_courier_status.c ---- */
struct mkto_slice mkto_courier_status(const struct mkto_courier *courier, apr_pool_t *pool);

#endif
