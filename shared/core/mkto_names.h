/*
 * mkto_names: what a trait is called in Marketo (seed, "Server Side" and "Custom Fields"; contract
 * marketo-soap 7).
 */
#ifndef MKTO_NAMES_H
#define MKTO_NAMES_H

#include <apr_pools.h>

#include "mkto_config.h"

#define MKTO_NAME_MAX 255 /* bytes of an API name; a longer trait is dropped and counted */

/*
 * SOAP name: the trait with its first letter raised (secondFavoriteColor -> SecondFavoriteColor,
 * second_favorite_color -> Second_favorite_color); naming = full_pascal also joins words (->
 * SecondFavoriteColor): what stands between ASCII letters and digits goes, and the next one is
 * raised. A standard field is that field in both APIs, whichever of its two names the trait is
 * spelt like (dateOfBirth -> DateofBirth, not DateOfBirth). REST name: the standard field's, else
 * the SOAP name with its first letter lowered. [fields] of the subscription wins over all and is
 * used as written. NULL: the trait has no name (empty, too long, with control characters, [fields]
 * maps it to nothing).
 */
const char *mkto_names_field(struct mkto_slice trait, enum mkto_api api,
                             const struct mkto_subscription *subscription, apr_pool_t *pool);

/* The name of a standard field in an API, given its SOAP name ("FirstName" -> "firstName"); NULL
 * when it is no standard field. */
const char *mkto_names_standard(const char *soap_name, enum mkto_api api);

#endif
