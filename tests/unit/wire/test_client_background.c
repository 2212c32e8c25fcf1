/* Fire and forget, and the numbers of what was kept away. */
#include "client_driver.h"

#include "mkto_queue.h"

/* Takes all output; adds up its COUNTS frames, and returns how many there were. EVENT frames are
 * counted in *events. */
static size_t take_counts(struct mkto_client *client, struct mkto_counts_frame *sum, size_t *events)
{
    size_t len, frames = 0;
    const uint8_t *data = take(client, SIZE_MAX, &len);
    *events = 0;
    while (len > 0) {
        struct mkto_frame frame;
        struct mkto_counts_frame counts;
        const long size = mkto_frame_next(data, len, &frame, NULL);
        assert_true(size > 0);
        if (frame.type == MKTO_FRAME_COUNTS) {
            assert_int_equal(mkto_counts_frame_read(&frame, &counts, NULL), 0);
            for (int i = 0; i < MKTO_SKIP_COUNT; i++) {
                sum->of[i] += counts.of[i];
            }
            frames++;
        } else {
            assert_true(frame.type == MKTO_FRAME_EVENT || frame.type == MKTO_FRAME_VIEW);
            (*events)++;
        }
        data += size;
        len -= (size_t)size;
    }
    return frames;
}

static void stored_and_forgotten(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    struct mkto_counts_frame sum = {{0}};
    size_t events;
    make_ready(client, T0);
    assert_int_equal(submit(client, NULL, 2000, T0), MKTO_ANSWER_STORED);
    assert_int_equal(mkto_client_waiting(client), 0);
    assert_int_equal(mkto_client_background(client), 1);
    assert_int_equal(mkto_client_deadline(client), 2000);
    assert_int_equal(take_counts(client, &sum, &events), 0);
    assert_int_equal(events, 1);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_STORED, T0), 0);
    assert_int_equal(mkto_client_background(client), 0);
    assert_int_equal(mkto_client_deadline(client), UINT64_MAX);
    assert_int_equal(got_count, 0);
    mkto_client_destroy(client);
}

static enum mkto_answer show(struct mkto_client *client, size_t path, uint64_t deadline)
{
    static char text[MKTO_VIEW_TEXT_MAX + 1];
    memset(text, 'a', sizeof(text));
    struct mkto_view view = {.deadline_ms = deadline};
    struct mkto_request request = {.uri = {text, path}};
    return mkto_client_view(client, &view, &request, T0);
}

static uint32_t not_stored; /* that take_views has met */

/* Takes one VIEW frame off the front of data, and what numbers stand before it; returns how many
 * views it has, and how long the path of each is. */
static size_t take_views(const uint8_t **data, size_t *len, uint64_t seq, uint64_t deadline,
                         size_t paths[MKTO_VIEWS_MAX])
{
    struct mkto_view_iter iter = {0};
    struct mkto_request request;
    struct mkto_frame frame;
    struct mkto_view view;
    long size = mkto_frame_next(*data, *len, &frame, NULL);
    if (size > 0 && frame.type == MKTO_FRAME_COUNTS) {
        struct mkto_counts_frame counts;
        assert_int_equal(mkto_counts_frame_read(&frame, &counts, NULL), 0);
        not_stored += counts.of[MKTO_SKIP_NOT_STORED];
        *data += size;
        *len -= (size_t)size;
        size = mkto_frame_next(*data, *len, &frame, NULL);
    }
    assert_true(size > 0);
    while (mkto_views_next(&frame, &iter, &view, &request, NULL) == 1) {
        assert_int_equal(view.deadline_ms, deadline);
        paths[iter.count - 1] = request.uri.len;
    }
    assert_int_equal(iter.seq, seq);
    *data += size;
    *len -= (size_t)size;
    return iter.count;
}

static void page_views(void **state)
{
    (void)state;
    struct mkto_client *client = create(60000, 8);
    struct mkto_counts_frame sum = {{0}};
    size_t paths[MKTO_VIEWS_MAX];
    size_t len, events;
    not_stored = 0;
    make_ready(client, T0);
    assert_int_equal(show(client, 5, 2000), MKTO_ANSWER_STORED);
    assert_int_equal(show(client, 6, 2001), MKTO_ANSWER_STORED);
    assert_int_equal(mkto_client_background(client), 2);
    const uint8_t *data = take(client, SIZE_MAX, &len);
    assert_int_equal(take_views(&data, &len, 1, 2000, paths), 2);
    assert_int_equal(paths[0], 5);
    assert_int_equal(paths[1], 6);
    assert_int_equal(len, 0);
    assert_int_equal(show(client, 5, T0), MKTO_ANSWER_AWAY);
    assert_int_equal(show(client, MKTO_VIEW_TEXT_MAX + 1, 2000), MKTO_ANSWER_TOO_LARGE);
    assert_int_equal(show(client, MKTO_VIEW_TEXT_MAX, 2000), MKTO_ANSWER_STORED);
    assert_int_equal(show(client, 7, 2000), MKTO_ANSWER_STORED);
    assert_int_equal(show(client, 8, 2000), MKTO_ANSWER_BUSY); /* half of eight wait */
    data = take(client, SIZE_MAX, &len);
    assert_int_equal(take_views(&data, &len, 2, 2000, paths), 2);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_FILTERED, T0), 0);
    assert_int_equal(mkto_client_background(client), 2);
    assert_int_equal(got_count, 0);
    mkto_client_tick(client, 2000);
    assert_int_equal(mkto_client_background(client), 0);
    assert_int_equal(mkto_client_waiting(client), 0); /* all calls of a frame end with it */
    assert_int_equal(show(client, 9, 9000), MKTO_ANSWER_STORED); /* and gives its room back */
    take_counts(client, &sum, &events);
    mkto_client_tick(client, 2000 + MKTO_CLIENT_COUNTS_EVERY);
    take_counts(client, &sum, &events);
    assert_int_equal(not_stored + sum.of[MKTO_SKIP_NOT_STORED],
                     5); /* three refused, and two of the frame */
    mkto_client_destroy(client);
}

static void frames_that_views_share(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    size_t paths[MKTO_VIEWS_MAX];
    size_t len;
    make_ready(client, T0);
    for (size_t i = 0; i <= MKTO_VIEWS_MAX; i++) {
        assert_int_equal(show(client, 1, 5000), MKTO_ANSWER_STORED);
    }
    show(client, 2, 5000 + MKTO_QUEUE_SHARE_TIME);
    show(client, 3, 5000 + MKTO_QUEUE_SHARE_TIME + 1); /* would lose too much of its time */
    show(client, 4, 5000);                             /* its own deadline is earlier */
    const uint8_t *data = take(client, SIZE_MAX, &len);
    uint64_t seq = 1;
    assert_int_equal(take_views(&data, &len, seq++, 5000, paths), MKTO_VIEWS_MAX);
    assert_int_equal(take_views(&data, &len, seq++, 5000, paths), 2);
    assert_int_equal(take_views(&data, &len, seq++, 6001, paths), 1);
    assert_int_equal(take_views(&data, &len, seq++, 5000, paths), 1);
    assert_int_equal(len, 0);
    show(client, 5, 5000); /* what is out is closed, even when no verdict has come */
    data = take(client, SIZE_MAX, &len);
    assert_int_equal(take_views(&data, &len, seq, 5000, paths), 1);
    assert_int_equal(mkto_client_background(client), MKTO_VIEWS_MAX + 5);
    mkto_client_closed(client, 0, T0); /* and all of it goes out again */
    make_ready(client, T0 + MKTO_CLIENT_BACKOFF_MIN);
    data = take(client, SIZE_MAX, &len);
    assert_true(take_views(&data, &len, 1, 5000, paths) > 100);
    mkto_client_destroy(client);
}

static size_t bytes_of_view(size_t path)
{
    struct mkto_view view = {.deadline_ms = 5000};
    struct mkto_request request = {.uri = {"", path}};
    return mkto_view_fit(&view, &request);
}

/* A client whose one frame has as many of the longest as that many bytes take; and the path of one
 * more that makes it just so long. */
static struct mkto_client *nearly_full(size_t bytes, size_t *longest, size_t *last)
{
    struct mkto_client *client = create(0, 0);
    const size_t most = bytes_of_view(MKTO_VIEW_TEXT_MAX);
    *longest = (bytes - MKTO_VIEW_HEAD) / most;
    *last = MKTO_VIEW_TEXT_MAX - most + (bytes - MKTO_VIEW_HEAD) % most;
    make_ready(client, T0);
    for (size_t i = 0; i < *longest; i++) {
        show(client, MKTO_VIEW_TEXT_MAX, 5000);
    }
    return client;
}

static void a_frame_is_full(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        size_t paths[MKTO_VIEWS_MAX];
        size_t len, longest, last;
        struct mkto_client *client = nearly_full(MKTO_QUEUE_SHARED, &longest, &last);
        show(client, last + over, 5000);
        const uint8_t *data = take(client, SIZE_MAX, &len);
        assert_int_equal(take_views(&data, &len, 1, 5000, paths),
                         over == 0 ? longest + 1 : longest);
        assert_int_equal(len > 0, over == 1);
        mkto_client_destroy(client);
    }
}

/* So many bytes, or a frame that takes no more. */
static void enough_has_gathered(void **state)
{
    (void)state;
    for (size_t under = 0; under <= 1; under++) {
        size_t len, longest, last;
        struct mkto_client *client = nearly_full(MKTO_CLIENT_GATHER, &longest, &last);
        assert_false(mkto_client_gathered(client));
        show(client, last - under, 5000);
        assert_int_equal(mkto_client_gathered(client), under == 0);
        show(client, 1, 5000);
        assert_true(mkto_client_gathered(client));
        take(client, SIZE_MAX, &len);
        assert_false(mkto_client_gathered(client)); /* all of it is out */
        show(client, 1, 5000);
        assert_false(mkto_client_gathered(client));
        show(client, 1, 5000 + MKTO_QUEUE_SHARE_TIME + 1); /* closes the other's frame */
        assert_true(mkto_client_gathered(client));
        mkto_client_destroy(client);
    }
}

/* One that nothing has been sent of takes no more when it has expired. */
static void an_open_frame_expires(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    size_t paths[MKTO_VIEWS_MAX];
    size_t len;
    show(client, 1, 2000);
    mkto_client_tick(client, 2000);
    assert_int_equal(mkto_client_background(client), 0);
    show(client, 2, 2001);
    make_ready(client, T0);
    const uint8_t *data = take(client, SIZE_MAX, &len);
    assert_int_equal(take_views(&data, &len, 2, 2001, paths), 1);
    assert_int_equal(paths[0], 2);
    mkto_client_destroy(client);
}

static void deadline_trips_nothing(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    struct mkto_counts_frame sum = {{0}};
    size_t events;
    make_ready(client, T0);
    submit(client, NULL, 2000, T0);
    take_counts(client, &sum, &events);
    mkto_client_tick(client, 2000);
    assert_false(mkto_client_tripped(client));
    assert_int_equal(mkto_client_background(client), 0);
    assert_int_equal(submit(client, &got[0], 9000, 2000), MKTO_ANSWER_STORED);
    assert_int_equal(take_counts(client, &sum, &events), 1);
    assert_int_equal(events, 1);
    assert_int_equal(sum.of[MKTO_SKIP_NOT_STORED], 1);
    mkto_client_destroy(client);
}

/* A courier that greets and never answers: nobody else would notice. */
static void silence_ends_a_connection(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    uint64_t now = T0;
    size_t len;
    make_ready(client, now);
    submit(client, NULL, 99000, now);
    submit(client, NULL, 99000, now + 5000); /* it is the first that counts */
    take(client, SIZE_MAX, &len);
    for (unsigned times = 1; times <= 3; times++) {
        assert_int_equal(mkto_client_deadline(client), now + MKTO_CLIENT_DEAF);
        mkto_client_tick(client, now + MKTO_CLIENT_DEAF - 1);
        assert_false(mkto_client_wants(client, now) & MKTO_WANT_CLOSE);
        assert_int_equal(mkto_client_silences(client), times - 1);
        now += MKTO_CLIENT_DEAF;
        mkto_client_tick(client, now);
        assert_int_equal(mkto_client_wants(client, now), MKTO_WANT_CLOSE);
        assert_int_equal(mkto_client_silences(client), times);
        assert_false(mkto_client_tripped(client));
        mkto_client_closed(client, 0, now);
        assert_string_equal(mkto_client_reason(client), "the courier does not answer");
        now += MKTO_CLIENT_BACKOFF_MIN;
        make_ready(client, now); /* both go out again */
        take(client, SIZE_MAX, &len);
        assert_true(len > 0);
    }
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_STORED, now + 9000), 0);
    assert_int_equal(mkto_client_silences(client), 0);
    assert_int_equal(mkto_client_deadline(client),
                     now + 9000 + MKTO_CLIENT_DEAF); /* of the other */
    assert_int_equal(verdict(client, 2, MKTO_ANSWER_STORED, now + 9500), 0);
    assert_int_equal(mkto_client_deadline(client), UINT64_MAX);
    mkto_client_destroy(client);
}

static void refused_is_counted(void **state)
{
    (void)state;
    static char body[MKTO_BODY_MAX + 1];
    const struct mkto_event_frame event = {.deadline_ms = 9000};
    const struct mkto_envelope large = {.call = MKTO_CALL_PAGE, .body = {body, sizeof(body)}};
    struct mkto_client *client = create(0, 2);
    struct mkto_counts_frame sum = {{0}};
    size_t events;
    assert_int_equal(submit(client, NULL, T0, T0), MKTO_ANSWER_AWAY); /* past its deadline */
    assert_int_equal(mkto_client_submit(client, &event, &large, NULL, T0), MKTO_ANSWER_TOO_LARGE);
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_STORED);
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_BUSY);
    assert_int_equal(submit(client, &got[0], T0, T0), MKTO_ANSWER_AWAY); /* has its own answer */
    make_ready(client, T0);
    assert_int_equal(take_counts(client, &sum, &events), 1);
    assert_int_equal(sum.of[MKTO_SKIP_NOT_STORED], 3);
    mkto_client_destroy(client);
}

/* A call has timed out: the next one is refused, but a page view has time until its own deadline.
 */
static void tripped_takes_page_views(void **state)
{
    (void)state;
    struct mkto_client *client = create(60000, 8);
    struct mkto_counts_frame sum = {{0}};
    size_t paths[MKTO_VIEWS_MAX];
    size_t len, events;
    not_stored = 0;
    submit(client, &got[0], 1500, T0);
    mkto_client_tick(client, 1500);
    assert_true(mkto_client_tripped(client));
    assert_int_equal(got_count, 1);
    assert_int_equal(submit(client, &got[0], 9000, 1500), MKTO_ANSWER_AWAY);
    assert_int_equal(show(client, 1, T0), MKTO_ANSWER_AWAY); /* past its own */
    assert_int_equal(show(client, 2, 2000), MKTO_ANSWER_STORED);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(show(client, 3, 9000), MKTO_ANSWER_STORED);
    }
    assert_int_equal(show(client, 4, 9000), MKTO_ANSWER_BUSY); /* half of eight, as ever */
    assert_int_equal(mkto_client_background(client), 4);
    assert_int_equal(mkto_client_deadline(client), 2000);
    mkto_client_tick(client, 2000);
    assert_int_equal(mkto_client_background(client), 3);
    assert_true(mkto_client_tripped(client)); /* to calls nothing has changed */
    assert_int_equal(submit(client, &got[0], 9000, 2000), MKTO_ANSWER_AWAY);
    assert_int_equal(got_count, 1);
    make_ready(client, 3000);
    assert_false(mkto_client_tripped(client));
    const uint8_t *data = take(client, SIZE_MAX, &len);
    assert_int_equal(take_views(&data, &len, 3, 9000, paths), 3);
    assert_int_equal(len, 0);
    mkto_client_tick(client, 3000 + MKTO_CLIENT_COUNTS_EVERY);
    take_counts(client, &sum, &events);
    assert_int_equal(not_stored + sum.of[MKTO_SKIP_NOT_STORED], 3);
    mkto_client_destroy(client);
}

/* The courier may see first that its time is over; what it refuses otherwise, it counts itself. */
static void expired_is_counted_once(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    struct mkto_counts_frame sum = {{0}};
    size_t events, len;
    make_ready(client, T0);
    show(client, 1, 2000);
    show(client, 1, 2000);
    take(client, SIZE_MAX, &len);
    show(client, 1, 9000);
    take(client, SIZE_MAX, &len);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_EXPIRED, 2000), 0);
    assert_int_equal(verdict(client, 1, MKTO_ANSWER_EXPIRED, 2000), 0);
    assert_int_equal(verdict(client, 2, MKTO_ANSWER_FULL, 2000), 0);
    submit(client, &got[0], 9000, 2000);
    take_counts(client, &sum, &events);
    assert_int_equal(verdict(client, 3, MKTO_ANSWER_EXPIRED, 2000), 0); /* of a call */
    mkto_client_tick(client, 2000 + MKTO_CLIENT_COUNTS_EVERY);
    take_counts(client, &sum, &events);
    assert_int_equal(sum.of[MKTO_SKIP_NOT_STORED], 2);
    mkto_client_destroy(client);
}

static void half_of_the_places(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 301);
    for (int i = 0; i < 150; i++) {
        assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_STORED);
    }
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_BUSY);
    for (int i = 0; i < 151; i++) {
        assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_STORED);
    }
    assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_BUSY);
    mkto_client_destroy(client);
    client = create(0, 4); /* requests may use all of it */
    for (int i = 0; i < 4; i++) {
        assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_STORED);
    }
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_BUSY);
    mkto_client_destroy(client);
}

static void half_of_the_bytes(void **state)
{
    (void)state;
    const struct mkto_event_frame event = {.deadline_ms = 9000};
    const size_t one = mkto_event_write(&event, &call, NULL);
    struct mkto_client *client = create(one * 4, 0);
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_STORED);
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_STORED);
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_BUSY);
    assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_STORED);
    assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_STORED);
    assert_int_equal(submit(client, &got[0], 9000, T0), MKTO_ANSWER_BUSY);
    mkto_client_destroy(client);
    client = create(one * 2 - 1, 0);
    assert_int_equal(submit(client, NULL, 9000, T0), MKTO_ANSWER_BUSY);
    mkto_client_destroy(client);
}

/* Its room comes back when the rest of its frame is out. */
static void half_sent_at_its_deadline(void **state)
{
    (void)state;
    const struct mkto_event_frame event = {.deadline_ms = 9000};
    const size_t one = mkto_event_write(&event, &call, NULL);
    struct mkto_client *client = create(one * 2, 0);
    size_t len;
    make_ready(client, T0);
    submit(client, NULL, 2000, T0);
    struct iovec iov[1];
    assert_int_equal(mkto_client_output(client, iov, 1), 1);
    mkto_client_sent(client, 5);
    mkto_client_tick(client, 2000);
    assert_int_equal(mkto_client_background(client), 0);
    assert_int_equal(submit(client, NULL, 9000, 2000), MKTO_ANSWER_BUSY);
    const uint8_t *data = take(client, one - 5, &len);
    assert_int_equal(len, one - 5);
    assert_int_equal(data[len - 1], '}');
    assert_int_equal(submit(client, NULL, 9000, 2000), MKTO_ANSWER_STORED);
    mkto_client_destroy(client);
}

static void counts_by_themselves(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    struct mkto_counts_frame sum = {{0}};
    size_t events;
    make_ready(client, T0);
    mkto_client_count(client, MKTO_SKIP_NONE, T0);
    mkto_client_count(client, MKTO_SKIP_COUNT, T0);
    assert_int_equal(mkto_client_wants(client, T0), MKTO_WANT_READ);
    mkto_client_count(client, MKTO_SKIP_BOT, T0); /* the first goes at once */
    assert_int_equal(mkto_client_wants(client, T0), MKTO_WANT_READ | MKTO_WANT_WRITE);
    assert_int_equal(take_counts(client, &sum, &events), 1);
    assert_int_equal(mkto_client_deadline(client), UINT64_MAX);
    mkto_client_count(client, MKTO_SKIP_BOT, T0 + 1); /* the others gather */
    mkto_client_count(client, MKTO_SKIP_GPC, T0 + MKTO_CLIENT_COUNTS_EVERY - 1);
    assert_int_equal(mkto_client_wants(client, T0 + 1), MKTO_WANT_READ);
    assert_int_equal(mkto_client_deadline(client), T0 + MKTO_CLIENT_COUNTS_EVERY);
    submit(client, &got[0], 9000, T0 + 2);
    assert_int_equal(take_counts(client, &sum, &events), 0);
    assert_int_equal(events, 1);
    mkto_client_tick(client, T0 + MKTO_CLIENT_COUNTS_EVERY);
    assert_int_equal(take_counts(client, &sum, &events), 1);
    assert_int_equal(sum.of[MKTO_SKIP_BOT], 2);
    assert_int_equal(sum.of[MKTO_SKIP_GPC], 1);
    assert_int_equal(mkto_client_wants(client, 9000), MKTO_WANT_READ);
    mkto_client_destroy(client);
}

static void counts_without_connection(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    struct mkto_counts_frame sum = {{0}};
    size_t events;
    for (int i = 0; i < 1000; i++) {
        mkto_client_count(client, MKTO_SKIP_CONSENT, T0);
    }
    assert_int_equal(mkto_client_wants(client, T0), MKTO_WANT_CONNECT);
    assert_int_equal(mkto_client_deadline(client), UINT64_MAX);
    make_ready(client, T0);
    assert_int_equal(take_counts(client, &sum, &events), 1);
    assert_int_equal(sum.of[MKTO_SKIP_CONSENT], 1000);
    mkto_client_destroy(client);
}

/* One that did not go out whole goes with what was counted since. */
static void counts_of_a_broken_connection(void **state)
{
    (void)state;
    struct mkto_client *client = create(0, 0);
    struct mkto_counts_frame sum = {{0}};
    size_t len, events;
    make_ready(client, T0);
    mkto_client_count(client, MKTO_SKIP_DNT, T0);
    take(client, 9, &len);
    mkto_client_count(client, MKTO_SKIP_DNT, T0);
    mkto_client_closed(client, 0, T0);
    make_ready(client, T0 + MKTO_CLIENT_COUNTS_EVERY);
    assert_int_equal(take_counts(client, &sum, &events), 1);
    assert_int_equal(sum.of[MKTO_SKIP_DNT], 2);
    mkto_client_closed(client, 0, 5000);
    make_ready(client, 9000); /* and not again */
    assert_int_equal(take_counts(client, &sum, &events), 0);
    mkto_client_destroy(client);
}

static void counts_never_split_a_frame(void **state)
{
    (void)state;
    const struct mkto_event_frame event = {.deadline_ms = 9000};
    const size_t one = mkto_event_write(&event, &call, NULL);
    struct mkto_client *client = create(0, 0);
    struct iovec iov[4];
    make_ready(client, T0);
    submit(client, &got[0], 9000, T0);
    submit(client, &got[1], 9000, T0);
    assert_int_equal(mkto_client_output(client, iov, 4), 2);
    mkto_client_sent(client, 5);
    mkto_client_count(client, MKTO_SKIP_BOT, T0);
    assert_int_equal(mkto_client_output(client, iov, 4), 2);
    mkto_client_sent(client, one - 5);
    assert_int_equal(mkto_client_output(client, iov, 4), 2);
    assert_int_equal(((const uint8_t *)iov[0].iov_base)[4], MKTO_FRAME_COUNTS);
    assert_int_equal(((const uint8_t *)iov[1].iov_base)[4], MKTO_FRAME_EVENT);
    assert_int_equal(mkto_client_output(client, iov, 1), 1);
    mkto_client_sent(client, iov[0].iov_len + one);
    assert_int_equal(mkto_client_wants(client, T0), MKTO_WANT_READ);
    mkto_client_destroy(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_and_forgotten),
        cmocka_unit_test(page_views),
        cmocka_unit_test(frames_that_views_share),
        cmocka_unit_test(a_frame_is_full),
        cmocka_unit_test(enough_has_gathered),
        cmocka_unit_test(an_open_frame_expires),
        cmocka_unit_test(deadline_trips_nothing),
        cmocka_unit_test(silence_ends_a_connection),
        cmocka_unit_test(refused_is_counted),
        cmocka_unit_test(tripped_takes_page_views),
        cmocka_unit_test(expired_is_counted_once),
        cmocka_unit_test(half_of_the_places),
        cmocka_unit_test(half_of_the_bytes),
        cmocka_unit_test(half_sent_at_its_deadline),
        cmocka_unit_test(counts_by_themselves),
        cmocka_unit_test(counts_without_connection),
        cmocka_unit_test(counts_of_a_broken_connection),
        cmocka_unit_test(counts_never_split_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
