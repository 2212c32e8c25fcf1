#include "mkto_frame.h"

#include "mkto_bytes.h"

_Static_assert(MKTO_FRAME_MAX >=
                   MKTO_BODY_MAX + MKTO_ENVELOPE_OVERHEAD + MKTO_AUTHORIZATION_MAX + 19,
               "a frame has room for the largest body");

static const char *const type_names[] = {
    [MKTO_FRAME_HELLO] = "HELLO",       [MKTO_FRAME_WELCOME] = "WELCOME",
    [MKTO_FRAME_REFUSED] = "REFUSED",   [MKTO_FRAME_EVENT] = "EVENT",
    [MKTO_FRAME_VERDICTS] = "VERDICTS", [MKTO_FRAME_LOG] = "LOG",
    [MKTO_FRAME_ASK] = "ASK",           [MKTO_FRAME_TELL] = "TELL",
    [MKTO_FRAME_COUNTS] = "COUNTS",     [MKTO_FRAME_VIEW] = "VIEW",
};

long mkto_frame_next(const uint8_t *data, size_t len, struct mkto_frame *frame,
                     struct mkto_error *err)
{
    if (len < MKTO_FRAME_HEADER) {
        return 0;
    }
    const size_t payload = mkto_bytes_get32(data);
    if (payload > MKTO_FRAME_MAX) {
        return mkto_error_set(err, "frame of %zu bytes, over %d", payload, MKTO_FRAME_MAX);
    }
    if (data[4] < MKTO_FRAME_HELLO || data[4] > MKTO_FRAME_VIEW) {
        return mkto_error_set(err, "unknown frame type %u", data[4]);
    }
    if (data[5] != 0 || data[6] != 0 || data[7] != 0) {
        return mkto_error_set(err, "reserved bytes of a frame are not zero");
    }
    if (len - MKTO_FRAME_HEADER < payload) {
        return 0;
    }
    frame->type = (enum mkto_frame_type)data[4];
    frame->payload = data + MKTO_FRAME_HEADER;
    frame->len = payload;
    return (long)(MKTO_FRAME_HEADER + payload);
}

/* Reading. A reader that ran past the end stays at the end and gives zeros; `done` tells. */

struct reader {
    const uint8_t *at;
    size_t left;
    bool bad;
};

static bool take(struct reader *reader, size_t len, const uint8_t **data)
{
    if (reader->bad || reader->left < len) {
        reader->bad = true;
        return false;
    }
    *data = reader->at;
    reader->at += len;
    reader->left -= len;
    return true;
}

static uint8_t take8(struct reader *reader)
{
    const uint8_t *data;
    return take(reader, 1, &data) ? data[0] : 0;
}

static uint16_t take16(struct reader *reader)
{
    const uint8_t *data;
    return take(reader, 2, &data) ? mkto_bytes_get16(data) : 0;
}

static uint32_t take32(struct reader *reader)
{
    const uint8_t *data;
    return take(reader, 4, &data) ? mkto_bytes_get32(data) : 0;
}

static uint64_t take64(struct reader *reader)
{
    const uint8_t *data;
    return take(reader, 8, &data) ? mkto_bytes_get64(data) : 0;
}

static struct mkto_slice take_bytes(struct reader *reader, size_t len)
{
    const uint8_t *data;
    return take(reader, len, &data) ? (struct mkto_slice){(const char *)data, len}
                                    : MKTO_SLICE_NONE;
}

static struct mkto_slice take_text(struct reader *reader)
{
    return take_bytes(reader, take16(reader));
}

static int bad_field(const struct mkto_frame *frame, const char *field, unsigned value,
                     struct mkto_error *err)
{
    return mkto_error_set(err, "%s frame with %s %u", type_names[frame->type], field, value);
}

static int start(const struct mkto_frame *frame, enum mkto_frame_type type, struct reader *reader,
                 struct mkto_error *err)
{
    *reader = (struct reader){frame->payload, frame->len, false};
    if (frame->type != type) {
        return mkto_error_set(err, "%s frame where %s belongs", type_names[frame->type],
                              type_names[type]);
    }
    return 0;
}

static int done(const struct mkto_frame *frame, const struct reader *reader, struct mkto_error *err)
{
    if (reader->bad) {
        return mkto_error_set(err, "%s frame is cut off", type_names[frame->type]);
    }
    if (reader->left > 0) {
        return mkto_error_set(err, "%s frame with %zu bytes left over", type_names[frame->type],
                              reader->left);
    }
    return 0;
}

/* Another wire version may have appended members. */
static void skip_rest(struct reader *reader)
{
    reader->left = 0;
}

int mkto_hello_read(const struct mkto_frame *frame, struct mkto_hello *hello,
                    struct mkto_error *err)
{
    struct reader reader;
    if (start(frame, MKTO_FRAME_HELLO, &reader, err) != 0) {
        return -1;
    }
    hello->version = take16(&reader);
    hello->role = take8(&reader);
    hello->build = take64(&reader);
    hello->config_digest = take64(&reader);
    hello->config_path = take_text(&reader);
    if (hello->version != MKTO_WIRE_VERSION) {
        skip_rest(&reader);
    } else if (!reader.bad && (hello->role < MKTO_ROLE_EVENTS || hello->role > MKTO_ROLE_TOOL)) {
        return bad_field(frame, "role", hello->role, err);
    }
    return done(frame, &reader, err);
}

int mkto_welcome_read(const struct mkto_frame *frame, struct mkto_welcome *welcome,
                      struct mkto_error *err)
{
    struct reader reader;
    if (start(frame, MKTO_FRAME_WELCOME, &reader, err) != 0) {
        return -1;
    }
    welcome->version = take16(&reader);
    welcome->build = take64(&reader);
    welcome->config_digest = take64(&reader);
    welcome->pid = take32(&reader);
    if (welcome->version != MKTO_WIRE_VERSION) {
        skip_rest(&reader);
    }
    return done(frame, &reader, err);
}

int mkto_refused_read(const struct mkto_frame *frame, struct mkto_refused *refused,
                      struct mkto_error *err)
{
    struct reader reader;
    if (start(frame, MKTO_FRAME_REFUSED, &reader, err) != 0) {
        return -1;
    }
    refused->reason = take8(&reader);
    refused->text = take_text(&reader);
    if (!reader.bad &&
        (refused->reason < MKTO_REFUSED_VERSION || refused->reason > MKTO_REFUSED_CROWD)) {
        return bad_field(frame, "reason", refused->reason, err);
    }
    return done(frame, &reader, err);
}

int mkto_event_frame_read(const struct mkto_frame *frame, struct mkto_event_frame *event,
                          struct mkto_error *err)
{
    struct reader reader;
    if (start(frame, MKTO_FRAME_EVENT, &reader, err) != 0) {
        return -1;
    }
    event->seq = take64(&reader);
    event->deadline_ms = take64(&reader);
    event->ack = take8(&reader);
    event->authorization = take_text(&reader);
    event->envelope = take_bytes(&reader, reader.left);
    if (reader.bad) {
        return done(frame, &reader, err);
    }
    if (event->ack > MKTO_ACK_MEMORY) {
        return bad_field(frame, "ack", event->ack, err);
    }
    if (event->authorization.len > MKTO_AUTHORIZATION_MAX) {
        return mkto_error_set(err, "EVENT frame with %zu bytes of authorization, over %d",
                              event->authorization.len, MKTO_AUTHORIZATION_MAX);
    }
    return 0;
}

int mkto_log_read(const struct mkto_frame *frame, struct mkto_log_frame *log,
                  struct mkto_error *err)
{
    struct reader reader;
    if (start(frame, MKTO_FRAME_LOG, &reader, err) != 0) {
        return -1;
    }
    log->level = take8(&reader);
    log->text = take_text(&reader);
    if (!reader.bad && log->level > 7) {
        return bad_field(frame, "level", log->level, err);
    }
    return done(frame, &reader, err);
}

int mkto_ask_read(const struct mkto_frame *frame, struct mkto_ask *ask, struct mkto_error *err)
{
    struct reader reader;
    if (start(frame, MKTO_FRAME_ASK, &reader, err) != 0) {
        return -1;
    }
    ask->what = take_text(&reader);
    ask->args = take_text(&reader);
    return done(frame, &reader, err);
}

int mkto_tell_read(const struct mkto_frame *frame, struct mkto_tell *tell, struct mkto_error *err)
{
    struct reader reader;
    if (start(frame, MKTO_FRAME_TELL, &reader, err) != 0) {
        return -1;
    }
    const uint8_t last = take8(&reader);
    tell->last = last == 1;
    tell->text = take_bytes(&reader, take32(&reader));
    if (!reader.bad && last > 1) {
        return bad_field(frame, "last", last, err);
    }
    return done(frame, &reader, err);
}

int mkto_counts_frame_read(const struct mkto_frame *frame, struct mkto_counts_frame *counts,
                           struct mkto_error *err)
{
    struct reader reader;
    bool seen[UINT8_MAX + 1] = {false};
    if (start(frame, MKTO_FRAME_COUNTS, &reader, err) != 0) {
        return -1;
    }
    memset(counts, 0, sizeof(*counts));
    for (unsigned rows = take8(&reader); rows > 0 && !reader.bad; rows--) {
        const uint8_t reason = take8(&reader);
        const uint32_t number = take32(&reader);
        if (!reader.bad && seen[reason]) {
            return mkto_error_set(err, "COUNTS frame with reason %u twice", reason);
        }
        seen[reason] = true;
        if (reason < MKTO_SKIP_COUNT) {
            counts->of[reason] = number;
        }
    }
    return done(frame, &reader, err);
}

int mkto_verdicts_next(const struct mkto_frame *frame, struct mkto_verdict_iter *iter,
                       struct mkto_verdict_frame *verdict, struct mkto_error *err)
{
    struct reader reader;
    if (start(frame, MKTO_FRAME_VERDICTS, &reader, err) != 0) {
        return -1;
    }
    if (iter->offset == frame->len && iter->count > 0) {
        return 0;
    }
    if (iter->count == MKTO_VERDICTS_MAX) {
        return mkto_error_set(err, "VERDICTS frame with more than %d", MKTO_VERDICTS_MAX);
    }
    reader.at += iter->offset;
    reader.left -= iter->offset;
    verdict->seq = take64(&reader);
    verdict->answer = take8(&reader);
    verdict->retry_after = take16(&reader);
    verdict->body = take_text(&reader);
    if (reader.bad) {
        return done(frame, &reader, err);
    }
    if (verdict->answer >= MKTO_ANSWER_COUNT) {
        return bad_field(frame, "answer", verdict->answer, err);
    }
    if (verdict->body.len > MKTO_VERDICT_BODY_MAX) {
        return mkto_error_set(err, "VERDICTS frame with a body of %zu bytes, over %d",
                              verdict->body.len, MKTO_VERDICT_BODY_MAX);
    }
    iter->offset = frame->len - reader.left;
    iter->count++;
    return 1;
}

/* Writing. Each writer works out its size first and writes only when there is somewhere to. */

static size_t text_size(struct mkto_slice text)
{
    return 2 + text.len;
}

static uint8_t *put_text(uint8_t *out, struct mkto_slice text)
{
    out = mkto_bytes_put16(out, (uint16_t)text.len);
    return mkto_bytes_put(out, text.data, text.len);
}

static bool fits(struct mkto_slice text)
{
    return text.len <= MKTO_FRAME_TEXT_MAX;
}

static uint8_t *put_header(uint8_t *out, enum mkto_frame_type type, size_t payload)
{
    out = mkto_bytes_put32(out, (uint32_t)payload);
    return mkto_bytes_put32(out, (uint32_t)type); /* and three zero bytes */
}

size_t mkto_hello_write(const struct mkto_hello *hello, uint8_t *out)
{
    if (!fits(hello->config_path)) {
        return 0;
    }
    const size_t payload = 2 + 1 + 8 + 8 + text_size(hello->config_path);
    if (out != NULL) {
        out = put_header(out, MKTO_FRAME_HELLO, payload);
        out = mkto_bytes_put16(out, hello->version);
        out = mkto_bytes_put8(out, hello->role);
        out = mkto_bytes_put64(out, hello->build);
        out = mkto_bytes_put64(out, hello->config_digest);
        put_text(out, hello->config_path);
    }
    return MKTO_FRAME_HEADER + payload;
}

size_t mkto_welcome_write(const struct mkto_welcome *welcome, uint8_t *out)
{
    const size_t payload = 2 + 8 + 8 + 4;
    if (out != NULL) {
        out = put_header(out, MKTO_FRAME_WELCOME, payload);
        out = mkto_bytes_put16(out, welcome->version);
        out = mkto_bytes_put64(out, welcome->build);
        out = mkto_bytes_put64(out, welcome->config_digest);
        mkto_bytes_put32(out, welcome->pid);
    }
    return MKTO_FRAME_HEADER + payload;
}

size_t mkto_refused_write(const struct mkto_refused *refused, uint8_t *out)
{
    if (!fits(refused->text)) {
        return 0;
    }
    const size_t payload = 1 + text_size(refused->text);
    if (out != NULL) {
        out = put_header(out, MKTO_FRAME_REFUSED, payload);
        out = mkto_bytes_put8(out, refused->reason);
        put_text(out, refused->text);
    }
    return MKTO_FRAME_HEADER + payload;
}

size_t mkto_event_write(const struct mkto_event_frame *event, const struct mkto_envelope *envelope,
                        uint8_t *out)
{
    const struct mkto_slice authorization =
        event->authorization.len > MKTO_AUTHORIZATION_MAX ? MKTO_SLICE_NONE : event->authorization;
    const size_t payload = 8 + 8 + 1 + text_size(authorization) + mkto_envelope_size(envelope);
    if (payload > MKTO_FRAME_MAX) {
        return 0;
    }
    if (out != NULL) {
        out = put_header(out, MKTO_FRAME_EVENT, payload);
        out = mkto_bytes_put64(out, event->seq);
        out = mkto_bytes_put64(out, event->deadline_ms);
        out = mkto_bytes_put8(out, event->ack);
        out = put_text(out, authorization);
        mkto_envelope_encode(envelope, out);
    }
    return MKTO_FRAME_HEADER + payload;
}

static size_t verdicts_size(const struct mkto_verdict_frame *verdicts, size_t count)
{
    size_t payload = 0;
    for (size_t i = 0; i < count; i++) {
        if (verdicts[i].body.len > MKTO_VERDICT_BODY_MAX) {
            return 0;
        }
        payload += 8 + 1 + 2 + text_size(verdicts[i].body);
    }
    return payload > MKTO_FRAME_MAX ? 0 : payload;
}

size_t mkto_verdicts_write(const struct mkto_verdict_frame *verdicts, size_t count, uint8_t *out)
{
    const size_t payload = count > MKTO_VERDICTS_MAX ? 0 : verdicts_size(verdicts, count);
    if (payload == 0) {
        return 0;
    }
    if (out != NULL) {
        out = put_header(out, MKTO_FRAME_VERDICTS, payload);
        for (size_t i = 0; i < count; i++) {
            out = mkto_bytes_put64(out, verdicts[i].seq);
            out = mkto_bytes_put8(out, verdicts[i].answer);
            out = mkto_bytes_put16(out, verdicts[i].retry_after);
            out = put_text(out, verdicts[i].body);
        }
    }
    return MKTO_FRAME_HEADER + payload;
}

size_t mkto_log_write(const struct mkto_log_frame *log, uint8_t *out)
{
    if (!fits(log->text)) {
        return 0;
    }
    const size_t payload = 1 + text_size(log->text);
    if (out != NULL) {
        out = put_header(out, MKTO_FRAME_LOG, payload);
        out = mkto_bytes_put8(out, log->level);
        put_text(out, log->text);
    }
    return MKTO_FRAME_HEADER + payload;
}

size_t mkto_ask_write(const struct mkto_ask *ask, uint8_t *out)
{
    if (!fits(ask->what) || !fits(ask->args)) {
        return 0;
    }
    const size_t payload = text_size(ask->what) + text_size(ask->args);
    if (out != NULL) {
        out = put_header(out, MKTO_FRAME_ASK, payload);
        out = put_text(out, ask->what);
        put_text(out, ask->args);
    }
    return MKTO_FRAME_HEADER + payload;
}

size_t mkto_tell_write(const struct mkto_tell *tell, uint8_t *out)
{
    const size_t payload = 1 + 4 + tell->text.len;
    if (tell->text.len > MKTO_FRAME_MAX - 5) {
        return 0;
    }
    if (out != NULL) {
        out = put_header(out, MKTO_FRAME_TELL, payload);
        out = mkto_bytes_put8(out, tell->last ? 1 : 0);
        out = mkto_bytes_put32(out, (uint32_t)tell->text.len);
        mkto_bytes_put(out, tell->text.data, tell->text.len);
    }
    return MKTO_FRAME_HEADER + payload;
}

size_t mkto_counts_frame_write(const struct mkto_counts_frame *counts, uint8_t *out)
{
    uint8_t rows = 0;
    for (unsigned i = 0; i < MKTO_SKIP_COUNT; i++) {
        rows = (uint8_t)(rows + (counts->of[i] > 0));
    }
    const size_t payload = 1 + (size_t)rows * (1 + 4);
    if (out != NULL) {
        out = put_header(out, MKTO_FRAME_COUNTS, payload);
        out = mkto_bytes_put8(out, rows);
        for (unsigned i = 0; i < MKTO_SKIP_COUNT; i++) {
            if (counts->of[i] > 0) {
                out = mkto_bytes_put8(out, (uint8_t)i);
                out = mkto_bytes_put32(out, counts->of[i]);
            }
        }
    }
    return MKTO_FRAME_HEADER + payload;
}
