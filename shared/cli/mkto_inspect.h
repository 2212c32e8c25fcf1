/*
 * mkto_inspect: looks at what is on this host: secret files, spool, socket. Changes nothing.
 */
#ifndef MKTO_INSPECT_H
#define MKTO_INSPECT_H

#include <sys/types.h>

#include "mkto_config.h"
#include "mkto_finding.h"

void mkto_inspect_secrets(const struct mkto_config *config, uid_t reader,
                          struct mkto_findings *findings);
/* user: who the courier runs as. */
void mkto_inspect_spool(const struct mkto_config *config, uid_t user,
                        struct mkto_findings *findings);
void mkto_inspect_socket(const struct mkto_config *config, struct mkto_findings *findings);

#endif
