/*
 * mkto_map_lead: identify and group as a lead. For mkto_map*.c only.
 */
#ifndef MKTO_MAP_LEAD_H
#define MKTO_MAP_LEAD_H

#include "mkto_map.h"

/* Both take the delivery with its api set, and set everything else; without `build` only kind,
 * reason and detail. */
void mkto_map_lead_identify(const struct mkto_event *event,
                            const struct mkto_subscription *subscription, bool build,
                            struct mkto_delivery *delivery, apr_pool_t *pool);
void mkto_map_lead_group(const struct mkto_event *event,
                         const struct mkto_subscription *subscription, bool build,
                         struct mkto_delivery *delivery, apr_pool_t *pool);

#endif
