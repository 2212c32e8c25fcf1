/*
 * mkto_names_table: the standard fields' names, as data.
 */
#ifndef MKTO_NAMES_TABLE_H
#define MKTO_NAMES_TABLE_H

#include <stddef.h>

struct mkto_names_pair {
    const char *rest;
    const char *soap;
};

extern const struct mkto_names_pair mkto_names_table[];
extern const size_t mkto_names_table_count;

#endif
