/*
 * mkto_config_draft: a config while its file is read: the values, and the line that each came from.
 */
#ifndef MKTO_CONFIG_DRAFT_H
#define MKTO_CONFIG_DRAFT_H

#include "mkto_config.h"
#include "mkto_config_arena.h"
#include "mkto_config_report.h"

enum mkto_config_section {
    MKTO_CONFIG_SECTION_NONE, /* before the first */
    MKTO_CONFIG_SECTION_SKIP, /* refused: its keys are passed over */
    MKTO_CONFIG_SECTION_MARKETO,
    MKTO_CONFIG_SECTION_SPOOL,
    MKTO_CONFIG_SECTION_COURIER,
    MKTO_CONFIG_SECTION_FIELDS,
    MKTO_CONFIG_SECTION_SOURCES,
    MKTO_CONFIG_SECTION_COUNT
};

/* [fields] or [fields NAME]: a run of the draft's rows. */
struct mkto_config_draft_fields {
    const char *name; /* "" for [fields] */
    unsigned line;
    size_t first;
    size_t count;
};

struct mkto_config_draft {
    struct mkto_config *config;
    struct mkto_config_arena *arena;
    struct mkto_config_report report;

    enum mkto_config_section section;                  /* that is being read */
    unsigned section_lines[MKTO_CONFIG_SECTION_COUNT]; /* of [spool], [courier], [sources]; 0: not
                                                          there */
    unsigned *key_lines; /* by index in the key table: [spool] and [courier]; 0: not there */

    struct mkto_subscription *subscriptions; /* MKTO_CONFIG_SUBSCRIPTIONS_MAX */
    unsigned **subscription_lines;           /* key lines of each */
    size_t subscription_count;

    struct mkto_config_field *rows; /* MKTO_CONFIG_FIELDS_MAX */
    size_t row_count;
    struct mkto_config_draft_fields *fields; /* MKTO_CONFIG_SUBSCRIPTIONS_MAX + 1 */
    size_t fields_count;

    struct mkto_config_source *sources; /* MKTO_CONFIG_SOURCES_MAX */
    size_t source_count;
};

/* Reads the whole text into the draft, defaults first. Returns 0, or -1 when memory runs out; a
 * mistake in the text goes to the report. */
int mkto_config_draft_read(struct mkto_config_draft *draft, struct mkto_slice text);

/* Line of a key in [spool] or [courier], or in a subscription; 0 when it is not in the file. */
unsigned mkto_config_draft_line(const unsigned *lines, const char *section, const char *key);

/* One inserted, removed, changed or swapped byte apart. */
bool mkto_config_draft_is_near(const char *a, const char *b);

#endif
