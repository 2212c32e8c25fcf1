/*
 * The transport on libcurl's multi interface, driven by libevent. The only file that includes
 * curl.h.
 *
 * A slot is an easy handle with its buffers. Slots are kept and used again: connections live in the
 * multi handle's cache, so a slot is free of them.
 */
#include <curl/curl.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "mkto_transport.h"

#define SLOTS_IDLE_MAX 512   /* slots that are kept */
#define CONNECTIONS_MAX 512L /* connections that are kept */
#define BUFFER_KEEP 65536u   /* a larger buffer is given back after its call */
#define KEEPALIVE_IDLE_S 30L /* behind NAT, silent connections are forgotten */
#define KEEPALIVE_EVERY_S 15L
/* Servers close what is idle for a minute or more. A request that crosses with the closing may or
 * may not have happened, so connections are not used any more before that. */
#define CONNECTION_IDLE_MAX_S 50L
#define DATE_MAX 40 /* bytes of a Date header that is remembered, with its NUL */

struct buffer {
    char *data;
    size_t len;
    size_t size;
};

struct slot {
    struct curl_transport *transport;
    CURL *easy;
    struct curl_slist *headers;
    struct buffer body;
    struct buffer origin; /* "https://host/" */
    struct buffer answer;
    bool too_large;
    bool cut;      /* the connection ended between the request and its answer */
    char *ca_file; /* as set in easy */
    mkto_transport_done *done;
    void *ctx;
    struct timespec began;
    struct slot *next; /* idle, or active */
    struct slot *prev; /* active */
    char error[CURL_ERROR_SIZE];
};

struct curl_transport {
    struct mkto_transport public;
    struct event_base *base;
    struct event *timer;
    CURLM *multi;
    struct slot *idle;
    size_t idle_count;
    struct slot *active;
    size_t active_count;
    char date[DATE_MAX]; /* the last Date header, and what it means: it changes once a second */
    int64_t date_ms;
};

/* ---- buffers ---- */

static bool buffer_add(struct buffer *buffer, const char *data, size_t len)
{
    if (buffer->size - buffer->len < len) {
        size_t size = buffer->size == 0 ? 1024 : buffer->size;
        while (size - buffer->len < len) {
            size *= 2;
        }
        char *grown = realloc(buffer->data, size);
        if (grown == NULL) {
            return false;
        }
        buffer->data = grown;
        buffer->size = size;
    }
    if (len > 0) {
        memcpy(buffer->data + buffer->len, data, len);
        buffer->len += len;
    }
    return true;
}

static void buffer_reset(struct buffer *buffer)
{
    buffer->len = 0;
    if (buffer->size > BUFFER_KEEP) {
        free(buffer->data);
        memset(buffer, 0, sizeof(*buffer));
    }
}

/* ---- slots ---- */

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct slot *slot = ctx;
    size_t len = size * count;

    if (len > MKTO_HTTP_ANSWER_MAX - slot->answer.len) {
        slot->too_large = true;
        return 0;
    }
    return buffer_add(&slot->answer, data, len) ? len : 0;
}

static bool was_sent(struct slot *slot)
{
    long size = 0;

    return curl_easy_getinfo(slot->easy, CURLINFO_REQUEST_SIZE, &size) == CURLE_OK && size > 0;
}

/*
 * Before a request is written. When a kept connection ends before an answer, libcurl would send the
 * request again by itself: a second call that nobody counted, of what may have happened already.
 * Where nothing was written yet another connection does no harm.
 */
static int on_request(void *ctx, char *to, char *from, int to_port, int from_port)
{
    struct slot *slot = ctx;

    (void)to;
    (void)from;
    (void)to_port;
    (void)from_port;
    slot->cut = was_sent(slot);
    return slot->cut ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* Options that hold for every call of a slot. */
static bool slot_setup(struct slot *slot)
{
    CURL *easy = slot->easy;

    return curl_easy_setopt(easy, CURLOPT_PRIVATE, slot) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOPROXY, "*") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_EVERY_S) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, CONNECTION_IDLE_MAX_S) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_request) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQDATA, slot) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, slot->error) == CURLE_OK;
}

static void slot_free(struct slot *slot)
{
    if (slot->easy != NULL) {
        curl_easy_cleanup(slot->easy);
    }
    curl_slist_free_all(slot->headers);
    free(slot->body.data);
    free(slot->origin.data);
    free(slot->answer.data);
    free(slot->ca_file);
    free(slot);
}

static struct slot *slot_take(struct curl_transport *transport)
{
    struct slot *slot = transport->idle;

    if (slot != NULL) {
        transport->idle = slot->next;
        transport->idle_count--;
    } else {
        slot = calloc(1, sizeof(*slot));
        if (slot == NULL) {
            abort(); /* as APR does */
        }
        slot->transport = transport;
        slot->easy = curl_easy_init();
        if (slot->easy == NULL || !slot_setup(slot)) {
            abort();
        }
    }
    slot->prev = NULL;
    slot->next = transport->active;
    if (slot->next != NULL) {
        slot->next->prev = slot;
    }
    transport->active = slot;
    transport->active_count++;
    return slot;
}

static void slot_unlink(struct slot *slot)
{
    struct curl_transport *transport = slot->transport;

    if (slot->prev == NULL) {
        transport->active = slot->next;
    } else {
        slot->prev->next = slot->next;
    }
    if (slot->next != NULL) {
        slot->next->prev = slot->prev;
    }
    transport->active_count--;
}

static void slot_give(struct slot *slot)
{
    struct curl_transport *transport = slot->transport;

    if (transport->idle_count == SLOTS_IDLE_MAX) {
        slot_free(slot);
        return;
    }
    curl_slist_free_all(slot->headers);
    slot->headers = NULL;
    buffer_reset(&slot->body);
    buffer_reset(&slot->answer);
    slot->next = transport->idle;
    transport->idle = slot;
    transport->idle_count++;
}

/* ---- sending ---- */

static bool add_header(struct slot *slot, const char *line)
{
    struct curl_slist *grown = curl_slist_append(slot->headers, line);

    if (grown == NULL) {
        return false;
    }
    slot->headers = grown;
    return true;
}

static bool add_headers(struct slot *slot, const struct mkto_http_request *request)
{
    bool typed = false;
    struct buffer line = {0};

    for (size_t i = 0; i < request->header_count; i++) {
        const struct mkto_http_header *header = &request->headers[i];
        /* libcurl takes "Name:" for a header to leave out, "Name;" for an empty one */
        const char *separator = header->value[0] == '\0' ? ";" : ": ";
        line.len = 0;
        if (!buffer_add(&line, header->name, strlen(header->name)) ||
            !buffer_add(&line, separator, strlen(separator)) ||
            !buffer_add(&line, header->value, strlen(header->value) + 1) ||
            !add_header(slot, line.data)) {
            free(line.data);
            return false;
        }
        typed = typed || strcasecmp(header->name, "Content-Type") == 0;
    }
    free(line.data);
    /* a large body must not wait for 100 Continue; nothing is sent that was not asked for */
    return add_header(slot, "Expect:") && (typed || add_header(slot, "Content-Type:"));
}

static bool set_body(struct slot *slot, const struct mkto_http_request *request)
{
    if (strcmp(request->method, "GET") == 0) {
        return curl_easy_setopt(slot->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
    }
    return buffer_add(&slot->body, request->body.data, request->body.len) &&
           curl_easy_setopt(slot->easy, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(slot->easy, CURLOPT_CUSTOMREQUEST,
                            strcmp(request->method, "POST") == 0 ? NULL : request->method) ==
               CURLE_OK &&
           curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDS,
                            slot->body.len == 0 ? "" : slot->body.data) == CURLE_OK &&
           curl_easy_setopt(slot->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)slot->body.len) ==
               CURLE_OK;
}

static bool set_ca(struct slot *slot, const char *ca_file)
{
    bool same = ca_file == NULL ? slot->ca_file == NULL
                                : slot->ca_file != NULL && strcmp(ca_file, slot->ca_file) == 0;
    if (same) {
        return true;
    }
    if (ca_file == NULL) {
        /* there is no way to ask for the default again: a new handle has it */
        curl_easy_cleanup(slot->easy);
        slot->easy = curl_easy_init();
        free(slot->ca_file);
        slot->ca_file = NULL;
        return slot->easy != NULL && slot_setup(slot);
    }
    free(slot->ca_file);
    slot->ca_file = strdup(ca_file);
    return slot->ca_file != NULL &&
           curl_easy_setopt(slot->easy, CURLOPT_CAINFO, ca_file) == CURLE_OK &&
           curl_easy_setopt(slot->easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
}

/*
 * The host goes to libcurl as URL, the rest as it is: taking a visit's address of a kilobyte apart
 * and putting it together again would cost a fifth of the call.
 */
static bool set_url(struct slot *slot, const char *url)
{
    const char *host = strstr(url, "://");
    const char *path = host == NULL ? "" : host + 3 + strcspn(host + 3, "/?#");

    if (*path != '/') {
        return curl_easy_setopt(slot->easy, CURLOPT_REQUEST_TARGET, NULL) == CURLE_OK &&
               curl_easy_setopt(slot->easy, CURLOPT_URL, url) == CURLE_OK;
    }
    slot->origin.len = 0;
    return buffer_add(&slot->origin, url, (size_t)(path - url) + 1) &&
           buffer_add(&slot->origin, "", 1) &&
           curl_easy_setopt(slot->easy, CURLOPT_URL, slot->origin.data) == CURLE_OK &&
           curl_easy_setopt(slot->easy, CURLOPT_REQUEST_TARGET, path) == CURLE_OK;
}

static bool set_times(struct slot *slot, int64_t connect_ms, int64_t total_ms)
{
    return curl_easy_setopt(slot->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms) == CURLE_OK &&
           curl_easy_setopt(slot->easy, CURLOPT_TIMEOUT_MS, (long)total_ms) == CURLE_OK;
}

static void send_request(struct mkto_transport *self, const struct mkto_http_request *request,
                         int64_t connect_ms, int64_t total_ms, const char *ca_file,
                         mkto_transport_done *done, void *ctx)
{
    struct curl_transport *transport = self->impl;
    struct slot *slot = slot_take(transport);

    slot->done = done;
    slot->ctx = ctx;
    slot->too_large = slot->cut = false;
    slot->error[0] = '\0';
    (void)clock_gettime(CLOCK_MONOTONIC, &slot->began);
    if (!set_ca(slot, ca_file) || !add_headers(slot, request) || !set_body(slot, request) ||
        !set_times(slot, connect_ms, total_ms) ||
        curl_easy_setopt(slot->easy, CURLOPT_HTTPHEADER, slot->headers) != CURLE_OK ||
        !set_url(slot, request->url) ||
        curl_multi_add_handle(transport->multi, slot->easy) != CURLM_OK) {
        abort(); /* out of memory: libcurl refuses none of these for another reason */
    }
}

/* ---- answers ---- */

static int64_t date_of(const char *text)
{
    time_t at = curl_getdate(text, NULL);
    return at < 0 ? -1 : (int64_t)at * 1000;
}

static int64_t date_header(struct curl_transport *transport, const char *text)
{
    if (text == NULL) {
        return -1;
    }
    const size_t len = strlen(text);
    if (len >= DATE_MAX) {
        return date_of(text);
    }
    if (strcmp(text, transport->date) != 0) {
        memcpy(transport->date, text, len + 1);
        transport->date_ms = date_of(text);
    }
    return transport->date_ms;
}

static const char *header_of(struct slot *slot, const char *name)
{
    struct curl_header *header;

    if (curl_easy_header(slot->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return NULL;
    }
    return header->value;
}

static int64_t retry_after(const char *text, int64_t date_ms)
{
    char *end;

    if (text == NULL) {
        return -1;
    }
    if (text[0] >= '0' && text[0] <= '9') {
        long long seconds = strtoll(text, &end, 10);
        return seconds > INT64_MAX / 1000 ? INT64_MAX : (int64_t)seconds * 1000;
    }
    int64_t at = date_of(text);
    int64_t now = date_ms >= 0 ? date_ms : (int64_t)time(NULL) * 1000;
    if (at < 0) {
        return -1;
    }
    return at > now ? at - now : 0;
}

/* What libcurl ran into. A request of which nothing was sent cannot have happened; one that was
 * sent may have, also when it is another connection that fails then. */
static enum mkto_transport_result result_of(struct slot *slot, CURLcode code)
{
    switch (code) {
    case CURLE_OK: return MKTO_TRANSPORT_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return was_sent(slot) ? MKTO_TRANSPORT_TIMEOUT : MKTO_TRANSPORT_REFUSED;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return was_sent(slot) ? MKTO_TRANSPORT_BROKEN : MKTO_TRANSPORT_TLS;
    case CURLE_WRITE_ERROR:
        return slot->too_large ? MKTO_TRANSPORT_TOO_LARGE : MKTO_TRANSPORT_BROKEN;
    default: return was_sent(slot) ? MKTO_TRANSPORT_BROKEN : MKTO_TRANSPORT_REFUSED;
    }
}

static int64_t took(const struct slot *slot)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)(now.tv_sec - slot->began.tv_sec) * 1000 +
           (now.tv_nsec - slot->began.tv_nsec) / 1000000;
}

static void finish(struct slot *slot, CURLcode code)
{
    struct mkto_http_answer answer = {.date_ms = -1, .retry_after_ms = -1};
    long status = 0;

    answer.result = result_of(slot, code);
    answer.took_ms = took(slot);
    if (answer.result == MKTO_TRANSPORT_OK) {
        (void)curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
        answer.status = (int)status;
        answer.body =
            (struct mkto_slice){slot->answer.len == 0 ? "" : slot->answer.data, slot->answer.len};
        answer.date_ms = date_header(slot->transport, header_of(slot, "Date"));
        answer.retry_after_ms = retry_after(header_of(slot, "Retry-After"), answer.date_ms);
    } else if (answer.result == MKTO_TRANSPORT_TOO_LARGE) {
        answer.detail = "the answer is larger than 4 MiB";
    } else if (slot->cut) {
        answer.detail = "the connection was closed before an answer";
    } else {
        answer.detail = slot->error[0] != '\0' ? slot->error : curl_easy_strerror(code);
    }
    curl_multi_remove_handle(slot->transport->multi, slot->easy);
    slot_unlink(slot);
    slot->done(slot->ctx, &answer);
    slot_give(slot);
}

static void finish_all(struct curl_transport *transport)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(transport->multi, &left)) != NULL) {
        struct slot *slot = NULL;
        CURLcode code = message->data.result;
        if (message->msg == CURLMSG_DONE &&
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot) == CURLE_OK) {
            finish(slot, code);
        }
    }
}

/* ---- the loop ---- */

static void on_socket(evutil_socket_t fd, short what, void *ctx)
{
    struct curl_transport *transport = ctx;
    int mask = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    int running;

    (void)curl_multi_socket_action(transport->multi, fd, mask, &running);
    finish_all(transport);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct curl_transport *transport = ctx;
    int running;

    (void)fd;
    (void)what;
    (void)curl_multi_socket_action(transport->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    finish_all(transport);
}

/* libcurl wants to hear of a socket, or not any more. The event is the socket's private pointer. */
static int watch(CURL *easy, curl_socket_t fd, int what, void *ctx, void *private)
{
    struct curl_transport *transport = ctx;
    struct event *event = private;
    short events = (short)((what & CURL_POLL_IN ? EV_READ : 0) |
                           (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (event != NULL) {
            event_free(event);
        }
        curl_multi_assign(transport->multi, fd, NULL);
        return 0;
    }
    if (event == NULL) {
        event = event_new(transport->base, fd, events, on_socket, transport);
        curl_multi_assign(transport->multi, fd, event);
    } else {
        event_del(event);
        event_assign(event, transport->base, fd, events, on_socket, transport);
    }
    return event == NULL ? -1 : event_add(event, NULL);
}

static int set_timer(CURLM *multi, long timeout_ms, void *ctx)
{
    struct curl_transport *transport = ctx;
    struct timeval in = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};

    (void)multi;
    return timeout_ms < 0 ? evtimer_del(transport->timer) : evtimer_add(transport->timer, &in);
}

/* ---- life ---- */

static void cancel_all(struct mkto_transport *self)
{
    struct curl_transport *transport = self->impl;

    while (transport->active != NULL) {
        struct slot *slot = transport->active;
        curl_multi_remove_handle(transport->multi, slot->easy);
        slot_unlink(slot);
        slot_give(slot);
    }
}

static size_t count_active(struct mkto_transport *self)
{
    const struct curl_transport *transport = self->impl;
    return transport->active_count;
}

static apr_status_t destroy(void *data)
{
    struct curl_transport *transport = data;

    cancel_all(&transport->public);
    while (transport->idle != NULL) {
        struct slot *slot = transport->idle;
        transport->idle = slot->next;
        slot_free(slot);
    }
    curl_multi_cleanup(transport->multi);
    event_free(transport->timer);
    return APR_SUCCESS;
}

struct mkto_transport *mkto_transport_curl(struct event_base *base, apr_pool_t *pool)
{
    struct curl_transport *transport = apr_pcalloc(pool, sizeof(*transport));

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return NULL;
    }
    transport->base = base;
    transport->date_ms = -1;
    transport->timer = evtimer_new(base, on_timer, transport);
    transport->multi = curl_multi_init();
    if (transport->timer == NULL || transport->multi == NULL) {
        return NULL;
    }
    curl_multi_setopt(transport->multi, CURLMOPT_SOCKETFUNCTION, watch);
    curl_multi_setopt(transport->multi, CURLMOPT_SOCKETDATA, transport);
    curl_multi_setopt(transport->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(transport->multi, CURLMOPT_TIMERDATA, transport);
    curl_multi_setopt(transport->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX);
    transport->public = (struct mkto_transport){send_request, cancel_all, count_active, transport};
    apr_pool_cleanup_register(pool, transport, destroy, apr_pool_cleanup_null);
    return &transport->public;
}
