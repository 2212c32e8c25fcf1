/*
 * mkto_config_endpoint: what may be the address of an API.
 *
 * https://HOST[:PORT][/PATH]. http:// is for this machine only (127.0.0.0/8, ::1, localhost), since
 * credentials and personal data would cross the network in the open. No user, query or fragment.
 */
#ifndef MKTO_CONFIG_ENDPOINT_H
#define MKTO_CONFIG_ENDPOINT_H

#include <stdbool.h>

#include "mkto_error.h"
#include "mkto_slice.h"

/* Returns 0 and the length of the URL without trailing slashes, or -1 with the reason. */
int mkto_config_endpoint_check(const char *url, size_t *len, struct mkto_error *err);

/* A host name of 1..253 bytes: letters, digits, '-', '_' and '.'; no empty label. */
bool mkto_config_endpoint_is_name(struct mkto_slice host);

#endif
