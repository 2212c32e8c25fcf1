#include "ngx_http_marketo.h"
#include "mkto_spawn.h"

#define PRESENCE_PATIENCE 3000 /* ms without a courier until that is worth an error */
#define PRESENCE_REPEAT 60000  /* ms between two different errors, at least */

/* What worker 0 knows about the courier, from both of its connections. */
static struct {
    bool away;
    uint64_t away_since;       /* ms, CLOCK_MONOTONIC */
    uint64_t spawn_after;      /* not before this time */
    uint64_t delay;            /* ms between the last two spawns */
    uint64_t said_at;          /* ms: when the last error was logged */
    char said[MKTO_ERROR_MAX]; /* that error; the same one is said once */
} presence;

static void ngx_http_marketo_presence_say(const char *text)
{
    const uint64_t now = ngx_http_marketo_now();
    if (presence.said[0] != '\0' &&
        (ngx_strcmp(presence.said, text) == 0 || now - presence.said_at < PRESENCE_REPEAT)) {
        return;
    }
    presence.said_at = now;
    ngx_cpystrn((u_char *)presence.said, (u_char *)(uintptr_t)text, sizeof(presence.said));
    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "MKTO0130 no courier: %s", text);
}

static void ngx_http_marketo_presence_here(void)
{
    if (presence.away) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "marketo: the courier is there");
    }
    presence.away = false;
    presence.delay = 0;
    presence.said[0] = '\0';
}

static void ngx_http_marketo_presence_spawn(const ngx_http_marketo_main_conf_t *mmcf, uint64_t now)
{
    const struct mkto_spawn spawn = {
        .program = (const char *)mmcf->program.data,
        .config = mmcf->config->file,
        .socket = (const char *)mmcf->socket.data,
    };
    struct mkto_error err = MKTO_ERROR_INIT;
    pid_t pid = 0;

    /* A worker that leaves has a successor, or the server stops. */
    if (now < presence.spawn_after || ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }
    presence.delay = mkto_spawn_backoff(presence.delay);
    presence.spawn_after = now + presence.delay;
    if (mkto_spawn_courier(&spawn, &pid, &err) != 0) {
        ngx_http_marketo_presence_say(err.text);
        return;
    }
    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0, "marketo: started the courier (%s, pid %P)",
                  spawn.program, pid);
}

/* Nobody listens: rare and short with a courier that starts or is being replaced. */
static void ngx_http_marketo_presence_nobody(const ngx_http_marketo_main_conf_t *mmcf)
{
    const uint64_t now = ngx_http_marketo_now();
    if (mmcf->spawn) {
        ngx_http_marketo_presence_spawn(mmcf, now);
    }
    if (now - presence.away_since < PRESENCE_PATIENCE || ngx_exiting) {
        return;
    }
    struct mkto_error err = MKTO_ERROR_INIT;
    mkto_error_set(&err, "nobody listens on %s; %s", (const char *)mmcf->socket.data,
                   mmcf->spawn ? "try \"marketo check\"" : "is its service running?");
    ngx_http_marketo_presence_say(err.text);
}

/* It took the connection, and then refused us, went away or did not answer. One that greets each
 * time and never answers is said the first time, until it has answered. */
static void ngx_http_marketo_presence_lost(const struct mkto_client *client)
{
    const uint8_t refusal = mkto_client_refusal(client);
    if (mkto_client_silences(client) == 1 || (refusal != 0 && refusal != MKTO_REFUSED_LEAVING) ||
        ngx_http_marketo_now() - presence.away_since >= PRESENCE_PATIENCE) {
        ngx_http_marketo_presence_say(mkto_client_reason(client));
    }
}

void ngx_http_marketo_presence_changed(ngx_http_marketo_link_t *link, ngx_err_t err)
{
    const ngx_http_marketo_main_conf_t *mmcf =
        ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_marketo_module);
    struct mkto_error reason = MKTO_ERROR_INIT;

    if (link->ready) {
        ngx_http_marketo_presence_here();
        return;
    }
    if (!presence.away) {
        presence.away = true;
        presence.away_since = ngx_http_marketo_now();
    }
    if (err == 0) { /* it was there; the next connect tells whether it still is */
        ngx_http_marketo_presence_lost(link->client);
        return;
    }
    if (mkto_spawn_wanted(err, (const char *)mmcf->socket.data, &reason)) {
        ngx_http_marketo_presence_nobody(mmcf);
    } else if (reason.text[0] != '\0') {
        ngx_http_marketo_presence_say(reason.text);
    }
}

/* The courier's own lines, at their level: syslog's numbers are nginx's less one. */
void ngx_http_marketo_presence_log(void *ctx, const struct mkto_log_frame *log)
{
    (void)ctx;
    const ngx_uint_t level = ngx_min(ngx_max(log->level + 1u, NGX_LOG_CRIT), NGX_LOG_INFO);
    ngx_log_error(level, ngx_cycle->log, 0, "%*s", log->text.len, log->text.data);
}
