/*
 * mkto_map: what an event means (DESIGN section 5; contract segment-api-and-mapping). A pure
 * function, and a cheaper form of it that is asked at the door whether an event can be delivered at
 * all.
 *
 * identify -> a lead. Fields in the order of the traits. Reserved traits are found in any case and
 * with any punctuation (first_name); the exact word beats a variant, a trait of its own beats a
 * part of an object or of `name`, else the later one wins:
 *   firstName, lastName, phone, title, website, industry   the standard field
 *   name          split into FirstName and LastName where these are absent; no field of its own
 *   phones        its first element, when there is no phone
 *   birthday, dateOfBirth   DateofBirth as YYYY-MM-DD, of an ISO 8601 text or a number of s or ms
 *   employees     NumberOfEmployees
 *   company       Company; of an object name, industry, employee_count or employees
 *   address       Address; of an object street, city, state, country, postalCode or zip
 *   createdAt     named by the rule; a number of s or ms becomes ISO 8601
 *   email         the key, no field; id and gender are left out (Marketo keeps both for itself)
 * [fields] rows come first, of exact trait names, of reserved words, and of parts: `address.city`.
 * userId of the call is the field UserId / userId and beats a trait of that name.
 *
 * group -> Company fields of the visitor's lead, and no others: name, website, industry, employees
 * (employee_count, numberOfEmployees), phone (mainPhone), site, annualRevenue, sicCode, of an
 * address object BillingStreet, BillingCity, BillingState, BillingCountry, BillingPostalCode, and
 * billingStreet ... themselves; a row `company.plan` of [fields] holds for a group's trait too.
 *
 * page and screen -> a visit as a page load is recorded. Address of a page: properties.url, else
 * context.page.url, else the Referer of a browser's call, else properties.path (context.page.path,
 * "/") on the base host; of a screen: properties.url, else "/screen/Name-With-Dashes" on the base
 * host. track -> a visit of "/event/Name-With-Dashes" on the host of context.page.url, of the
 * Referer, or the base host; with integrations.Marketo.clickLink (an http, https, mailto or tel
 * URL, or a path) a click on that link in the page instead: by URL as a click in a page is
 * recorded, by path as munchkinFunction('clickLink') records one. Whatever else stands there counts
 * as nothing. The base host is `host` of the subscription, else the domain of the visitor's own
 * token, else the Host of the request. alias -> counted only.
 */
#ifndef MKTO_MAP_H
#define MKTO_MAP_H

#include <apr_pools.h>

#include "mkto_config.h"
#include "mkto_event.h"
#include "mkto_lead.h"

#define MKTO_MAP_VALUE_MAX                                                                         \
    30000 /* bytes of a field's value; a larger one is left out and counted */

enum mkto_delivery_kind {
    MKTO_DELIVERY_LEAD,
    MKTO_DELIVERY_VISIT,
    MKTO_DELIVERY_REJECTED, /* cannot be delivered: reason and detail say why */
    MKTO_DELIVERY_FILTERED, /* must not be delivered, or means nothing to Marketo */
};

/* A trait or field that is not sent, and the key of marketo.conf that says so: "fields_deny",
 * "fields_allow", "fields_protected". */
struct mkto_withheld {
    const char *name;
    const char *rule;
    const struct mkto_withheld *next;
};

/*
 * Stable words. Rejected: identify (forbidden: see `identify` of the config), no_email (an identify
 * without an email, and for SOAP without a cookie of the visitor's own), no_page (nothing tells the
 * host), no_identity (a visit of which only an email is known). Filtered: integrations (switched
 * off), bundled (Munchkin runs in the page itself), alias, no_company (a group without a Company
 * field), bot, events_deny, events_allow. A lead of a group may have no email: then only its
 * cookie, given or made, tells who it is.
 */
struct mkto_delivery {
    enum mkto_delivery_kind kind;
    bool forbidden;          /* kind REJECTED: the sender may not, whatever he sends */
    enum mkto_api api;       /* of a lead: REST or SOAP; of a visit: MUNCHKIN */
    struct mkto_lead lead;   /* kind LEAD */
    struct mkto_visit visit; /* kind VISIT */
    const char *reason;      /* kinds REJECTED and FILTERED: static word */
    const char *detail;      /* one sentence for a person; no personal data */
    unsigned dropped;        /* traits that were left out: objects, arrays, no name, over a limit */
    const struct mkto_withheld *withheld; /* kind LEAD: what a rule keeps back; NULL: nothing */
};

/* What an event becomes in this subscription through that API: exactly one delivery. */
void mkto_map(const struct mkto_event *event, const struct mkto_subscription *subscription,
              enum mkto_api api, struct mkto_delivery *delivery, apr_pool_t *pool);

/*
 * The same of an event that was taken at the door, perhaps under another config: who may say who
 * somebody is was decided there, and is not asked again. Never rejected for `identify`.
 */
void mkto_map_stored(const struct mkto_event *event, const struct mkto_subscription *subscription,
                     enum mkto_api api, struct mkto_delivery *delivery, apr_pool_t *pool);

/*
 * The decision of mkto_map, without what was decided: kind, api, reason and detail are what
 * mkto_map would say, lead and visit stay empty. The pool is for scratch.
 */
void mkto_map_check(const struct mkto_event *event, const struct mkto_subscription *subscription,
                    enum mkto_api api, struct mkto_delivery *delivery, apr_pool_t *pool);

/* The token that an id gets when the visitor has no cookie: the same id in a subscription always
 * gets the same token. */
const char *mkto_map_made_token(const struct mkto_subscription *subscription, struct mkto_slice id,
                                apr_pool_t *pool);

#endif
