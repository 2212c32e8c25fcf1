#include "mkto_tally.h"

#include <stdio.h>
#include <string.h>

static struct mkto_tally_row *row_of(struct mkto_tally *tally, const char *word)
{
    for (unsigned i = 0; i < tally->count; i++) {
        if (strncmp(tally->rows[i].word, word, MKTO_TALLY_WORD_MAX - 1) == 0) {
            return &tally->rows[i];
        }
    }
    if (tally->count == MKTO_TALLY_WORDS_MAX) {
        return &tally->rows[MKTO_TALLY_WORDS_MAX - 1];
    }
    struct mkto_tally_row *row = &tally->rows[tally->count++];
    const char *name = tally->count == MKTO_TALLY_WORDS_MAX ? "other" : word;
    (void)snprintf(row->word, sizeof(row->word), "%s", name);
    return row;
}

void mkto_tally_add(struct mkto_tally *tally, const char *word, uint64_t count, int64_t wall_ms)
{
    struct mkto_tally_row *row = row_of(tally, word);
    row->count += count;
    row->last_ms = wall_ms;
}

uint64_t mkto_tally_of(const struct mkto_tally *tally, const char *word)
{
    for (unsigned i = 0; i < tally->count; i++) {
        if (strcmp(tally->rows[i].word, word) == 0) {
            return tally->rows[i].count;
        }
    }
    return 0;
}

void mkto_tally_tick(struct mkto_tally_minute *minute, uint32_t count, uint64_t mono_ms)
{
    uint64_t second = mono_ms / 1000;
    unsigned slot = (unsigned)(second % MKTO_TALLY_SECONDS);

    if (minute->seconds[slot] != second) {
        minute->seconds[slot] = second;
        minute->counts[slot] = 0;
    }
    minute->counts[slot] += count;
}

uint64_t mkto_tally_last_minute(const struct mkto_tally_minute *minute, uint64_t mono_ms)
{
    uint64_t second = mono_ms / 1000;
    uint64_t sum = 0;

    for (unsigned i = 0; i < MKTO_TALLY_SECONDS; i++) {
        if (minute->seconds[i] + MKTO_TALLY_SECONDS > second) {
            sum += minute->counts[i];
        }
    }
    return sum;
}
