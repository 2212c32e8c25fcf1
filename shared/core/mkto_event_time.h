/*
 * mkto_event_time: when an event happened, by the web server's clock (contract
 * segment-api-and-mapping 4, "time"): received - (sentAt - originalTimestamp). What is wrong with
 * the sender's clock is wrong in both, and falls out.
 */
#ifndef MKTO_EVENT_TIME_H
#define MKTO_EVENT_TIME_H

#include "mkto_event.h"

#define MKTO_EVENT_AGE_MAX                                                                         \
    INT64_C(604800000) /* ms: 7 days; what seems older came when received                          \
                        */

/*
 * ms since the epoch, at most the time of receipt. originalTimestamp, else timestamp, is the time
 * by the sender's clock; sentAt is the event's, else the batch's; without sentAt the sender's clock
 * is taken to be right. Received, when there is no such time, it cannot be read, lies in the future
 * or over MKTO_EVENT_AGE_MAX back.
 */
int64_t mkto_event_time(const struct mkto_event *event);

/* ISO 8601 with a date and a time ("2026-11-27T02:00:00.123Z", any offset; none is UTC), or a
 * number of seconds (10 digits) or ms (13). false: neither. */
bool mkto_event_time_read(struct mkto_slice text, int64_t *ms);

#endif
