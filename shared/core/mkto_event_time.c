#include "mkto_event_time.h"

#include <time.h>

#define SECOND_DIGITS 10
#define MS_DIGITS 13
#define DATE_TIME_LEN 19 /* 2026-11-27T02:00:00 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* len digits at `at`; -1 when they are not all there. */
static int number_at(struct mkto_slice text, size_t at, size_t len)
{
    int number = 0;
    for (size_t i = at; i < at + len; i++) {
        if (i >= text.len || !is_digit(text.data[i])) {
            return -1;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    return number;
}

static bool read_count(struct mkto_slice text, int64_t *ms)
{
    int64_t count = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.data[i])) {
            return false;
        }
        count = count * 10 + (text.data[i] - '0');
    }
    *ms = text.len == SECOND_DIGITS ? count * 1000 : count;
    return true;
}

/* "2026-11-27T02:00:00", in UTC. */
static bool read_date_time(struct mkto_slice text, int64_t *ms)
{
    static const struct {
        size_t at;
        size_t len;
        int min;
        int max;
    } parts[] = {{0, 4, 1970, 9999}, {5, 2, 1, 12},  {8, 2, 1, 31},
                 {11, 2, 0, 23},     {14, 2, 0, 59}, {17, 2, 0, 60}};
    int value[6] = {0};
    if (text.len < DATE_TIME_LEN || text.data[4] != '-' || text.data[7] != '-' ||
        (text.data[10] != 'T' && text.data[10] != ' ') || text.data[13] != ':' ||
        text.data[16] != ':') {
        return false;
    }
    for (size_t i = 0; i < 6; i++) {
        value[i] = number_at(text, parts[i].at, parts[i].len);
        if (value[i] < parts[i].min || value[i] > parts[i].max) {
            return false;
        }
    }
    struct tm when = {.tm_year = value[0] - 1900,
                      .tm_mon = value[1] - 1,
                      .tm_mday = value[2],
                      .tm_hour = value[3],
                      .tm_min = value[4],
                      .tm_sec = value[5]};
    *ms = (int64_t)timegm(&when) * 1000;
    return true;
}

/* ".123": its first three digits; *at moves behind all of them. */
static int read_fraction(struct mkto_slice text, size_t *at)
{
    int ms = 0;
    int unit = 100;
    if (*at >= text.len || (text.data[*at] != '.' && text.data[*at] != ',')) {
        return 0;
    }
    for ((*at)++; *at < text.len && is_digit(text.data[*at]); (*at)++) {
        ms += unit * (text.data[*at] - '0');
        unit /= 10;
    }
    return ms;
}

/* "", "Z", "+02:00", "-0330", "+02" to minutes. */
static bool read_offset(struct mkto_slice text, size_t at, int *minutes)
{
    *minutes = 0;
    if (at == text.len) {
        return true;
    }
    if (text.data[at] == 'Z' || text.data[at] == 'z') {
        return at + 1 == text.len;
    }
    if (text.data[at] != '+' && text.data[at] != '-') {
        return false;
    }
    const int hours = number_at(text, at + 1, 2);
    const size_t colon = at + 3 < text.len && text.data[at + 3] == ':' ? 1 : 0;
    const bool whole = at + 3 == text.len;
    const int rest = whole ? 0 : number_at(text, at + 3 + colon, 2);
    if (hours < 0 || hours > 23 || rest < 0 || rest > 59 ||
        (!whole && text.len != at + 5 + colon)) {
        return false;
    }
    *minutes = (hours * 60 + rest) * (text.data[at] == '-' ? -1 : 1);
    return true;
}

bool mkto_event_time_read(struct mkto_slice text, int64_t *ms)
{
    size_t at = DATE_TIME_LEN;
    int minutes;
    if (text.len == SECOND_DIGITS || text.len == MS_DIGITS) {
        return read_count(text, ms);
    }
    if (!read_date_time(text, ms)) {
        return false;
    }
    *ms += read_fraction(text, &at);
    if (!read_offset(text, at, &minutes)) {
        return false;
    }
    *ms -= (int64_t)minutes * 60000;
    return true;
}

static bool member_time(const struct mkto_json *object, const char *key, int64_t *ms)
{
    const struct mkto_json *value = mkto_json_get(object, key);
    return value != NULL && (value->type == MKTO_JSON_STRING || value->type == MKTO_JSON_NUMBER) &&
           mkto_event_time_read(value->text, ms);
}

int64_t mkto_event_time(const struct mkto_event *event)
{
    const int64_t received = event->envelope->received_ms;
    int64_t happened;
    int64_t sent;
    if (!member_time(event->root, "originalTimestamp", &happened) &&
        !member_time(event->root, "timestamp", &happened)) {
        return received;
    }
    if (member_time(event->root, "sentAt", &sent) ||
        member_time(event->defaults, "sentAt", &sent)) {
        happened = received - (sent - happened);
    }
    const bool sane = happened <= received && received - happened <= MKTO_EVENT_AGE_MAX;
    return sane ? happened : received;
}
