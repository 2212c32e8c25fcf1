#include "mkto_budget.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define STANDARD_MS (-6 * HOUR_MS)
#define SUMMER_MS (-5 * HOUR_MS)

/* ---- the day ---- */

/* Days since 1970-01-01 of a date in the Gregorian calendar (years from 1970 on). */
static int64_t days_of(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year; /* years that begin in March end in the leap day */
    int64_t m = month <= 2 ? month + 9 : month - 3;
    int64_t in_year = (153 * m + 2) / 5 + day - 1;
    return 365 * y + y / 4 - y / 100 + y / 400 + in_year - 719468;
}

static int64_t year_of(int64_t wall_ms)
{
    int64_t year = 1970 + wall_ms / DAY_MS / 366;

    while (days_of(year + 1, 1, 1) * DAY_MS <= wall_ms) {
        year++;
    }
    return year;
}

/* The nth Sunday of a month, as days since 1970-01-01 (a Thursday). */
static int64_t sunday_of(int64_t year, int month, int nth)
{
    int64_t first = days_of(year, month, 1);
    int64_t weekday = (first + 4) % 7; /* 0: Sunday */
    return first + (7 - weekday) % 7 + 7 * (nth - 1);
}

static int64_t offset_of(int64_t wall_ms)
{
    int64_t year = year_of(wall_ms);
    int64_t begins = sunday_of(year, 3, 2) * DAY_MS + 2 * HOUR_MS - STANDARD_MS;
    int64_t ends = sunday_of(year, 11, 1) * DAY_MS + 2 * HOUR_MS - SUMMER_MS;
    return wall_ms >= begins && wall_ms < ends ? SUMMER_MS : STANDARD_MS;
}

int64_t mkto_budget_day(int64_t wall_ms, int64_t *next_ms)
{
    int64_t now = wall_ms < DAY_MS ? DAY_MS : wall_ms; /* a clock before 1970-01-02 is no clock */
    int64_t day = (now + offset_of(now)) / DAY_MS;

    if (next_ms != NULL) {
        /* clocks change at 2:00, so midnight itself is never ambiguous */
        int64_t standard = (day + 1) * DAY_MS - STANDARD_MS;
        int64_t summer = (day + 1) * DAY_MS - SUMMER_MS;
        *next_ms = offset_of(summer) == SUMMER_MS ? summer : standard;
    }
    return day;
}

/* ---- the budget ---- */

void mkto_budget_init(struct mkto_budget *budget, const struct mkto_budget_limits *limits)
{
    memset(budget, 0, sizeof(*budget));
    mkto_budget_limit(budget, limits);
}

void mkto_budget_limit(struct mkto_budget *budget, const struct mkto_budget_limits *limits)
{
    budget->limits = *limits;
    if (budget->limits.per_window > MKTO_BUDGET_WINDOW_MAX) {
        budget->limits.per_window = MKTO_BUDGET_WINDOW_MAX;
    }
    if (budget->limits.per_window == 0) {
        budget->limits.per_window = 1;
    }
    if (budget->limits.at_once == 0) {
        budget->limits.at_once = 1;
    }
}

/* The call before the last nth - 1 ones; 1 is the last. */
static uint64_t nth_last(const struct mkto_budget *budget, unsigned nth)
{
    return budget->calls[(budget->at + MKTO_BUDGET_WINDOW_MAX - nth) % MKTO_BUDGET_WINDOW_MAX];
}

static bool is_new_day(const struct mkto_budget *budget, int64_t day)
{
    return day > budget->day && day != budget->far_day;
}

unsigned mkto_budget_today(const struct mkto_budget *budget, int64_t wall_ms)
{
    return is_new_day(budget, mkto_budget_day(wall_ms, NULL)) ? 0 : budget->used;
}

/*
 * A clock that was set back gives no calls back: what was spent stays spent until the next
 * midnight. That is the one after the day that was counted, if the clock went back across one
 * midnight (it may be a second around it); after more than a day it is the clock's own next one, or
 * there would be none for days. If it then comes back, to the day that it came from, that is no
 * midnight; and if it went forth before, what was spent on the day to which it comes back counts.
 */
static void mind_clock(struct mkto_budget *budget, int64_t wall_ms)
{
    int64_t day = mkto_budget_day(wall_ms, NULL);

    if (day + 1 >= budget->day) {
        return;
    }
    if (day == budget->past_day) {
        budget->used += budget->past_used;
        budget->past_day = 0;
    } else {
        budget->far_day = budget->day;
    }
    budget->day = day;
}

static void begin_day(struct mkto_budget *budget, int64_t day)
{
    if (is_new_day(budget, day)) {
        budget->past_day = budget->day;
        budget->past_used = budget->used;
        budget->used = 0;
    }
    budget->day = day;
    budget->far_day = 0;
}

uint64_t mkto_budget_when(struct mkto_budget *budget, enum mkto_budget_use use, uint64_t mono_ms,
                          int64_t wall_ms)
{
    mind_clock(budget, wall_ms);
    const struct mkto_budget_limits *limits = &budget->limits;
    unsigned reserve = limits->reserve < limits->per_day ? limits->reserve : limits->per_day;
    unsigned day = use == MKTO_BUDGET_IDENTIFY ? limits->per_day : limits->per_day - reserve;

    if (budget->running >= limits->at_once) {
        return UINT64_MAX;
    }
    if (mkto_budget_today(budget, wall_ms) >= day) {
        int64_t next_ms;
        mkto_budget_day(wall_ms, &next_ms);
        return mono_ms + (uint64_t)(next_ms - wall_ms);
    }
    if (budget->held < limits->per_window) {
        return mono_ms;
    }
    return nth_last(budget, limits->per_window) + MKTO_BUDGET_WINDOW_MS;
}

static void note_call(struct mkto_budget *budget, uint64_t mono_ms)
{
    budget->calls[budget->at] = mono_ms;
    budget->at = (budget->at + 1) % MKTO_BUDGET_WINDOW_MAX;
    if (budget->held < MKTO_BUDGET_WINDOW_MAX) {
        budget->held++;
    }
}

void mkto_budget_spend(struct mkto_budget *budget, uint64_t mono_ms, int64_t wall_ms)
{
    int64_t day = mkto_budget_day(wall_ms, NULL);

    mind_clock(budget, wall_ms);
    if (day > budget->day) {
        begin_day(budget, day);
    }
    budget->used++;
    budget->running++;
    budget->last_wall_ms = wall_ms;
    note_call(budget, mono_ms);
}

void mkto_budget_held_up(struct mkto_budget *budget, unsigned count, uint64_t mono_ms)
{
    for (unsigned nth = 1; nth <= count && nth <= budget->held; nth++) {
        budget->calls[(budget->at + MKTO_BUDGET_WINDOW_MAX - nth) % MKTO_BUDGET_WINDOW_MAX] =
            mono_ms;
    }
}

void mkto_budget_end(struct mkto_budget *budget)
{
    if (budget->running > 0) {
        budget->running--;
    }
}

unsigned mkto_budget_in_window(const struct mkto_budget *budget, uint64_t mono_ms)
{
    unsigned count = 0;

    while (count < budget->held && nth_last(budget, count + 1) + MKTO_BUDGET_WINDOW_MS > mono_ms) {
        count++;
    }
    return count;
}

/* ---- saved ---- */

void mkto_budget_save(const struct mkto_budget *budget, char text[MKTO_BUDGET_TEXT_MAX])
{
    (void)snprintf(text, MKTO_BUDGET_TEXT_MAX, "%" PRId64 " %u %" PRId64, budget->day, budget->used,
                   budget->last_wall_ms);
}

void mkto_budget_restore(struct mkto_budget *budget, const char *text, uint64_t mono_ms,
                         int64_t wall_ms)
{
    int64_t day;
    int64_t last;
    unsigned used;

    if (text == NULL || sscanf(text, "%" SCNd64 " %u %" SCNd64, &day, &used, &last) != 3 ||
        day < 0 || last <= 0) {
        return;
    }
    int64_t today = mkto_budget_day(wall_ms, NULL);
    budget->day = day > today ? today : day; /* a clock that was set back must not lock for days */
    budget->far_day = day > today ? day : 0;
    budget->used = used;
    budget->last_wall_ms = last;
    int64_t ago = wall_ms - last;
    if (ago < 0) {
        ago = 0;
    }
    if (ago >= MKTO_BUDGET_WINDOW_MS) {
        return;
    }
    uint64_t at = mono_ms > (uint64_t)ago ? mono_ms - (uint64_t)ago : 0;
    for (unsigned i = 0; i < MKTO_BUDGET_WINDOW_MAX; i++) {
        note_call(budget, at);
    }
}
