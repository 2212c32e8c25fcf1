/*
 * mkto_config_list: values that are several words.
 */
#ifndef MKTO_CONFIG_LIST_H
#define MKTO_CONFIG_LIST_H

#include "mkto_config.h"
#include "mkto_config_arena.h"

/*
 * "Order Completed, page": names with commas between them, blanks around each cut off. Refused: an
 * empty name, one over MKTO_CONFIG_TEXT_MAX bytes, the same one twice, more than
 * MKTO_CONFIG_LIST_MAX; with `fields` also one without a letter or digit, for fields are compared
 * by these alone. Returns 0, or -1 with the reason.
 */
int mkto_config_list_read(const char *text, bool fields, struct mkto_config_list *list,
                          struct mkto_config_arena *arena, struct mkto_error *err);

/* "gpc dnt", with blanks or commas between them: bits MKTO_RESPECT_… of mkto_privacy.h. */
int mkto_config_list_respect(const char *text, unsigned *bits, struct mkto_error *err);

#endif
