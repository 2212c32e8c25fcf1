/*
 * mkto_finding: what `marketo check` finds, told as it is found, or as one JSON object at the end.
 */
#ifndef MKTO_FINDING_H
#define MKTO_FINDING_H

#include "mkto_note.h"

#define MKTO_FINDING_TEXT_MAX 2048 /* bytes of a finding; longer ones are cut */

enum mkto_finding_level {
    MKTO_FINDING_FINE,
    MKTO_FINDING_NOTE,    /* worth knowing; nothing is wrong */
    MKTO_FINDING_WARNING, /* works, but not as one would wish */
    MKTO_FINDING_MISTAKE,
    MKTO_FINDING_LEVELS
};

struct mkto_findings {
    bool json;
    struct mkto_note list;
    unsigned counts[MKTO_FINDING_LEVELS];
    apr_pool_t *pool;
};

void mkto_finding_begin(struct mkto_findings *findings, bool json, apr_pool_t *pool);

/* about: what it is about, in a few words: "spool /var/lib/marketo". */
__attribute__((format(printf, 4, 5))) void mkto_finding_add(struct mkto_findings *findings,
                                                            enum mkto_finding_level level,
                                                            const char *about, const char *format,
                                                            ...);

/* Prints the end, and returns the exit code: fine, or found something (warnings count). */
int mkto_finding_end(const struct mkto_findings *findings);

#endif
