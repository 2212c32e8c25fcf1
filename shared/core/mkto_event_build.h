/*
 * mkto_event_build: an event out of a parsed body or a batch's item. For mkto_event*.c only.
 */
#ifndef MKTO_EVENT_BUILD_H
#define MKTO_EVENT_BUILD_H

#include "mkto_event.h"

/* Says why, with the answer that goes with it; always -1. */
__attribute__((format(printf, 3, 4))) int
mkto_event_refuse(struct mkto_event_fault *fault, enum mkto_answer answer, const char *format, ...);

/* The checks of mkto_event_read on what is parsed already. defaults may be NULL; root's context and
 * integrations may get the members of defaults behind their own. */
int mkto_event_build(const struct mkto_envelope *envelope, enum mkto_call call,
                     struct mkto_json *root, const struct mkto_json *defaults,
                     struct mkto_event **event, struct mkto_event_fault *fault, apr_pool_t *pool);

#endif
