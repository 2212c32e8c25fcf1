/*
 * mkto_event_mask: what an event says of the visitor's address, cut to its network.
 */
#ifndef MKTO_EVENT_MASK_H
#define MKTO_EVENT_MASK_H

#include "mkto_event.h"

/* Does context.ip say anything? */
bool mkto_event_mask_wanted(const struct mkto_event *event);

/* The JSON text of an event, or of what a batch says for all, with context.ip as mkto_net_format
 * writes it, or "" when it is no address. The text itself when there is nothing to change. */
struct mkto_slice mkto_event_mask(struct mkto_slice text, apr_pool_t *pool);

#endif
