/*
 * mkto_tally: how often, by word; and how many in the last minute. In memory: a restart begins at
 * nought.
 */
#ifndef MKTO_TALLY_H
#define MKTO_TALLY_H

#include <stdint.h>

#define MKTO_TALLY_WORDS_MAX                                                                       \
    64                         /* words; those that come later count under the last row, "other"   \
                                */
#define MKTO_TALLY_WORD_MAX 48 /* bytes of a word with its NUL; longer ones are cut */
#define MKTO_TALLY_SECONDS 60

struct mkto_tally_row {
    char word[MKTO_TALLY_WORD_MAX];
    uint64_t count;
    int64_t last_ms; /* wall clock */
};

struct mkto_tally {
    struct mkto_tally_row rows[MKTO_TALLY_WORDS_MAX];
    unsigned count;
};

void mkto_tally_add(struct mkto_tally *tally, const char *word, uint64_t count, int64_t wall_ms);
uint64_t mkto_tally_of(const struct mkto_tally *tally, const char *word);

struct mkto_tally_minute {
    uint32_t counts[MKTO_TALLY_SECONDS];
    uint64_t seconds[MKTO_TALLY_SECONDS]; /* which second each slot counts */
};

void mkto_tally_tick(struct mkto_tally_minute *minute, uint32_t count, uint64_t mono_ms);
uint64_t mkto_tally_last_minute(const struct mkto_tally_minute *minute, uint64_t mono_ms);

#endif
