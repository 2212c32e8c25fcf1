/*
 * Where the courier's lines go: to stderr, or through a server's own error log.
 */
#include "mkto_courier_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const level_names[] = {"emergency", "alert",  "critical", "error",
                                          "warning",   "notice", "info",     "debug"};

void mkto_courier_log_open(struct mkto_courier *courier)
{
    courier->log.spawned = courier->options.spawned;
    courier->log.journal = getenv("JOURNAL_STREAM") != NULL;
}

static void to_stderr(const struct mkto_courier_log *log, int level, const char *text)
{
    if (log->journal) {
        fprintf(stderr, "<%d>%s\n", level, text); /* sd-daemon(3): the journal keeps the level */
    } else {
        fprintf(stderr, "marketo courier: %s: %s\n", level_names[level & 7], text);
    }
}

static void keep(struct mkto_courier_log *log, int level, const char *text)
{
    if (log->count == MKTO_COURIER_LOG_LINES) {
        log->first = (log->first + 1) % MKTO_COURIER_LOG_LINES;
        log->count--;
        log->lost++;
    }
    const unsigned at = (log->first + log->count) % MKTO_COURIER_LOG_LINES;
    log->levels[at] = level;
    snprintf(log->lines[at], MKTO_COURIER_LOG_LINE_MAX, "%s", text);
    log->count++;
}

void mkto_courier_log_line(void *ctx, int level, const char *text)
{
    struct mkto_courier *courier = ctx;
    if (level > LOG_INFO) {
        return;
    }
    if (!courier->log.spawned) {
        to_stderr(&courier->log, level, text);
        return;
    }
    keep(&courier->log, level, text); /* sent at the end of the turn */
}

void mkto_courier_say(struct mkto_courier *courier, int level, const char *format, ...)
{
    char text[MKTO_COURIER_LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    mkto_courier_log_line(courier, level, text);
}

void mkto_courier_log_flush(struct mkto_courier *courier)
{
    struct mkto_courier_log *log = &courier->log;
    if (log->lost > 0 && log->count > 0) {
        char text[MKTO_COURIER_LOG_LINE_MAX];
        snprintf(text, sizeof(text),
                 "MKTO0220 %u lines were lost while no server was there to log them", log->lost);
        if (!mkto_intake_tell_log(courier->intake, LOG_WARNING, text)) {
            return;
        }
        log->lost = 0;
    }
    while (log->count > 0 &&
           mkto_intake_tell_log(courier->intake, log->levels[log->first], log->lines[log->first])) {
        log->first = (log->first + 1) % MKTO_COURIER_LOG_LINES;
        log->count--;
    }
}
