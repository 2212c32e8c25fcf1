/*
 * mkto_map_filter: what must not be delivered. For mkto_map*.c only.
 */
#ifndef MKTO_MAP_FILTER_H
#define MKTO_MAP_FILTER_H

#include "mkto_event.h"

/* Did the sender leave Marketo switched on (contract segment-api-and-mapping 3)? */
bool mkto_map_filter_enabled(const struct mkto_event *event);

/* Does a browser's message say that Marketo runs in the page itself? */
bool mkto_map_filter_bundled(const struct mkto_event *event);

#endif
