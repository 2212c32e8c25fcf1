/*
 * mkto_probe: asks Marketo itself: are the credentials good, do the fields exist, is the collector
 * there. Costs two calls (REST) or one (SOAP) a subscription; writes nothing, and sends no visit.
 */
#ifndef MKTO_PROBE_H
#define MKTO_PROBE_H

#include "mkto_config.h"
#include "mkto_finding.h"

void mkto_probe(const struct mkto_config *config, struct mkto_findings *findings);

#endif
