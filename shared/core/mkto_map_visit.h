/*
 * mkto_map_visit: page, screen and track as a visit. For mkto_map*.c only.
 */
#ifndef MKTO_MAP_VISIT_H
#define MKTO_MAP_VISIT_H

#include "mkto_map.h"

/* Without `build` only kind, api, reason and detail are set. */
void mkto_map_visit_page(const struct mkto_event *event,
                         const struct mkto_subscription *subscription, bool build,
                         struct mkto_delivery *delivery, apr_pool_t *pool);
void mkto_map_visit_track(const struct mkto_event *event,
                          const struct mkto_subscription *subscription, bool build,
                          struct mkto_delivery *delivery, apr_pool_t *pool);

#endif
