/*
 * mkto_reach: can a server be connected to, with a certificate that is trusted? Nothing is sent.
 */
#ifndef MKTO_REACH_H
#define MKTO_REACH_H

#include <stdint.h>

#include "mkto_error.h"

/* Returns 0 when the connection (TLS with https) stood, or -1 with the reason. ca_file may be NULL.
 */
int mkto_reach(const char *url, const char *ca_file, int64_t timeout_ms, struct mkto_error *err);

#endif
