/*
 * mkto_config_secret: where a secret file is, and whether it is kept as a secret.
 *
 * Below $CREDENTIALS_DIRECTORY and /run/secrets the service manager or container runtime sets mode
 * and access, so the rules on writable and world-readable do not hold there.
 */
#ifndef MKTO_CONFIG_SECRET_H
#define MKTO_CONFIG_SECRET_H

#include <sys/types.h>

#include "mkto_error.h"

/* Looks at a secret file by stat alone: it is there, a regular file, not empty, not too large, not
 * open to others, and reader may read it ((uid_t)-1: not asked). Returns 0, or -1 with the reason.
 */
int mkto_config_secret_check(const char *file, uid_t reader, struct mkto_error *err);

/* A file that is no secret: it is there, a regular file, and reader may read it. */
int mkto_config_secret_check_plain(const char *file, uid_t reader, struct mkto_error *err);

#endif
