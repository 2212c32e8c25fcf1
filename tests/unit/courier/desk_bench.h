/*
 * Questions at the desk of a dispatch bench, in parts as a tool asks them.
 */
#ifndef DESK_BENCH_H
#define DESK_BENCH_H

#include "dispatch_bench.h"
#include "dispatch_model.h"

#include "mkto_dead.h"
#include "mkto_forget.h"
#include "mkto_lanes.h"

static inline struct mkto_desk desk_of(struct bench *bench)
{
    return (struct mkto_desk){&bench->config, bench->spool, bench->dispatch, &bench->clock};
}

static inline const struct mkto_json *parsed(struct bench *bench, struct mkto_slice text)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_json *root = NULL;
    if (mkto_json_parse(text, &root, &err, bench->pool) != 0) {
        fail_msg("%s in %.*s", err.text, (int)text.len, text.data);
    }
    return root;
}

static inline const struct mkto_json *ask_dead(struct bench *bench, const char *question)
{
    const struct mkto_desk desk = desk_of(bench);
    return parsed(bench, mkto_dead_answer(&desk, mkto_slice_str(question), bench->pool));
}

static inline const struct mkto_json *ask_forget(struct bench *bench, const char *question)
{
    const struct mkto_desk desk = desk_of(bench);
    return parsed(bench, mkto_forget_answer(&desk, 0, mkto_slice_str(question), bench->pool));
}

static inline long number(const struct mkto_json *object, const char *key)
{
    const struct mkto_json *value = mkto_json_get(object, key);
    if (value == NULL || value->type != MKTO_JSON_NUMBER) {
        fail_msg("there is no number %s", key);
        return 0;
    }
    return strtol(value->text.data, NULL, 10);
}

static inline const char *text(const struct mkto_json *object, const char *key)
{
    const char *found = mkto_json_string(mkto_json_get(object, key)).data;
    return found == NULL ? "" : found;
}

static inline bool flag(const struct mkto_json *object, const char *key)
{
    const struct mkto_json *value = mkto_json_get(object, key);
    return value != NULL && value->type == MKTO_JSON_TRUE;
}

/* An event straight to the dead letters. */
static inline int64_t bury(struct bench *bench, const char *email, const char *reason,
                           int64_t dead_ms)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const int64_t id = bench_identify(bench, email, "n", "1", 0);
    const struct mkto_spool_dead dead = {.id = id,
                                         .subscription = "",
                                         .kind = "lead",
                                         .reason = reason,
                                         .answer = "1006 Field 'n' not found",
                                         .attempts = 2,
                                         .first_ms = BENCH_NOW - 5,
                                         .dead_ms = dead_ms,
                                         .lead = 0x1a2b3c4d00000000};
    assert_int_equal(mkto_spool_begin(bench->spool, &err), 0);
    assert_int_equal(mkto_spool_bury(bench->spool, &dead, &err), 0);
    assert_int_equal(mkto_spool_commit(bench->spool, &err), 0);
    return id;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

#endif
