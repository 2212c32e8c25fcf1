#include "mkto_dead.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <string.h>

#include "mkto_lanes.h"
#include "mkto_person.h"
#include "mkto_sender.h"
#include "mkto_tally.h"
#include "mkto_utf8.h"

_Static_assert(MKTO_DEAD_REASONS_MAX == MKTO_TALLY_WORDS_MAX, "reasons are counted in a tally");

enum deed { DEED_LIST, DEED_SHOW, DEED_REPLAY, DEED_PURGE, DEED_COUNT };

struct filter {
    const char *reason;
    const char *subscription;
    int64_t before_ms;
    int64_t since_ms;
    struct mkto_person lead;
    const char *email; /* the same, with its NUL */
};

/* A question while it is answered. */
struct asking {
    const struct mkto_desk *desk;
    enum deed deed;
    bool apply; /* REPLAY, PURGE: else they are counted */
    struct filter filter;
    const struct mkto_json *ids; /* an array, or NULL: whatever passes the filter */
    int64_t after;
    int64_t until;
    bool more;
    bool begun; /* the transaction */
    int64_t count;
    int64_t damaged;
    int64_t new_id; /* of the last one that was replayed; 0: none */
    struct mkto_tally *reasons;
    struct mkto_note letters;
    struct mkto_note missing;
    struct mkto_error err;
    apr_pool_t *pool;
    apr_pool_t *scratch; /* rows */
};

/* ---- the question ---- */

static int read_deed(const struct mkto_json *question, struct asking *asking)
{
    static const char *const names[DEED_COUNT] = {"list", "show", "replay", "purge"};
    const char *name = mkto_desk_text(question, "do");
    for (int deed = 0; name != NULL && deed < DEED_COUNT; deed++) {
        if (strcmp(name, names[deed]) == 0) {
            asking->deed = (enum deed)deed;
            return 0;
        }
    }
    return mkto_error_set(&asking->err, "dead: do is list, show, replay or purge");
}

static int read_filter(const struct mkto_json *question, struct asking *asking)
{
    struct filter *filter = &asking->filter;
    const char *lead = mkto_desk_text(question, "lead");
    filter->reason = mkto_desk_text(question, "reason");
    filter->subscription = mkto_desk_text(question, "subscription");
    filter->before_ms = mkto_desk_number(question, "before", INT64_MAX);
    filter->since_ms = mkto_desk_number(question, "since", INT64_MIN);
    if (lead == NULL) {
        return 0;
    }
    if (mkto_person_init(&filter->lead, mkto_slice_str(lead), &asking->err) != 0) {
        return -1;
    }
    filter->email = apr_pstrmemdup(asking->pool, filter->lead.email.data, filter->lead.email.len);
    return 0;
}

static int read_ids(const struct mkto_json *question, struct asking *asking)
{
    asking->ids = mkto_json_get(question, "ids");
    if (asking->ids == NULL) {
        return asking->deed == DEED_SHOW ? mkto_error_set(&asking->err, "dead: show which?") : 0;
    }
    if (asking->ids->type != MKTO_JSON_ARRAY || asking->ids->count > MKTO_DEAD_IDS_MAX) {
        return mkto_error_set(&asking->err, "dead: ids is an array of at most %d numbers",
                              MKTO_DEAD_IDS_MAX);
    }
    return 0;
}

static int read_question(struct mkto_slice args, struct asking *asking)
{
    const struct mkto_json *question = NULL;
    if (mkto_desk_read(args, &question, &asking->err, asking->pool) != 0 ||
        read_deed(question, asking) != 0 || read_filter(question, asking) != 0 ||
        read_ids(question, asking) != 0) {
        return -1;
    }
    asking->apply = asking->deed != DEED_LIST && mkto_desk_flag(question, "apply");
    asking->after = mkto_desk_number(question, "after", 0);
    asking->until = mkto_desk_number(question, "until", mkto_spool_last_id(asking->desk->spool));
    return 0;
}

/* ---- the filter ---- */

static bool is_of_lead(const struct asking *asking, const struct mkto_spool_dead *row)
{
    const struct mkto_person *lead = &asking->filter.lead;
    const struct mkto_subscription *sub =
        mkto_config_subscription(asking->desk->config, mkto_slice_str(row->subscription));
    return (row->lead != 0 && sub != NULL &&
            row->lead ==
                mkto_lane_of_email(mkto_lanes_scope(sub, asking->scratch), asking->filter.email)) ||
           mkto_person_in_event(lead, row->envelope, row->raw, asking->scratch);
}

static bool is_word(const char *wanted, const char *word)
{
    return wanted == NULL || strcmp(wanted, word == NULL ? "" : word) == 0;
}

static bool passes(const struct asking *asking, const struct mkto_spool_dead *row)
{
    const struct filter *filter = &asking->filter;
    return is_word(filter->reason, row->reason) &&
           is_word(filter->subscription, row->subscription) && row->dead_ms < filter->before_ms &&
           row->dead_ms >= filter->since_ms && (filter->email == NULL || is_of_lead(asking, row));
}

/* ---- a letter as JSON ---- */

/* Headers may hold any bytes; JSON holds UTF-8. */
static void add_slice(struct mkto_note *note, const char *key, struct mkto_slice text)
{
    if (text.data == NULL) {
        return;
    }
    char *copy = apr_pstrmemdup(note->pool, text.data, text.len);
    for (size_t at = 0; at < text.len; at++) {
        const struct mkto_slice rest = {copy + at, text.len - at};
        at += mkto_utf8_valid(rest);
        if (at < text.len) {
            copy[at] = '?';
        }
    }
    mkto_note_text(note, key, copy);
}

static bool decode(const struct mkto_spool_dead *row, struct mkto_envelope *envelope)
{
    return row->envelope.data != NULL &&
           mkto_envelope_decode((const uint8_t *)row->envelope.data, row->envelope.len, envelope,
                                NULL) == 0;
}

static struct mkto_note letter_note(const struct mkto_spool_dead *row,
                                    const struct mkto_envelope *envelope, apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);
    mkto_note_number(&note, "id", row->id);
    mkto_note_number(&note, "dead", row->dead_ms);
    mkto_note_text(&note, "subscription", row->subscription);
    mkto_note_text(&note, "kind", row->kind);
    mkto_note_text(&note, "reason", row->reason);
    add_slice(&note, "answer", mkto_slice_str(row->answer));
    mkto_note_number(&note, "attempts", row->attempts);
    if (row->first_ms != 0) {
        mkto_note_number(&note, "first", row->first_ms);
    }
    mkto_note_text(&note, "lead", mkto_desk_lead(row->lead, pool));
    mkto_note_bool(&note, "damaged", envelope == NULL);
    if (envelope != NULL) {
        mkto_note_text(&note, "type", mkto_call_name(envelope->call));
        mkto_note_text(&note, "source", mkto_sender_word(envelope, pool));
        mkto_note_number(&note, "received", envelope->received_ms);
    }
    return note;
}

/* What the web server knew of the request. */
static struct mkto_note request_note(const struct mkto_envelope *envelope, apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);
    mkto_note_bool(&note, "https", (envelope->flags & MKTO_ENVELOPE_HTTPS) != 0);
    mkto_note_bool(&note, "browser", (envelope->flags & MKTO_ENVELOPE_BROWSER) != 0);
    mkto_note_bool(&note, "write_key", (envelope->flags & MKTO_ENVELOPE_KEYED) != 0);
    add_slice(&note, "address", envelope->remote_addr);
    add_slice(&note, "host", envelope->host);
    add_slice(&note, "referer", envelope->referer);
    add_slice(&note, "user_agent", envelope->user_agent);
    add_slice(&note, "cookie", envelope->cookie);
    add_slice(&note, "request_id", envelope->request_id);
    return note;
}

static struct mkto_note whole_note(const struct mkto_spool_dead *row, apr_pool_t *pool)
{
    struct mkto_envelope envelope;
    const bool whole = decode(row, &envelope);
    struct mkto_note note = letter_note(row, whole ? &envelope : NULL, pool);
    if (whole) {
        struct mkto_note request = request_note(&envelope, pool);
        add_slice(&note, "event", envelope.body);
        add_slice(&note, "defaults", envelope.defaults);
        mkto_note_add(&note, "request", &request);
    }
    return note;
}

/* ---- the deeds ---- */

static int begin(struct asking *asking)
{
    if (asking->begun) {
        return 0;
    }
    if (mkto_spool_begin(asking->desk->spool, &asking->err) != 0) {
        return -1;
    }
    asking->begun = true;
    return 0;
}

static int replay(struct asking *asking, const struct mkto_spool_dead *row)
{
    return begin(asking) != 0 ? -1
                              : mkto_spool_dead_replay(asking->desk->spool, row->id,
                                                       &asking->new_id, &asking->err);
}

static int purge(struct asking *asking, const struct mkto_spool_dead *row)
{
    return begin(asking) != 0 ? -1
                              : mkto_spool_dead_purge(asking->desk->spool, row->id, &asking->err);
}

static void list(struct asking *asking, const struct mkto_spool_dead *row)
{
    struct mkto_envelope envelope;
    const bool whole = decode(row, &envelope);
    struct mkto_note note = letter_note(row, whole ? &envelope : NULL, asking->pool);
    mkto_note_add(&asking->letters, NULL, &note);
}

/* One letter that passed. */
static int act(struct asking *asking, const struct mkto_spool_dead *row)
{
    int rc = 0;
    if (asking->deed == DEED_LIST) {
        list(asking, row);
    } else if (asking->deed == DEED_REPLAY && row->envelope.data == NULL) {
        asking->damaged++;
        return 0;
    } else if (asking->apply) {
        rc = asking->deed == DEED_REPLAY ? replay(asking, row) : purge(asking, row);
    }
    asking->count++;
    mkto_tally_add(asking->reasons, row->reason == NULL ? "unknown" : row->reason, 1, 0);
    return rc;
}

static bool is_full(const struct asking *asking)
{
    return (asking->apply && asking->count >= MKTO_DESK_CHANGES_MAX) ||
           (asking->deed == DEED_LIST && asking->count >= MKTO_DEAD_LIST_MAX);
}

/* Rows of one read. Returns 1 to go on, 0 when that was all for now, or -1. */
static int take_rows(struct asking *asking, const struct mkto_spool_dead *rows, int count)
{
    for (int i = 0; i < count; i++) {
        if (rows[i].id > asking->until) {
            asking->more = false;
            return 0;
        }
        if (is_full(asking)) {
            return 0;
        }
        if (passes(asking, &rows[i]) && act(asking, &rows[i]) != 0) {
            return -1;
        }
        asking->after = rows[i].id;
    }
    asking->more = count == MKTO_DESK_ROWS;
    return asking->more ? 1 : 0;
}

static int scan(struct asking *asking)
{
    const uint64_t deadline = mkto_desk_deadline(asking->desk);
    struct mkto_spool_dead rows[MKTO_DESK_ROWS];
    int rc = 1;
    asking->more = true;
    while (rc > 0) {
        apr_pool_clear(asking->scratch);
        const int count = mkto_spool_dead_read(asking->desk->spool, asking->after, MKTO_DESK_ROWS,
                                               rows, &asking->err, asking->scratch);
        rc = count < 0 ? -1 : take_rows(asking, rows, count);
        if (mkto_desk_late(asking->desk, deadline)) {
            break;
        }
    }
    return rc < 0 ? -1 : 0;
}

/* 1 found, 0 not there, -1. */
static int find(struct asking *asking, int64_t id, struct mkto_spool_dead *row)
{
    const int count =
        mkto_spool_dead_read(asking->desk->spool, id - 1, 1, row, &asking->err, asking->scratch);
    return count < 0 ? -1 : count == 1 && row->id == id;
}

static int take_ids(struct asking *asking)
{
    for (const struct mkto_json *each = asking->ids->first; each != NULL; each = each->next) {
        struct mkto_spool_dead row;
        const int64_t id = each->type == MKTO_JSON_NUMBER ? strtoll(each->text.data, NULL, 10) : 0;
        apr_pool_clear(asking->scratch);
        const int found = id <= 0 ? 0 : find(asking, id, &row);
        if (found < 0 || (found == 1 && act(asking, &row) != 0)) {
            return -1;
        }
        if (found == 0) {
            mkto_note_number(&asking->missing, NULL, id);
        }
    }
    return 0;
}

static int commit(struct asking *asking)
{
    const struct mkto_desk *desk = asking->desk;
    if (!asking->begun) {
        return 0;
    }
    if (mkto_spool_commit(desk->spool, &asking->err) != 0) {
        return -1;
    }
    if (asking->new_id != 0 && desk->dispatch != NULL) {
        mkto_dispatch_accepted(desk->dispatch, asking->new_id);
    }
    return 0;
}

static int work(struct asking *asking)
{
    if ((asking->ids != NULL ? take_ids(asking) : scan(asking)) == 0) {
        return commit(asking);
    }
    if (asking->begun) {
        mkto_spool_rollback(asking->desk->spool);
    }
    return -1;
}

/* ---- the answer ---- */

static struct mkto_slice show(struct asking *asking)
{
    struct mkto_note answer = mkto_note_object(asking->pool);
    const struct mkto_json *id = asking->ids->first;
    struct mkto_spool_dead row;
    int found = 0;
    if (id != NULL && id->type == MKTO_JSON_NUMBER) {
        found = find(asking, strtoll(id->text.data, NULL, 10), &row);
    }
    if (found < 0) {
        return mkto_desk_fail(&asking->err, asking->pool);
    }
    if (found == 1) {
        struct mkto_note letter = whole_note(&row, asking->pool);
        mkto_note_add(&answer, "letter", &letter);
    } else {
        mkto_note_text(&answer, "letter", NULL);
    }
    return mkto_note_json(&answer);
}

static struct mkto_slice tell(struct asking *asking)
{
    struct mkto_note answer = mkto_note_object(asking->pool);
    struct mkto_note reasons = mkto_note_object(asking->pool);
    for (unsigned i = 0; i < asking->reasons->count; i++) {
        const struct mkto_tally_row *row = &asking->reasons->rows[i];
        mkto_note_number(&reasons, row->word, (int64_t)row->count);
    }
    if (asking->deed == DEED_LIST) {
        mkto_note_add(&answer, "letters", &asking->letters);
    }
    mkto_note_number(&answer, "count", asking->count);
    mkto_note_add(&answer, "reasons", &reasons);
    mkto_note_number(&answer, "damaged", asking->damaged);
    if (asking->ids != NULL) {
        mkto_note_add(&answer, "missing", &asking->missing);
    }
    mkto_note_number(&answer, "after", asking->after);
    mkto_note_number(&answer, "until", asking->until);
    mkto_note_bool(&answer, "more", asking->more);
    return mkto_note_json(&answer);
}

static struct mkto_slice answer_it(struct asking *asking, struct mkto_slice args)
{
    if (read_question(args, asking) != 0) {
        return mkto_desk_fail(&asking->err, asking->pool);
    }
    if (asking->deed == DEED_SHOW) {
        return show(asking);
    }
    return work(asking) == 0 ? tell(asking) : mkto_desk_fail(&asking->err, asking->pool);
}

struct mkto_slice mkto_dead_answer(const struct mkto_desk *desk, struct mkto_slice args,
                                   apr_pool_t *pool)
{
    struct asking asking = {.desk = desk,
                            .letters = mkto_note_array(pool),
                            .missing = mkto_note_array(pool),
                            .reasons = apr_pcalloc(pool, sizeof(struct mkto_tally)),
                            .err = MKTO_ERROR_INIT,
                            .pool = pool};
    apr_pool_create(&asking.scratch, pool);
    const struct mkto_slice answer = answer_it(&asking, args);
    apr_pool_destroy(asking.scratch);
    return answer;
}
