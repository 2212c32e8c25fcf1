/*
 * The link of mod_marketo under many threads, as the event MPM has them: for ThreadSanitizer, and
 * for any build. A small courier on the other end of the socket answers what it reads, in turns
 * that mix it up; the verdict of each call must be its own, and what nobody waits for must arrive.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mod_marketo.h"

#include "ap_mpm.h"

enum { THREADS = 16, CALLS = 200, TIMEOUT_MS = 60000, PATIENCE_S = 60, BUFFER = 1 << 20 };

/* httpd's, and of our module what log calls name. */
module AP_MODULE_DECLARE_DATA marketo_module;
server_rec *ap_server_conf;

void ap_log_error_(const char *file, int line, int module_index, int level, apr_status_t status,
                   const server_rec *s, const char *fmt, ...)
{
    (void)file;
    (void)line;
    (void)module_index;
    (void)level;
    (void)status;
    (void)s;
    fprintf(stderr, "logged: %s\n", fmt);
}

/* httpd's; asked only under an MPM without threads. */
apr_status_t ap_mpm_query(int code, int *result)
{
    (void)code;
    (void)result;
    return APR_ENOTIMPL;
}

static char path[64];
static atomic_bool ending;
static atomic_int served;
static atomic_int wrong;
static struct marketo_link *link_of_all;

/* ---- the courier ---- */

static void put(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        const ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return;
        }
        data += n;
        len -= (size_t)n;
    }
}

static void welcome(int fd)
{
    uint8_t out[128];
    const struct mkto_welcome it = {MKTO_WIRE_VERSION, 1, 1, (uint32_t)getpid()};
    put(fd, out, mkto_welcome_write(&it, out));
}

/* One frame with the verdicts of what came, the last first; each with the call's number as its
 * body. */
static void answer(int fd, struct mkto_verdict_frame *verdicts, size_t count)
{
    struct mkto_verdict_frame turned[MKTO_VERDICTS_MAX];
    static uint8_t out[BUFFER];

    for (size_t i = 0; i < count; i++) {
        turned[i] = verdicts[count - 1 - i];
    }
    if (count > 0) {
        put(fd, out, mkto_verdicts_write(turned, count, out));
    }
}

/* Returns how many bytes of data were whole frames. */
static size_t serve(int fd, const uint8_t *data, size_t len)
{
    struct mkto_verdict_frame verdicts[MKTO_VERDICTS_MAX];
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_frame frame;
    size_t count = 0;
    size_t shared = 0; /* views that share a verdict with another */
    size_t used = 0;
    long size;

    while (count < MKTO_VERDICTS_MAX &&
           (size = mkto_frame_next(data + used, len - used, &frame, &err)) > 0) {
        struct mkto_event_frame event;
        struct mkto_envelope envelope;
        struct mkto_request request;
        struct mkto_view view;
        struct mkto_view_iter iter = {0};
        used += (size_t)size;
        if (frame.type == MKTO_FRAME_HELLO) {
            welcome(fd);
        } else if (frame.type == MKTO_FRAME_EVENT &&
                   mkto_event_frame_read(&frame, &event, &err) == 0 &&
                   mkto_envelope_decode((const uint8_t *)event.envelope.data, event.envelope.len,
                                        &envelope, &err) == 0) {
            verdicts[count++] =
                (struct mkto_verdict_frame){.seq = event.seq, .body = envelope.body};
        } else if (frame.type == MKTO_FRAME_VIEW) {
            while (mkto_views_next(&frame, &iter, &view, &request, &err) == 1) {
                shared += iter.count > 1 ? 1 : 0;
            }
            verdicts[count++] = (struct mkto_verdict_frame){.seq = iter.seq};
        }
    }
    atomic_fetch_add(&served, (int)(count + shared));
    answer(fd, verdicts, count);
    return used;
}

static void *courier(void *arg)
{
    const int listener = *(const int *)arg;
    uint8_t *buffer = malloc(BUFFER);
    size_t len = 0;
    const int fd = accept(listener, NULL, NULL);

    while (!atomic_load(&ending)) {
        struct pollfd file = {.fd = fd, .events = POLLIN};
        if (poll(&file, 1, 20) <= 0) {
            continue;
        }
        const ssize_t n = recv(fd, buffer + len, BUFFER - len, 0);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
        const size_t used = serve(fd, buffer, len);
        memmove(buffer, buffer + used, len - used);
        len -= used;
    }
    close(fd);
    free(buffer);
    return NULL;
}

/* ---- the requests ---- */

static void *requests(void *arg)
{
    const int thread = *(const int *)arg;
    apr_pool_t *pool;

    if (apr_pool_create_unmanaged(&pool) != APR_SUCCESS) {
        return NULL;
    }
    for (int i = 0; i < CALLS; i++) {
        char body[32];
        struct marketo_verdict verdict;
        snprintf(body, sizeof(body), "%d/%d", thread, i);
        const struct mkto_event_frame event = {.deadline_ms = marketo_now() + TIMEOUT_MS};
        const struct mkto_envelope envelope = {.call = MKTO_CALL_TRACK,
                                               .body = mkto_slice_str(body)};
        struct mkto_view view = {.deadline_ms = event.deadline_ms};
        struct mkto_request request = {.host = MKTO_SLICE_LIT("h"), .uri = envelope.body};
        marketo_link_view(link_of_all, &view, &request);
        marketo_link_call(link_of_all, &event, &envelope, pool, &verdict);
        marketo_link_count(link_of_all, MKTO_SKIP_BOT);
        if (verdict.answer != MKTO_ANSWER_STORED || !mkto_slice_is(verdict.body, body)) {
            atomic_fetch_add(&wrong, 1);
        }
        apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
    return NULL;
}

static int listen_there(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(path, sizeof(path), "/tmp/mkto-threads-%ld.sock", (long)getpid());
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    unlink(path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static void test_each_call_gets_its_own_verdict(void **state)
{
    const struct mkto_config config = {.file = "/etc/marketo/marketo.conf", .digest = 1};
    const struct marketo marketo = {
        .socket = path, .config = &config, .threaded = true, .wait_max = SIZE_MAX};
    int listener = listen_there();
    int numbers[THREADS];
    pthread_t threads[THREADS];
    pthread_t server;
    apr_pool_t *pool;

    (void)state;
    assert_int_equal(apr_pool_create(&pool, NULL), APR_SUCCESS);
    link_of_all = marketo_link_create(&marketo, pool);
    assert_non_null(link_of_all);
    assert_int_equal(pthread_create(&server, NULL, courier, &listener), 0);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, requests, &numbers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(atomic_load(&wrong), 0);
    for (int i = 0; atomic_load(&served) < 2 * THREADS * CALLS && i < PATIENCE_S * 100; i++) {
        usleep(10000); /* the last that nobody waits for are the flusher's */
    }
    assert_int_equal(atomic_load(&served), 2 * THREADS * CALLS);
    marketo_link_stop(link_of_all, true);
    atomic_store(&ending, true);
    pthread_join(server, NULL);
    apr_pool_destroy(pool);
    close(listener);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_call_gets_its_own_verdict)};
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
