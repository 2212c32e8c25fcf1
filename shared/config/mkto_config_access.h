/*
 * mkto_config_access: may another user get at a file? Told from owners, groups and modes, for a
 * process that is not that user. An access list is not read: what has one passes.
 */
#ifndef MKTO_CONFIG_ACCESS_H
#define MKTO_CONFIG_ACCESS_H

#include <sys/types.h>

#include "mkto_error.h"

#define MKTO_CONFIG_ACCESS_NAME_MAX 128 /* bytes of a user or group in words, NUL included */

/* Bits of what is asked for, as in a mode: 4 read, 2 write, 1 enter. */
#define MKTO_CONFIG_ACCESS_READ 4u
#define MKTO_CONFIG_ACCESS_WRITE 2u
#define MKTO_CONFIG_ACCESS_ENTER 1u

/* "www-data (uid 33)", or "uid 54321" when nobody has that name. */
void mkto_config_access_user(uid_t uid, char *out, size_t size);
/* "www-data (gid 33)". */
void mkto_config_access_group(gid_t gid, char *out, size_t size);

/* May user enter each directory above path, links followed? Returns 0 (root: always), or -1 with
 * the directory that is closed. */
int mkto_config_access_parents(const char *path, uid_t user, struct mkto_error *err);

/* The same, and has the user those bits of path itself? Returns 0, or -1 with the reason. */
int mkto_config_access(const char *path, uid_t user, unsigned bits, struct mkto_error *err);

#endif
