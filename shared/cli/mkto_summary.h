/*
 * mkto_summary: the courier's status on one screen. What is not there is left out, so that an older
 * or newer courier's status can be shown, too; `--json` has everything.
 */
#ifndef MKTO_SUMMARY_H
#define MKTO_SUMMARY_H

#include <stdio.h>

#include "mkto_json.h"

/* Returns false, with nothing printed, when this is no status of a courier. */
bool mkto_summary_print(FILE *out, const struct mkto_json *status);

#endif
