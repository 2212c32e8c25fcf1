#include "mod_marketo.h"

#include <pthread.h>
#include <stdatomic.h>

#include "apr_strings.h"
#include "mod_watchdog.h"

#include "mkto_spawn.h"

APLOG_USE_MODULE(marketo);

#define WATCHDOG "_marketo_"
#define STARTS_MAX 3 /* starts without a courier to show for it before that is an error */

/*
 * One of the children watches over the courier; httpd's parent has no part in it. mod_watchdog
 * gives each a thread for that. Which one it is they settle among themselves: mod_watchdog's own
 * choice of one needs up to twenty seconds to notice that a child was killed, longer than a courier
 * stays whom nobody watches. The connection says nothing; that it is there keeps a spawned courier
 * alive, and brings its log.
 */
struct presence {
    pthread_mutex_t mutex; /* the last call may come from another thread than the others */
    const struct marketo *marketo;
    server_rec *server;
    _Atomic bool ended; /* the child stops */
    struct marketo_socket socket;
    pid_t started;                  /* not reaped; it detaches itself, so it ends soon. 0: none */
    unsigned starts;                /* since the courier was last seen */
    uint64_t backoff;               /* ms between the last two */
    uint64_t start_at;              /* not before then */
    char complaint[MKTO_ERROR_MAX]; /* what was logged last */
};

static int log_level(uint8_t severity)
{
    return severity <= APLOG_ERR     ? APLOG_ERR
           : severity >= APLOG_DEBUG ? APLOG_DEBUG
                                     : severity; /* httpd's levels are syslog's */
}

static void on_log(void *ctx, const struct mkto_log_frame *log)
{
    const struct presence *presence = ctx;
    ap_log_error(APLOG_MARK, log_level(log->level), 0, presence->server, "%.*s", (int)log->text.len,
                 log->text.data);
}

/* The same trouble is logged once. */
static void complain(struct presence *presence, const char *text)
{
    if (strcmp(presence->complaint, text) != 0) {
        apr_cpystrn(presence->complaint, text, sizeof(presence->complaint));
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, presence->server, "MKTO0108 no courier: %s", text);
    }
}

static void start(struct presence *presence, uint64_t now)
{
    const struct mkto_spawn spawn = {
        .program = presence->marketo->program,
        .config = presence->marketo->config->file,
        .socket = presence->marketo->socket,
    };
    struct mkto_error err = MKTO_ERROR_INIT;
    if (now < presence->start_at || presence->started != 0) {
        return;
    }
    presence->backoff = mkto_spawn_backoff(presence->backoff);
    presence->start_at = now + presence->backoff;
    if (mkto_spawn_courier(&spawn, &presence->started, &err) != 0) {
        presence->started = 0;
        complain(presence, err.text);
    } else if (++presence->starts == STARTS_MAX) {
        mkto_error_set(&err, "%s was started %d times and is not there (%s); try `marketo check`",
                       spawn.program, STARTS_MAX, mkto_client_reason(presence->socket.client));
        complain(presence, err.text);
    }
}

static void look(struct presence *presence, uint64_t now)
{
    struct marketo_socket *sock = &presence->socket;
    struct mkto_error err = MKTO_ERROR_INIT;
    marketo_socket_turn(sock, true, now);
    marketo_socket_write(sock);
    const uint8_t refusal = mkto_client_refusal(sock->client);
    if (mkto_client_state_of(sock->client) == MKTO_CLIENT_READY) {
        presence->starts = 0;
        presence->backoff = 0;
        presence->complaint[0] = '\0';
    } else if (refusal != 0 && refusal != MKTO_REFUSED_LEAVING) {
        complain(presence, mkto_client_reason(sock->client));
    } else if (sock->connect_error != 0) {
        if (mkto_spawn_wanted(sock->connect_error, sock->path, &err) != 0) {
            start(presence, now);
        } else if (err.text[0] != '\0') {
            complain(presence, err.text);
        }
    }
}

static bool meet(struct presence *presence)
{
    struct mkto_client_conf conf = {.ctx = presence, .log = on_log};
    return marketo_socket_init(&presence->socket, presence->marketo, &conf, MKTO_ROLE_PRESENCE) ==
           0;
}

static void part(struct presence *presence)
{
    if (presence->socket.fd >= 0) {
        marketo_socket_close(&presence->socket);
        mkto_client_closed(presence->socket.client, 0, marketo_now());
    }
}

/* At the end it does not insist: when the lock is taken, the process end closes the connection. */
static apr_status_t watch(int state, void *data, apr_pool_t *pool)
{
    (void)pool;
    struct presence *presence = data;
    if (state == AP_WATCHDOG_STATE_STOPPING) {
        atomic_store(&presence->ended, true);
        if (pthread_mutex_trylock(&presence->mutex) == 0) {
            part(presence);
            pthread_mutex_unlock(&presence->mutex);
        }
        marketo_crowd_unwatch(presence->marketo->crowd);
        return APR_SUCCESS;
    }
    const uint64_t now = marketo_now();
    pthread_mutex_lock(&presence->mutex);
    if (presence->started != 0 && mkto_spawn_reap(presence->started)) {
        presence->started = 0;
    }
    if (atomic_load(&presence->ended) || !marketo_crowd_watch(presence->marketo->crowd, now)) {
        part(presence);
    } else if (presence->socket.client != NULL || meet(presence)) {
        look(presence, now);
    }
    pthread_mutex_unlock(&presence->mutex);
    return APR_SUCCESS;
}

int marketo_presence_watch(const struct marketo *marketo, server_rec *server, apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get_instance =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *register_callback =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    ap_watchdog_t *watchdog;
    struct presence *presence = apr_pcalloc(pconf, sizeof(*presence));
    presence->marketo = marketo;
    presence->server = server;
    presence->socket.fd = -1;
    pthread_mutex_init(&presence->mutex, NULL);
    if (get_instance == NULL || register_callback == NULL ||
        get_instance(&watchdog, WATCHDOG, 0, 0, pconf) != APR_SUCCESS ||
        register_callback(watchdog, apr_time_from_msec(MARKETO_WATCH_INTERVAL), presence, watch) !=
            APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_ERR, 0, server,
                     "MKTO0109 mod_watchdog does not take our callback");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}
