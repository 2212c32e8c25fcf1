/*
 * mkto_verdict_table: the rows behind mkto_verdict, one for every code of the contracts. Private to
 * mkto_verdict.c and its test.
 */
#ifndef MKTO_VERDICT_TABLE_H
#define MKTO_VERDICT_TABLE_H

#include "mkto_verdict.h"

/* What a code means for the one record that carries it, and for a whole call. */
struct mkto_verdict_row {
    int code;
    enum mkto_verdict_kind record;
    enum mkto_verdict_kind call;
    enum mkto_verdict_kind alone; /* when call is SPLIT: of a record that was alone in its call */
    enum mkto_pause_kind pause;
    int64_t after_ms;
    const char *reason;
};

/* The row of a code, or NULL when the contracts do not have it. */
const struct mkto_verdict_row *mkto_verdict_table_soap(int code);
const struct mkto_verdict_row *mkto_verdict_table_rest(int code);

/* How often this code may be answered to an event before it is given up; 0: any number. */
unsigned mkto_verdict_table_tries(enum mkto_api api, int code);

/* The row of an HTTP status whose body says nothing; never NULL. */
const struct mkto_verdict_row *mkto_verdict_table_http(enum mkto_api api, int status);

/* The row of a call that has no HTTP status; result is not OK. */
const struct mkto_verdict_row *mkto_verdict_table_transport(enum mkto_transport_result result);

/* The row of an OAuth error word ("invalid_client"), or NULL. */
const struct mkto_verdict_row *mkto_verdict_table_oauth(const char *word);

/* What the administrator can do about a pause; NULL when waiting is all there is. */
const char *mkto_verdict_table_hint(enum mkto_api api, enum mkto_pause_kind pause);

#endif
