/*
 * mkto_lead and mkto_visit: the two things that Marketo is told. One model; soap, rest and munchkin
 * only write it down. All text is UTF-8, NUL-terminated, in the pool that the mapping was given,
 * and NULL when absent.
 */
#ifndef MKTO_LEAD_H
#define MKTO_LEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mkto_field_kind {
    MKTO_FIELD_TEXT,
    MKTO_FIELD_NUMBER, /* JSON number text */
    MKTO_FIELD_BOOL,   /* "true" or "false" */
};

struct mkto_field {
    const char *name; /* in the naming of the API that the lead was mapped for */
    const char *value;
    enum mkto_field_kind kind;
};

#define MKTO_LEAD_FIELDS_MAX 512 /* more traits than that are dropped and counted */

struct mkto_lead {
    const char *email;   /* the lookup key; NULL: only the cookie tells who it is (SOAP) */
    const char *user_id; /* also among the fields, as UserId / userId */
    const char *cookie;  /* "id:…&token:…", or NULL */
    bool cookie_made;    /* the cookie is one that we made from an id, no browser has it */
    const struct mkto_field *fields; /* without Email; order of the traits, no name twice */
    size_t field_count;
};

struct mkto_visit {
    const char *token;  /* "_mch-…" */
    const char *scheme; /* "https:" or "http:" */
    const char *host;   /* no port */
    const char *port;   /* "" for the default port */
    const char
        *path; /* page: as in the address, still percent-encoded; api: "/event/Signed-Up", raw */
    const char *query;    /* page: as in the address, without '?'; api: params, raw */
    const char *hash;     /* "#faq" or ""; page only */
    const char *referrer; /* "" when none */
    const char *name;     /* _mchCn of an api visit, or NULL */
    bool api;             /* false: as a page load or a click records itself; true: as
                             munchkinFunction('visitWebPage') or ('clickLink') does */
    const char *href; /* where the link leads that was clicked; page: as in the address, api: raw.
                         Path and query are the page's then, of either kind. NULL: not a click */
    int64_t at_ms;    /* _mchNc */
    const char *user_agent; /* request headers that go along; NULL when absent */
    const char *accept_language;
    const char *dnt;
    const char *gpc;
    const char *remote_addr;
    const char *workspace;       /* _mchWs; NULL when absent */
    const char *external_source; /* _mchEs; NULL when absent */
    bool anonymize;              /* aip=1: Marketo drops the last part of the address */
};

#endif
