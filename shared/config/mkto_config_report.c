#include "mkto_config_report.h"

#include <string.h>

#include "mkto_config.h"

struct mkto_config_mistake {
    struct mkto_config_mistake *next;
    unsigned line;
    const char *key;
    const char *reason;
};

void mkto_config_report_add(struct mkto_config_report *report, unsigned line, const char *key,
                            const char *reason)
{
    struct mkto_config_mistake **at = &report->first;
    struct mkto_config_mistake *mistake;

    report->count++;
    if (report->count > MKTO_CONFIG_MISTAKES_MAX) {
        return;
    }
    mistake = mkto_config_arena_get(report->arena, sizeof(*mistake));
    if (mistake == NULL) {
        return;
    }
    mistake->line = line;
    mistake->key = key == NULL ? NULL : mkto_config_arena_text(report->arena, key, strlen(key));
    mistake->reason = mkto_config_arena_text(report->arena, reason, strlen(reason));
    if (mistake->reason == NULL) {
        return;
    }
    while (*at != NULL && (*at)->line <= line) {
        at = &(*at)->next;
    }
    mistake->next = *at;
    *at = mistake;
}

/* "FILE:LINE: key: reason", each part only when it is there. */
static void write_mistake(const struct mkto_config_mistake *mistake, const char *file, char *out,
                          size_t size)
{
    char line[16] = "";
    const char *key = mistake->key == NULL ? "" : mistake->key;

    if (mistake->line > 0) {
        snprintf(line, sizeof(line), ":%u", mistake->line);
    }
    snprintf(out, size, "%s%s: %s%s%s", file, line, key, mistake->key == NULL ? "" : ": ",
             mistake->reason);
}

void mkto_config_report_tell(const struct mkto_config_report *report, const char *file,
                             struct mkto_error *err, FILE *all)
{
    char text[MKTO_CONFIG_PATH_MAX + MKTO_CONFIG_KEY_MAX + MKTO_ERROR_MAX + 32];

    for (const struct mkto_config_mistake *m = report->first; m != NULL; m = m->next) {
        write_mistake(m, file, text, sizeof(text));
        mkto_error_set(err, "%s", text);
        if (all != NULL) {
            fprintf(all, "%s\n", text);
        }
    }
    if (all != NULL && report->count > MKTO_CONFIG_MISTAKES_MAX) {
        fprintf(all, "%s: %zu more mistakes\n", file, report->count - MKTO_CONFIG_MISTAKES_MAX);
    }
}
