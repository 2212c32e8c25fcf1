/*
 * mkto_map_fields: the fields of a lead while they are gathered: no name twice, the better source
 * wins. For mkto_map*.c only.
 */
#ifndef MKTO_MAP_FIELDS_H
#define MKTO_MAP_FIELDS_H

#include <apr_hash.h>
#include <apr_pools.h>

#include "mkto_config.h"
#include "mkto_json.h"
#include "mkto_lead.h"
#include "mkto_map.h"

/* Where a value comes from; a later one replaces an earlier one unless that has the higher rank. */
enum mkto_map_rank {
    MKTO_MAP_PART_VARIANT, /* part of an object or of `name`, found under a variant of its word */
    MKTO_MAP_PART,
    MKTO_MAP_VARIANT, /* a reserved trait under a variant of its word */
    MKTO_MAP_TRAIT,
    MKTO_MAP_CALL, /* the call's own userId */
};

struct mkto_map_entry {
    struct mkto_field field;
    enum mkto_map_rank rank;
};

struct mkto_map_fields {
    enum mkto_api api;
    const struct mkto_subscription *subscription;
    apr_pool_t *pool;
    struct mkto_map_entry **entries; /* in the order in which their names came */
    size_t count;
    size_t room;
    apr_hash_t *by_name; /* of all entries; NULL while they are few */
    unsigned dropped;
    bool ruled;  /* rules hold for the names */
    bool keyed;  /* the event came with a write key */
    bool listed; /* fields_allow names the trait that is being put */
    const struct mkto_withheld *withheld;
};

/* Notes that a rule keeps a trait or field back. Once for each name. */
void mkto_map_fields_withhold(struct mkto_map_fields *fields, struct mkto_slice name,
                              const char *rule);

/* Takes a value under a name, unless a rule keeps that back; NULL for either, Email, and what is
 * over a limit count as dropped. */
void mkto_map_fields_put(struct mkto_map_fields *fields, const char *name, const char *value,
                         enum mkto_field_kind kind, enum mkto_map_rank rank);

/* The same with a JSON value: objects and arrays are dropped, null is left out silently. */
void mkto_map_fields_put_json(struct mkto_map_fields *fields, const char *name,
                              const struct mkto_json *value, enum mkto_map_rank rank);

/* The name of a standard field, unless [fields] has a row for that reserved trait. NULL: the row
 * says that it is not sent. */
const char *mkto_map_fields_standard(const struct mkto_map_fields *fields, const char *trait,
                                     const char *soap_name);

/* A trait without a meaning of its own: named by the rule; of an object those members for which
 * [fields] has a row ("plan.name"). */
void mkto_map_fields_put_trait(struct mkto_map_fields *fields, const struct mkto_json *trait);

/* Sends a member to the row that [fields] has for "prefix.key" (prefix may be NULL), or what is
 * below it to theirs. false: there is no row for anything of it. */
bool mkto_map_fields_put_row(struct mkto_map_fields *fields, const char *prefix,
                             const struct mkto_json *member);

/* Hands over what was gathered. */
void mkto_map_fields_end(struct mkto_map_fields *fields, struct mkto_lead *lead);

#endif
