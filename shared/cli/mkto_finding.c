#include "mkto_finding.h"

#include <stdarg.h>

#include "mkto_command.h"

static const char *const words[MKTO_FINDING_LEVELS] = {"ok", "note", "warning", "mistake"};

void mkto_finding_begin(struct mkto_findings *findings, bool json, apr_pool_t *pool)
{
    *findings = (struct mkto_findings){.json = json, .pool = pool};
    findings->list = mkto_note_array(pool);
}

void mkto_finding_add(struct mkto_findings *findings, enum mkto_finding_level level,
                      const char *about, const char *format, ...)
{
    struct mkto_note note = mkto_note_object(findings->pool);
    char text[MKTO_FINDING_TEXT_MAX];
    va_list args;

    /* Not apr_pvsprintf, which has its own idea of formats: no %zu. */
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    findings->counts[level]++;
    if (!findings->json) {
        printf("%-8s %s: %s\n", words[level], about, text);
        fflush(stdout); /* what comes next may wait for the network */
        return;
    }
    mkto_note_text(&note, "level", words[level]);
    mkto_note_text(&note, "about", about);
    mkto_note_text(&note, "text", text);
    mkto_note_add(&findings->list, NULL, &note);
}

int mkto_finding_end(const struct mkto_findings *findings)
{
    unsigned mistakes = findings->counts[MKTO_FINDING_MISTAKE];
    unsigned warnings = findings->counts[MKTO_FINDING_WARNING];
    struct mkto_note note = mkto_note_object(findings->pool);

    if (findings->json) {
        mkto_note_bool(&note, "ok", mistakes + warnings == 0);
        mkto_note_add(&note, "findings", &findings->list);
        mkto_command_line(mkto_note_json(&note));
    } else if (mistakes + warnings > 0) {
        printf("%u mistake%s, %u warning%s\n", mistakes, mistakes == 1 ? "" : "s", warnings,
               warnings == 1 ? "" : "s");
    }
    return mistakes + warnings == 0 ? MKTO_EXIT_FINE : MKTO_EXIT_FOUND;
}
