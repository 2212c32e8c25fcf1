/*
 * What `marketo tail` hears of events at the door.
 */
#include "intake_bench.h"

#include <apr_strings.h>
#include <apr_tables.h>

#include "full_disk.h"
#include "mkto_lanes.h"

#define IDENTIFY "{\"traits\":{\"email\":\"Ada@example.com\"}}"

static int listen_in(struct bench *bench)
{
    const struct mkto_ask ask = {mkto_slice_str("tail"), MKTO_SLICE_NONE};
    uint8_t out[64];
    const int fd = connect_client(bench);
    send_hello(bench, fd, MKTO_ROLE_TOOL);
    expect_welcome(bench, fd);
    send_bytes(bench, fd, out, mkto_ask_write(&ask, out));
    turn(bench);
    return fd;
}

/* The lines that have come, one after the other, each with its newline. */
static const char *heard(struct bench *bench, int tail)
{
    const char *lines = "";
    struct mkto_frame frame;
    struct mkto_tell tell;
    bench->in_at = bench->in_len = 0;
    receive(bench, tail);
    while (next_frame(bench, &frame)) {
        assert_int_equal(mkto_tell_read(&frame, &tell, NULL), 0);
        assert_false(tell.last);
        lines = apr_psprintf(bench->pool, "%s%.*s\n", lines, (int)tell.text.len, tell.text.data);
    }
    bench->in_at = bench->in_len = 0;
    return lines;
}

static void hears(struct bench *bench, int tail, const struct shot *shot, const char *end)
{
    shoot(bench, shot);
    turn(bench);
    const char *line = heard(bench, tail);
    const char *want = apr_psprintf(bench->pool, "{\"time\":%ld,\"subscription\":\"\",%s}\n",
                                    (long)test_wall, end);
    assert_string_equal(line, want);
}

static void each_event_is_told(void **state)
{
    struct bench *bench = *state;
    const struct shot identify = {.call = MKTO_CALL_IDENTIFY, .request_id = "a", .body = IDENTIFY};
    const char *head = apr_psprintf(
        bench->pool,
        "\"source\":\"server\",\"call\":\"identify\",\"type\":\"event\",\"lead\":\"%08lx\"",
        (unsigned long)(mkto_lane_of_email("/561-HYG-937", "ada@example.com") >> 32));
    const int tail = listen_in(bench);
    start_client(bench);
    hears(bench, tail, &identify,
          apr_pstrcat(bench->pool, head,
                      ",\"event\":1,\"verdict\":\"accepted\",\"reason\":null,\"text\":null", NULL));
    hears(bench, tail, &identify,
          apr_pstrcat(bench->pool, head, ",\"verdict\":\"duplicate\",\"reason\":null,\"text\":null",
                      NULL));
    hears(bench, tail,
          &(struct shot){.flags = MKTO_ENVELOPE_BROWSER,
                         .body =
                             "{\"event\":\"E\",\"userId\":\"u\",\"integrations\":{\"All\":false}}"},
          "\"source\":\"browser\",\"call\":\"track\",\"type\":\"event\",\"lead\":null,"
          "\"verdict\":\"filtered\",\"reason\":\"integrations\",\"text\":null");
    hears(bench, tail, &(struct shot){.body = "{\"userId\":\"ada@example.com\"}"},
          "\"source\":\"server\",\"call\":\"track\",\"type\":\"event\",\"lead\":null,"
          "\"verdict\":\"rejected\",\"reason\":\"bad_request\","
          "\"text\":\"event: must be a non-empty string\"");
    close(tail);
}

static void each_of_a_batch_is_told(void **state)
{
    struct bench *bench = *state;
    const int tail = listen_in(bench);
    start_client(bench);
    shoot(bench,
          &(struct shot){.call = MKTO_CALL_BATCH,
                         .request_id = "r",
                         .body = "{\"batch\":["
                                 "{\"type\":\"track\",\"event\":\"A\",\"userId\":\"u\"},"
                                 "{\"type\":\"alias\",\"userId\":\"u\",\"previousId\":\"v\"},"
                                 "{\"type\":\"track\",\"userId\":\"u\"}]}"});
    turn(bench);
    const char *lines = heard(bench, tail);
    const char *one =
        strstr(lines, "\"call\":\"track\",\"type\":\"event\",\"lead\":null,\"event\":1,"
                      "\"verdict\":\"accepted\"");
    const char *two = strstr(lines, "\"call\":\"alias\",\"type\":\"event\",\"lead\":null,"
                                    "\"verdict\":\"filtered\",\"reason\":\"alias\"");
    const char *three = strstr(lines, "\"verdict\":\"rejected\",\"reason\":\"bad_request\"");
    assert_true(one != NULL && one < two && two < three);
    close(tail);
}

/* The name of the write key's row goes to the spool, too; a server that says it has one has none.
 */
static void the_write_key_names_the_source(void **state)
{
    struct bench *bench = *state;
    const int tail = listen_in(bench);
    struct mkto_spool_row row;
    struct mkto_envelope stored;
    start_client(bench);
    shoot(bench,
          &(struct shot){.call = MKTO_CALL_IDENTIFY,
                         .body = "{\"writeKey\":\"wk_secret\",\"userId\":\"a@example.com\"}"});
    turn(bench);
    assert_non_null(strstr(heard(bench, tail), "\"source\":\"site\""));
    assert_int_equal(mkto_spool_get(bench->spool, 1, &row, NULL, bench->pool), 1);
    assert_int_equal(
        mkto_envelope_decode((const uint8_t *)row.envelope.data, row.envelope.len, &stored, NULL),
        0);
    assert_true(mkto_slice_is(stored.source, "site"));
    const struct mkto_envelope liar = {
        .call = MKTO_CALL_IDENTIFY,
        .flags = MKTO_ENVELOPE_BROWSER | MKTO_ENVELOPE_OWN,
        .received_ms = test_wall,
        .user_agent = MKTO_SLICE_LIT("Mozilla/5.0"),
        .body = MKTO_SLICE_LIT("{\"userId\":\"b@example.com\"}"),
        .source = MKTO_SLICE_LIT("site"),
    };
    const struct mkto_event_frame frame = {.seq = ++bench->seq, .deadline_ms = test_mono + 5000};
    uint8_t out[512];
    send_bytes(bench, bench->client, out, mkto_event_write(&frame, &liar, out));
    turn(bench);
    assert_non_null(strstr(heard(bench, tail), "\"source\":\"browser\""));
    assert_int_equal(mkto_spool_get(bench->spool, 2, &row, NULL, bench->pool), 1);
    assert_int_equal(
        mkto_envelope_decode((const uint8_t *)row.envelope.data, row.envelope.len, &stored, NULL),
        0);
    assert_null(stored.source.data);
    close(tail);
}

/* What a commit could not store was not accepted. */
static void a_full_spool_accepts_nothing(void **state)
{
    struct bench *bench = *state;
    static char body[20000];
    const int tail = listen_in(bench);
    const char *line = "";
    start_client(bench);
    const int len = snprintf(body, sizeof(body), "{\"event\":\"E\",\"userId\":\"u\",\"x\":\"");
    memset(body + len, 'x', 16000);
    memcpy(body + len + 16000, "\"}", 3);
    for (int i = 0; i < 100 && strstr(line, "refused") == NULL; i++) {
        shoot(bench, &(struct shot){.body = body});
        turn(bench);
        line = heard(bench, tail);
        bench->in_at = bench->in_len = 0;
        receive(bench, bench->client);
    }
    assert_non_null(strstr(line, "\"verdict\":\"refused\",\"reason\":\"full\""));
    assert_null(strstr(line, "\"event\":"));
    close(tail);
}

static unsigned count(const char *lines, const char *word)
{
    unsigned found = 0;
    for (const char *at = lines; (at = strstr(at, word)) != NULL; at++) {
        found++;
    }
    return found;
}

/* A turn with one event more than is told of: the listener hears how many lines it has lost. */
/* What was answered before a commit that fails is held in memory, and not refused. */
static void a_failed_commit_refuses_the_others(void **state)
{
    struct bench *bench = *state;
    const char *body = "{\"event\":\"E\",\"userId\":\"u\"}";
    const int tail = listen_in(bench);
    start_client(bench);
    shoot(bench, &(struct shot){.body = body, .ack = MKTO_ACK_MEMORY});
    shoot(bench, &(struct shot){.body = body});
    const struct rlimit old = full_disk_begin(1000);
    turn(bench);
    full_disk_end(old);
    const char *lines = heard(bench, tail);
    const char *accepted = strstr(lines, "\"verdict\":\"accepted\",\"reason\":null");
    assert_non_null(accepted);
    assert_non_null(strstr(accepted, "\"verdict\":\"refused\",\"reason\":\"full\""));
    assert_null(strstr(lines, "\"event\":1"));
    close(tail);
}

static void a_turn_has_so_many_lines(void **state)
{
    struct bench *bench = *state;
    const int tail = listen_in(bench);
    start_client(bench);
    for (int more = 0; more < 2; more++) {
        apr_array_header_t *items = apr_array_make(bench->pool, 1100, sizeof(const char *));
        for (int i = 0; i < MKTO_INTAKE_LINES_MAX + more; i++) {
            APR_ARRAY_PUSH(items, const char *) =
                "{\"type\":\"alias\",\"userId\":\"u\",\"previousId\":\"v\"}";
        }
        const char *body = apr_pstrcat(bench->pool, "{\"batch\":[",
                                       apr_array_pstrcat(bench->pool, items, ','), "]}", NULL);
        shoot(bench, &(struct shot){.call = MKTO_CALL_BATCH, .body = body});
        turn(bench);
        const char *lines = heard(bench, tail);
        turn(bench);
        lines = apr_pstrcat(bench->pool, lines, heard(bench, tail), NULL);
        assert_int_equal(count(lines, "\"verdict\":\"filtered\""), MKTO_INTAKE_LINES_MAX);
        assert_int_equal(count(lines, "\"type\":\"lost\""), 0);
        bench->in_at = bench->in_len = 0;
        receive(bench, bench->client);
    }
    shoot(bench, &(struct shot){.call = MKTO_CALL_IDENTIFY, .body = IDENTIFY});
    turn(bench);
    assert_int_equal(count(heard(bench, tail), "{\"type\":\"lost\",\"lines\":1}\n"), 1);
    close(tail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_event_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(each_of_a_batch_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(the_write_key_names_the_source, setup_keys, teardown),
        cmocka_unit_test_setup_teardown(a_full_spool_accepts_nothing, setup_small, teardown),
        cmocka_unit_test_setup_teardown(a_failed_commit_refuses_the_others, setup, teardown),
        cmocka_unit_test_setup_teardown(a_turn_has_so_many_lines, setup, teardown),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
