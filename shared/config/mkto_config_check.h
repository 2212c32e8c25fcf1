/*
 * mkto_config_check: what no single line shows: missing keys, pairs, limits against each other,
 * secret files; and the defaults that are made of other keys.
 */
#ifndef MKTO_CONFIG_CHECK_H
#define MKTO_CONFIG_CHECK_H

#include "mkto_config_draft.h"

/* Completes draft->config; mistakes go to the report. */
void mkto_config_check(struct mkto_config_draft *draft, const struct mkto_config_options *options);

#endif
