#include "wire_test.h"

#include "mkto_frame.h"
#include "mkto_view.h"

#define PATH "/etc/marketo/marketo.conf"

static const struct mkto_hello hello = {
    .version = MKTO_WIRE_VERSION,
    .role = MKTO_ROLE_PRESENCE,
    .build = UINT64_C(0x1122334455667788),
    .config_digest = UINT64_C(0xfedcba9876543210),
    .config_path = {PATH, sizeof(PATH) - 1},
};

static const struct mkto_envelope envelope = {
    .call = MKTO_CALL_TRACK, .received_ms = 1, .body = {"{\"event\":\"a\"}", 13}};

static const struct mkto_event_frame event = {
    .seq = 7, .deadline_ms = 5000, .ack = MKTO_ACK_MEMORY, .authorization = {"Basic d2s6", 10}};

static const struct mkto_verdict_frame verdicts[] = {
    {.seq = 1, .answer = MKTO_ANSWER_STORED},
    {.seq = 2,
     .answer = MKTO_ANSWER_BAD_REQUEST,
     .body = {"{\"success\":false,\"error\":\"byte 3\"}", 34}},
    {.seq = UINT64_MAX, .answer = MKTO_ANSWER_RATE_LIMITED, .retry_after = 65535},
};

/* Allocates exactly what a writer says that it needs, and writes. */
#define WRITE(len, call_measure, call_write)                                                       \
    do {                                                                                           \
        (len) = (call_measure);                                                                    \
        out = malloc(len);                                                                         \
        assert_non_null(out);                                                                      \
        assert_int_equal((call_write), (len));                                                     \
    } while (0)

enum { KINDS = 10 };

/* One frame of each type. */
static uint8_t *sample(int kind, size_t *len)
{
    const struct mkto_welcome welcome = {MKTO_WIRE_VERSION, 2, 3, 4};
    const struct mkto_refused refused = {MKTO_REFUSED_CONFIG, MKTO_SLICE_LIT("another file")};
    const struct mkto_log_frame log = {4, MKTO_SLICE_LIT("MKTO0301 slow")};
    const struct mkto_ask ask = {MKTO_SLICE_LIT("status"), MKTO_SLICE_LIT("{}")};
    const struct mkto_tell tell = {true, MKTO_SLICE_LIT("{\"events\":0}")};
    const struct mkto_counts_frame counts = {{[MKTO_SKIP_BOT] = 7, [MKTO_SKIP_ORIGIN] = 1}};
    struct mkto_view view = {.received_ms = 1};
    struct mkto_request shown = {.uri = MKTO_SLICE_LIT("/a"), .host = MKTO_SLICE_LIT("h")};
    uint8_t *out = NULL;
    switch (kind) {
    case 0: WRITE(*len, mkto_hello_write(&hello, NULL), mkto_hello_write(&hello, out)); break;
    case 1:
        WRITE(*len, mkto_welcome_write(&welcome, NULL), mkto_welcome_write(&welcome, out));
        break;
    case 2:
        WRITE(*len, mkto_refused_write(&refused, NULL), mkto_refused_write(&refused, out));
        break;
    case 3:
        WRITE(*len, mkto_event_write(&event, &envelope, NULL),
              mkto_event_write(&event, &envelope, out));
        break;
    case 4:
        WRITE(*len, mkto_verdicts_write(verdicts, 3, NULL), mkto_verdicts_write(verdicts, 3, out));
        break;
    case 5: WRITE(*len, mkto_log_write(&log, NULL), mkto_log_write(&log, out)); break;
    case 6: WRITE(*len, mkto_ask_write(&ask, NULL), mkto_ask_write(&ask, out)); break;
    case 8:
        WRITE(*len, mkto_counts_frame_write(&counts, NULL), mkto_counts_frame_write(&counts, out));
        break;
    case 9:
        *len = MKTO_VIEW_HEAD + mkto_view_fit(&view, &shown);
        out = malloc(*len);
        assert_non_null(out);
        mkto_view_head(9, 5000, *len, out);
        mkto_view_put(&view, &shown, out + MKTO_VIEW_HEAD);
        break;
    default: WRITE(*len, mkto_tell_write(&tell, NULL), mkto_tell_write(&tell, out)); break;
    }
    return out;
}

/* Reads a frame with the reader of its type. */
static int read_any(const struct mkto_frame *frame, struct mkto_error *err)
{
    union {
        struct mkto_hello hello;
        struct mkto_welcome welcome;
        struct mkto_refused refused;
        struct mkto_event_frame event;
        struct mkto_log_frame log;
        struct mkto_ask ask;
        struct mkto_tell tell;
        struct mkto_counts_frame counts;
        struct mkto_view view;
    } any;
    struct mkto_request request;
    struct mkto_view_iter views = {0};
    struct mkto_verdict_iter iter = {0, 0};
    struct mkto_verdict_frame verdict;
    int rc;
    switch (frame->type) {
    case MKTO_FRAME_HELLO: return mkto_hello_read(frame, &any.hello, err);
    case MKTO_FRAME_WELCOME: return mkto_welcome_read(frame, &any.welcome, err);
    case MKTO_FRAME_REFUSED: return mkto_refused_read(frame, &any.refused, err);
    case MKTO_FRAME_EVENT: return mkto_event_frame_read(frame, &any.event, err);
    case MKTO_FRAME_LOG: return mkto_log_read(frame, &any.log, err);
    case MKTO_FRAME_ASK: return mkto_ask_read(frame, &any.ask, err);
    case MKTO_FRAME_TELL: return mkto_tell_read(frame, &any.tell, err);
    case MKTO_FRAME_COUNTS: return mkto_counts_frame_read(frame, &any.counts, err);
    case MKTO_FRAME_VIEW:
        while ((rc = mkto_views_next(frame, &views, &any.view, &request, err)) == 1) {
        }
        return rc;
    case MKTO_FRAME_VERDICTS: break;
    }
    while ((rc = mkto_verdicts_next(frame, &iter, &verdict, err)) == 1) {
    }
    return rc;
}

static struct mkto_frame frame_of(const uint8_t *data, size_t len)
{
    struct mkto_frame frame;
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(mkto_frame_next(data, len, &frame, &err), len);
    return frame;
}

static void exact_bytes(void **state)
{
    (void)state;
    static const uint8_t want[] = {
        46,   0,    0,    0,    1,    0,    0,    0,    /* payload length, HELLO, reserved */
        3,    0,    2,                                  /* version, role */
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* build */
        0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe, /* digest */
        25,   0,                                        /* length of the path */
    };
    size_t len;
    uint8_t *out;
    WRITE(len, mkto_hello_write(&hello, NULL), mkto_hello_write(&hello, out));
    assert_int_equal(len, sizeof(want) + sizeof(PATH) - 1);
    assert_memory_equal(out, want, sizeof(want));
    assert_memory_equal(out + sizeof(want), PATH, sizeof(PATH) - 1);
    free(out);
}

static void events(void **state)
{
    (void)state;
    size_t len;
    uint8_t *data = sample(3, &len);
    const struct mkto_frame frame = frame_of(data, len);
    struct mkto_event_frame back;
    struct mkto_envelope inner;
    assert_int_equal(mkto_event_frame_read(&frame, &back, NULL), 0);
    assert_int_equal(back.seq, 7);
    assert_int_equal(back.deadline_ms, 5000);
    assert_int_equal(back.ack, MKTO_ACK_MEMORY);
    assert_slice(back.authorization, "Basic d2s6");
    assert_int_equal(
        mkto_envelope_decode((const uint8_t *)back.envelope.data, back.envelope.len, &inner, NULL),
        0);
    assert_slice(inner.body, "{\"event\":\"a\"}");
    free(data);
}

static void others(void **state)
{
    (void)state;
    size_t len;
    uint8_t *data = sample(0, &len);
    struct mkto_frame frame = frame_of(data, len);
    struct mkto_hello back;
    assert_int_equal(mkto_hello_read(&frame, &back, NULL), 0);
    assert_int_equal(back.role, MKTO_ROLE_PRESENCE);
    assert_true(back.build == hello.build && back.config_digest == hello.config_digest);
    assert_slice(back.config_path, PATH);
    free(data);

    data = sample(1, &len);
    frame = frame_of(data, len);
    struct mkto_welcome welcome;
    assert_int_equal(mkto_welcome_read(&frame, &welcome, NULL), 0);
    assert_true(welcome.build == 2 && welcome.config_digest == 3 && welcome.pid == 4);
    free(data);

    data = sample(2, &len);
    frame = frame_of(data, len);
    struct mkto_refused refused;
    assert_int_equal(mkto_refused_read(&frame, &refused, NULL), 0);
    assert_int_equal(refused.reason, MKTO_REFUSED_CONFIG);
    assert_slice(refused.text, "another file");
    free(data);
}

static void tools(void **state)
{
    (void)state;
    size_t len;
    uint8_t *data = sample(5, &len);
    struct mkto_frame frame = frame_of(data, len);
    struct mkto_log_frame log;
    assert_int_equal(mkto_log_read(&frame, &log, NULL), 0);
    assert_int_equal(log.level, 4);
    assert_slice(log.text, "MKTO0301 slow");
    free(data);

    data = sample(6, &len);
    frame = frame_of(data, len);
    struct mkto_ask ask;
    assert_int_equal(mkto_ask_read(&frame, &ask, NULL), 0);
    assert_slice(ask.what, "status");
    assert_slice(ask.args, "{}");
    free(data);

    data = sample(7, &len);
    frame = frame_of(data, len);
    struct mkto_tell tell;
    assert_int_equal(mkto_tell_read(&frame, &tell, NULL), 0);
    assert_true(tell.last);
    assert_slice(tell.text, "{\"events\":0}");
    free(data);
}

static void verdict_walk(void **state)
{
    (void)state;
    size_t len;
    uint8_t *data = sample(4, &len);
    const struct mkto_frame frame = frame_of(data, len);
    struct mkto_verdict_iter iter = {0, 0};
    struct mkto_verdict_frame back;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mkto_verdicts_next(&frame, &iter, &back, NULL), 1);
        assert_true(back.seq == verdicts[i].seq);
        assert_int_equal(back.answer, verdicts[i].answer);
        assert_int_equal(back.retry_after, verdicts[i].retry_after);
        assert_true(mkto_slice_eq(back.body, verdicts[i].body));
    }
    assert_int_equal(mkto_verdicts_next(&frame, &iter, &back, NULL), 0);
    assert_int_equal(mkto_verdicts_next(&frame, &iter, &back, NULL), 0);
    free(data);
}

/* Any cut of a stream means "more bytes", never an error; a payload that is cut is an error. */
static void every_cut(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        size_t len;
        uint8_t *data = sample(kind, &len);
        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *part = malloc(cut + 1);
            assert_non_null(part);
            memcpy(part, data, cut);
            struct mkto_frame frame;
            struct mkto_error err = MKTO_ERROR_INIT;
            assert_int_equal(mkto_frame_next(part, cut, &frame, &err), 0);
            free(part);
        }
        struct mkto_frame frame = frame_of(data, len);
        const bool open_ended = frame.type == MKTO_FRAME_EVENT;
        for (frame.len = 0; frame.len < len - MKTO_FRAME_HEADER; frame.len++) {
            struct mkto_error err = MKTO_ERROR_INIT;
            const int rc = read_any(&frame, &err);
            const bool between = frame.type == MKTO_FRAME_VERDICTS && rc == 0;
            assert_true(rc == -1 || open_ended || between);
            assert_true((rc == -1) == (err.text[0] != '\0'));
        }
        free(data);
    }
}

static void left_over_bytes(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        size_t len;
        uint8_t *data = sample(kind, &len);
        struct mkto_frame frame = frame_of(data, len);
        uint8_t *more = calloc(1, len + 1);
        assert_non_null(more);
        memcpy(more, frame.payload, frame.len);
        frame.payload = more;
        frame.len++;
        struct mkto_error err = MKTO_ERROR_INIT;
        assert_int_equal(read_any(&frame, &err), frame.type == MKTO_FRAME_EVENT ? 0 : -1);
        free(more);
        free(data);
    }
}

static void wrong_type(void **state)
{
    (void)state;
    size_t len;
    uint8_t *data = sample(0, &len);
    struct mkto_frame frame = frame_of(data, len);
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_tell tell;
    assert_int_equal(mkto_tell_read(&frame, &tell, &err), -1);
    assert_string_equal(err.text, "HELLO frame where TELL belongs");
    free(data);
}

static void counts(void **state)
{
    (void)state;
    struct mkto_counts_frame counts = {{0}}, back;
    uint8_t data[MKTO_COUNTS_FRAME_MAX];
    for (unsigned i = 0; i < MKTO_SKIP_COUNT; i++) {
        counts.of[i] = UINT32_MAX - i;
    }
    assert_int_equal(mkto_counts_frame_write(&counts, NULL), sizeof(data));
    assert_int_equal(mkto_counts_frame_write(&counts, data), sizeof(data));
    struct mkto_frame frame = frame_of(data, sizeof(data));
    assert_int_equal(mkto_counts_frame_read(&frame, &back, NULL), 0);
    assert_memory_equal(&back, &counts, sizeof(counts));
    counts = (struct mkto_counts_frame){{[MKTO_SKIP_DNT] = 0x01020304}};
    static const uint8_t want[] = {6, 0, 0, 0, MKTO_FRAME_COUNTS, 0, 0, 0, 1, MKTO_SKIP_DNT,
                                   4, 3, 2, 1};
    assert_int_equal(mkto_counts_frame_write(&counts, data), sizeof(want));
    assert_memory_equal(data, want, sizeof(want));
    counts.of[MKTO_SKIP_DNT] = 0;
    assert_int_equal(mkto_counts_frame_write(&counts, data), MKTO_FRAME_HEADER + 1);
    frame = frame_of(data, MKTO_FRAME_HEADER + 1);
    assert_int_equal(mkto_counts_frame_read(&frame, &back, NULL), 0);
    assert_memory_equal(&back, &counts, sizeof(counts));
}

static void counts_of_others(void **state)
{
    (void)state;
    static const struct {
        uint8_t payload[16];
        size_t len;
        const char *text;
    } rows[] = {
        {{2, 255, 9, 0, 0, 0, 5, 8, 0, 0, 0}, 11, ""}, /* 255: of a newer module */
        {{2, 5, 9, 0, 0, 0, 5, 8, 0, 0, 0}, 11, "COUNTS frame with reason 5 twice"},
        {{2, 200, 9, 0, 0, 0, 200, 8, 0, 0, 0}, 11, "COUNTS frame with reason 200 twice"},
        {{2, 5, 8, 0, 0, 0}, 6, "COUNTS frame is cut off"},
        {{1, 5, 8, 0, 0}, 5, "COUNTS frame is cut off"},
        {{0}, 0, "COUNTS frame is cut off"},
        {{1, 5, 8, 0, 0, 0, 0}, 7, "COUNTS frame with 1 bytes left over"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mkto_frame frame = {MKTO_FRAME_COUNTS, rows[i].payload, rows[i].len};
        struct mkto_error err = MKTO_ERROR_INIT;
        struct mkto_counts_frame back;
        const int rc = mkto_counts_frame_read(&frame, &back, &err);
        assert_string_equal(err.text, rows[i].text);
        assert_int_equal(rc, rows[i].text[0] == '\0' ? 0 : -1);
        if (rc == 0) {
            assert_int_equal(back.of[5], 8);
            assert_int_equal(back.of[0], 0);
        }
    }
}

static void header_errors(void **state)
{
    (void)state;
    static const struct {
        uint8_t header[8];
        const char *text;
    } rows[] = {
        {{0, 0, 0, 0, 0, 0, 0, 0}, "unknown frame type 0"},
        {{0, 0, 0, 0, 11, 0, 0, 0}, "unknown frame type 11"},
        {{0, 0, 0, 0, 1, 1, 0, 0}, "reserved bytes of a frame are not zero"},
        {{0, 0, 0, 0, 1, 0, 0, 1}, "reserved bytes of a frame are not zero"},
        {{255, 255, 255, 255, 1, 0, 0, 0}, "frame of 4294967295 bytes, over 1064960"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_frame frame;
        struct mkto_error err = MKTO_ERROR_INIT;
        assert_int_equal(mkto_frame_next(rows[i].header, 8, &frame, &err), -1);
        assert_string_equal(err.text, rows[i].text);
    }
}

static long next_of_size(size_t payload)
{
    const uint8_t header[8] = {(uint8_t)payload, (uint8_t)(payload >> 8), (uint8_t)(payload >> 16),
                               (uint8_t)(payload >> 24), MKTO_FRAME_EVENT};
    struct mkto_frame frame;
    return mkto_frame_next(header, 8, &frame, NULL);
}

static void largest_frame(void **state)
{
    (void)state;
    assert_int_equal(next_of_size(MKTO_FRAME_MAX), 0);
    assert_int_equal(next_of_size(MKTO_FRAME_MAX + 1), -1);
    static char text[MKTO_FRAME_MAX];
    struct mkto_tell tell = {false, {text, MKTO_FRAME_MAX - 5}};
    assert_int_equal(mkto_tell_write(&tell, NULL), MKTO_FRAME_HEADER + MKTO_FRAME_MAX);
    tell.text.len++;
    assert_int_equal(mkto_tell_write(&tell, NULL), 0);
}

static void largest_event(void **state)
{
    (void)state;
    static char text[MKTO_FRAME_MAX];
    struct mkto_envelope large = envelope;
    large.body = (struct mkto_slice){text, MKTO_BODY_MAX};
    large.referer = (struct mkto_slice){text, sizeof(text)};
    assert_true(mkto_event_write(&event, &large, NULL) > MKTO_BODY_MAX);
    large.body.len = MKTO_FRAME_MAX;
    assert_int_equal(mkto_event_write(&event, &large, NULL), 0);
}

static void largest_authorization(void **state)
{
    (void)state;
    char text[MKTO_AUTHORIZATION_MAX + 1] = {0};
    struct mkto_event_frame with = event;
    with.authorization = (struct mkto_slice){text, MKTO_AUTHORIZATION_MAX};
    const size_t longest = mkto_event_write(&with, &envelope, NULL);
    with.authorization.len++;
    assert_int_equal(longest - mkto_event_write(&with, &envelope, NULL), MKTO_AUTHORIZATION_MAX);

    uint8_t payload[8 + 8 + 1 + 2 + MKTO_AUTHORIZATION_MAX + 1] = {0};
    struct mkto_frame frame = {MKTO_FRAME_EVENT, payload, sizeof(payload) - 1};
    struct mkto_error err = MKTO_ERROR_INIT;
    payload[17] = MKTO_AUTHORIZATION_MAX & 0xff;
    payload[18] = MKTO_AUTHORIZATION_MAX >> 8;
    assert_int_equal(mkto_event_frame_read(&frame, &with, &err), 0);
    payload[17]++;
    frame.len++;
    assert_int_equal(mkto_event_frame_read(&frame, &with, &err), -1);
    assert_string_equal(err.text, "EVENT frame with 513 bytes of authorization, over 512");
}

static void longest_texts(void **state)
{
    (void)state;
    static char text[MKTO_FRAME_TEXT_MAX + 1];
    const struct mkto_slice at = {text, MKTO_FRAME_TEXT_MAX};
    const struct mkto_slice over = {text, MKTO_FRAME_TEXT_MAX + 1};
    assert_true(mkto_refused_write(&(struct mkto_refused){1, at}, NULL) > 0);
    assert_int_equal(mkto_refused_write(&(struct mkto_refused){1, over}, NULL), 0);
    assert_true(mkto_log_write(&(struct mkto_log_frame){4, at}, NULL) > 0);
    assert_int_equal(mkto_log_write(&(struct mkto_log_frame){4, over}, NULL), 0);
    assert_true(mkto_ask_write(&(struct mkto_ask){at, at}, NULL) > 0);
    assert_int_equal(mkto_ask_write(&(struct mkto_ask){over, at}, NULL), 0);
    assert_int_equal(mkto_ask_write(&(struct mkto_ask){at, over}, NULL), 0);
    struct mkto_hello greeting = hello;
    greeting.config_path = at;
    assert_true(mkto_hello_write(&greeting, NULL) > 0);
    greeting.config_path = over;
    assert_int_equal(mkto_hello_write(&greeting, NULL), 0);
}

static void most_verdicts(void **state)
{
    (void)state;
    static struct mkto_verdict_frame many[MKTO_VERDICTS_MAX + 1];
    assert_int_equal(mkto_verdicts_write(many, 0, NULL), 0);
    assert_true(mkto_verdicts_write(many, MKTO_VERDICTS_MAX, NULL) > 0);
    assert_int_equal(mkto_verdicts_write(many, MKTO_VERDICTS_MAX + 1, NULL), 0);

    static uint8_t payload[(MKTO_VERDICTS_MAX + 1) * 13];
    struct mkto_frame frame = {MKTO_FRAME_VERDICTS, payload, MKTO_VERDICTS_MAX * 13};
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(read_any(&frame, &err), 0);
    frame.len += 13;
    assert_int_equal(read_any(&frame, &err), -1);
    assert_string_equal(err.text, "VERDICTS frame with more than 1024");
    frame.len = 0;
    assert_int_equal(read_any(&frame, NULL), -1);
}

static void longest_verdict_body(void **state)
{
    (void)state;
    static char text[MKTO_VERDICT_BODY_MAX + 1];
    struct mkto_verdict_frame verdict = {.seq = 1, .body = {text, MKTO_VERDICT_BODY_MAX}};
    static uint8_t data[MKTO_VERDICT_BODY_MAX + 64];
    const size_t len = mkto_verdicts_write(&verdict, 1, data);
    assert_int_equal(len, MKTO_FRAME_HEADER + 13 + MKTO_VERDICT_BODY_MAX);
    struct mkto_frame frame = frame_of(data, len);
    assert_int_equal(read_any(&frame, NULL), 0);
    verdict.body.len++;
    assert_int_equal(mkto_verdicts_write(&verdict, 1, NULL), 0);
    data[MKTO_FRAME_HEADER + 11]++; /* the body's length */
    frame.len++;
    struct mkto_error err = MKTO_ERROR_INIT;
    assert_int_equal(read_any(&frame, &err), -1);
    assert_string_equal(err.text, "VERDICTS frame with a body of 61441 bytes, over 61440");
}

static void bad_values(void **state)
{
    (void)state;
    static const struct {
        int kind;
        size_t at; /* of the payload */
        uint8_t value;
        const char *text;
    } rows[] = {
        {0, 2, 0, "HELLO frame with role 0"},     {0, 2, 4, "HELLO frame with role 4"},
        {2, 0, 0, "REFUSED frame with reason 0"}, {2, 0, 7, "REFUSED frame with reason 7"},
        {3, 16, 2, "EVENT frame with ack 2"},     {4, 8, 14, "VERDICTS frame with answer 14"},
        {5, 0, 8, "LOG frame with level 8"},      {7, 0, 2, "TELL frame with last 2"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len;
        uint8_t *data = sample(rows[i].kind, &len);
        struct mkto_frame frame = frame_of(data, len);
        struct mkto_error err = MKTO_ERROR_INIT;
        data[MKTO_FRAME_HEADER + rows[i].at] = rows[i].value;
        assert_int_equal(read_any(&frame, &err), -1);
        assert_string_equal(err.text, rows[i].text);
        free(data);
    }
}

/* HELLO and WELCOME of another version may be longer, and have roles that we do not know. */
static void another_version(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        size_t len;
        uint8_t *data = sample(kind, &len);
        uint8_t *payload = calloc(1, len);
        assert_non_null(payload);
        memcpy(payload, data + MKTO_FRAME_HEADER, len - MKTO_FRAME_HEADER);
        payload[0] = MKTO_WIRE_VERSION + 1;
        if (kind == 0) {
            payload[2] = 9;
        }
        const struct mkto_frame frame = {(enum mkto_frame_type)data[4], payload, len};
        assert_int_equal(read_any(&frame, NULL), 0);
        const struct mkto_frame cut = {(enum mkto_frame_type)data[4], payload, 10};
        assert_int_equal(read_any(&cut, NULL), -1);
        free(payload);
        free(data);
    }
}

static void garbage(void **state)
{
    (void)state;
    uint64_t seed = wire_seed();
    for (int round = 0; round < 50000; round++) {
        size_t whole;
        uint8_t *data = sample((int)wire_below(&seed, KINDS), &whole);
        const size_t len = wire_below(&seed, whole + 1);
        uint8_t *part = malloc(len + 1);
        assert_non_null(part);
        memcpy(part, data, len);
        for (size_t flips = wire_below(&seed, 6); len > 0 && flips > 0; flips--) {
            part[wire_below(&seed, len)] = (uint8_t)wire_random(&seed);
        }
        struct mkto_frame frame;
        struct mkto_error err = MKTO_ERROR_INIT;
        const long size = mkto_frame_next(part, len, &frame, &err);
        assert_true(size >= -1 && size <= (long)len);
        const int rc = size > 0 ? read_any(&frame, &err) : 0;
        assert_true((size == -1 || rc == -1) == (err.text[0] != '\0'));
        free(part);
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_bytes),
        cmocka_unit_test(events),
        cmocka_unit_test(others),
        cmocka_unit_test(tools),
        cmocka_unit_test(verdict_walk),
        cmocka_unit_test(every_cut),
        cmocka_unit_test(left_over_bytes),
        cmocka_unit_test(wrong_type),
        cmocka_unit_test(counts),
        cmocka_unit_test(counts_of_others),
        cmocka_unit_test(header_errors),
        cmocka_unit_test(largest_frame),
        cmocka_unit_test(largest_event),
        cmocka_unit_test(largest_authorization),
        cmocka_unit_test(longest_texts),
        cmocka_unit_test(most_verdicts),
        cmocka_unit_test(longest_verdict_body),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(another_version),
        cmocka_unit_test(garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
