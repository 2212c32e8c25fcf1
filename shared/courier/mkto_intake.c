#include "mkto_intake_state.h"

#include <event2/util.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CROWD_MAX 64         /* connections beyond the maximum that are told so */
#define POOL_KEEP (1u << 20) /* bytes that a cleared pool keeps for the next turn */

void mkto_intake_log(struct mkto_intake *intake, int level, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    intake->hooks.log(intake->hooks.ctx, level, text);
}

bool mkto_intake_may_say(struct mkto_intake *intake, uint64_t *said)
{
    if (*said != 0 && intake->now < *said + MKTO_INTAKE_SAY_MS) {
        return false;
    }
    *said = intake->now == 0 ? 1 : intake->now;
    return true;
}

/* ---- life ---- */

apr_pool_t *mkto_intake_pool(apr_pool_t *parent)
{
    apr_pool_t *pool = NULL;
    apr_allocator_t *allocator = NULL;
    if (apr_allocator_create(&allocator) != APR_SUCCESS ||
        apr_pool_create_ex(&pool, parent, NULL, allocator) != APR_SUCCESS) {
        abort();
    }
    apr_allocator_owner_set(allocator, pool);
    apr_allocator_max_free_set(allocator, POOL_KEEP);
    return pool;
}

struct mkto_intake *mkto_intake_create(const struct mkto_intake_options *options, apr_pool_t *pool)
{
    struct mkto_intake *intake = apr_pcalloc(pool, sizeof(*intake));
    intake->base = options->base;
    intake->config = options->config;
    intake->spool = options->spool;
    intake->clock = *options->clock;
    intake->hooks = options->hooks;
    intake->own_uid_only = options->own_uid_only;
    intake->clients_max = options->clients_max;
    intake->uid = geteuid();
    intake->pool = pool;
    intake->scratch = mkto_intake_pool(pool);
    intake->turn_pool = mkto_intake_pool(pool);
    intake->buffer = apr_palloc(pool, MKTO_INTAKE_BUFFER);
    return intake;
}

static void remove_peer(struct mkto_peer *peer)
{
    struct mkto_intake *intake = peer->intake;
    if (peer->previous != NULL) {
        peer->previous->next = peer->next;
    } else {
        intake->peers = peer->next;
    }
    if (peer->next != NULL) {
        peer->next->previous = peer->previous;
    }
    intake->peer_count--;
    intake->role_count[peer->role]--;
    intake->tails -= peer->tailing ? 1 : 0;
    mkto_peer_destroy(peer);
}

void mkto_intake_destroy(struct mkto_intake *intake)
{
    mkto_intake_commit(intake);
    while (intake->peers != NULL) {
        remove_peer(intake->peers);
    }
    mkto_rate_destroy(intake->rate);
}

void mkto_intake_reload(struct mkto_intake *intake, const struct mkto_config *config)
{
    intake->config = config;
    if (intake->rate != NULL) {
        mkto_rate_clear(intake->rate); /* its keys number the old subscriptions */
    }
}

void mkto_intake_adopt(struct mkto_intake *intake, int fd)
{
    struct ucred credentials;
    socklen_t size = sizeof(credentials);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0 ||
        evutil_make_socket_nonblocking(fd) != 0 || evutil_make_socket_closeonexec(fd) != 0) {
        close(fd);
        return;
    }
    struct mkto_peer *peer = intake->peer_count < intake->clients_max + CROWD_MAX
                                 ? mkto_peer_create(intake, fd, credentials.uid)
                                 : NULL;
    if (peer == NULL) {
        intake->counters.refused++;
        close(fd);
        return;
    }
    peer->crowd = intake->peer_count >= intake->clients_max;
    peer->next = intake->peers;
    if (peer->next != NULL) {
        peer->next->previous = peer;
    }
    intake->peers = peer;
    intake->peer_count++;
    intake->role_count[0]++;
}

/* ---- the end of a turn ---- */

void mkto_intake_touch(struct mkto_peer *peer)
{
    if (peer->touched) {
        return;
    }
    peer->touched = true;
    peer->next_touched = peer->intake->turn.touched;
    peer->intake->turn.touched = peer;
}

/* What is answered before it is stored goes out now: the commit may take its time. */
static void answer_early(struct mkto_intake *intake)
{
    for (struct mkto_peer *peer = intake->turn.touched; peer != NULL; peer = peer->next_touched) {
        mkto_peer_answer(peer, true, false);
        mkto_peer_flush(peer);
    }
}

/* A peer stays marked while it is served, so that it does not get into the list again. */
static void answer_rest(struct mkto_intake *intake, bool failed)
{
    struct mkto_peer *peer;
    while ((peer = intake->turn.touched) != NULL) {
        intake->turn.touched = peer->next_touched;
        mkto_peer_answer(peer, false, failed);
        mkto_intake_reply(peer);
        mkto_peer_say_refusal(peer);
        mkto_peer_flush(peer);
        if (peer->broken) {
            remove_peer(peer);
        } else {
            peer->touched = false;
        }
    }
}

void mkto_intake_commit(struct mkto_intake *intake)
{
    intake->now = intake->clock.mono_ms(intake->clock.ctx);
    intake->wall = intake->clock.wall_ms(intake->clock.ctx);
    if (intake->turn.early) {
        answer_early(intake);
    }
    const bool stored = mkto_intake_store_commit(intake);
    mkto_intake_tell_lines(intake, !stored);
    if (intake->turn.asked) {
        mkto_intake_make_status(intake);
    }
    answer_rest(intake, !stored);
    memset(&intake->turn, 0, sizeof(intake->turn));
    apr_pool_clear(intake->turn_pool);
}

/* ---- what the courier asks and says ---- */

bool mkto_intake_pending(const struct mkto_intake *intake)
{
    return intake->turn.touched != NULL;
}

int64_t mkto_intake_last_id(const struct mkto_intake *intake)
{
    return intake->last_id;
}

size_t mkto_intake_retained(const struct mkto_intake *intake)
{
    return intake->kept_count;
}

size_t mkto_intake_count(const struct mkto_intake *intake, enum mkto_role role)
{
    return intake->role_count[role];
}

size_t mkto_intake_unsent(const struct mkto_intake *intake)
{
    size_t bytes = 0;
    for (const struct mkto_peer *peer = intake->peers; peer != NULL; peer = peer->next) {
        bytes += mkto_peer_unsent(peer);
    }
    return bytes;
}

void mkto_intake_leave(struct mkto_intake *intake, const char *why)
{
    struct mkto_error text = MKTO_ERROR_INIT;
    mkto_error_set(&text, "%s", why);
    for (struct mkto_peer *peer = intake->peers; peer != NULL; peer = peer->next) {
        if (!peer->ending) {
            mkto_intake_refuse(peer, MKTO_REFUSED_LEAVING, &text);
        }
    }
}

bool mkto_intake_tell_log(struct mkto_intake *intake, int level, const char *text)
{
    struct mkto_peer *peer = intake->peers;
    while (peer != NULL && (peer->role != MKTO_ROLE_PRESENCE || peer->broken)) {
        peer = peer->next;
    }
    if (peer == NULL) {
        return false;
    }
    const struct mkto_log_frame frame = {(uint8_t)level, mkto_slice_str(text)};
    uint8_t *out = mkto_peer_reserve(peer, mkto_log_write(&frame, NULL));
    if (out != NULL) {
        mkto_log_write(&frame, out);
    }
    return out != NULL;
}

static void add_tally(struct mkto_note *status, const char *key, const struct mkto_tally *tally)
{
    struct mkto_note words = mkto_note_object(status->pool);
    for (unsigned i = 0; i < tally->count; i++) {
        mkto_note_number(&words, tally->rows[i].word, (int64_t)tally->rows[i].count);
    }
    mkto_note_add(status, key, &words);
}

void mkto_intake_status(const struct mkto_intake *intake, struct mkto_note *status)
{
    const struct mkto_intake_counters *counters = &intake->counters;
    struct mkto_note answers = mkto_note_object(status->pool);
    for (int answer = 0; answer < MKTO_ANSWER_COUNT; answer++) {
        mkto_note_number(&answers, mkto_answer_name((enum mkto_answer)answer),
                         (int64_t)counters->answers[answer]);
    }
    mkto_note_number(status, "connections", (int64_t)intake->peer_count);
    mkto_note_number(
        status, "servers",
        (int64_t)(intake->role_count[MKTO_ROLE_EVENTS] + intake->role_count[MKTO_ROLE_PRESENCE]));
    mkto_note_number(status, "presences", (int64_t)intake->role_count[MKTO_ROLE_PRESENCE]);
    mkto_note_number(status, "accepted", (int64_t)counters->stored);
    mkto_note_number(status, "accepted_last_minute",
                     (int64_t)mkto_tally_last_minute(&intake->minute, intake->now));
    mkto_note_number(status, "duplicates", (int64_t)counters->duplicates);
    mkto_note_number(status, "filtered", (int64_t)counters->filtered);
    add_tally(status, "filtered_by", &intake->filtered_by);
    mkto_note_number(status, "rejected", (int64_t)counters->rejected);
    add_tally(status, "rejected_by", &intake->rejected_by);
    mkto_note_number(status, "commits", (int64_t)counters->commits);
    mkto_note_number(status, "failed_commits", (int64_t)counters->failures);
    mkto_note_number(status, "in_memory", (int64_t)intake->kept_count);
    mkto_note_number(status, "refused_connections", (int64_t)counters->refused);
    mkto_note_number(status, "hashes", (int64_t)counters->hashes);
    mkto_note_add(status, "answers", &answers);
}
