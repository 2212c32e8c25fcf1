#include "mkto_map_lead.h"

#include <apr_strings.h>

#include "mkto_map_fields.h"
#include "mkto_map_identity.h"
#include "mkto_map_rule.h"
#include "mkto_map_text.h"
#include "mkto_names.h"

enum how {
    HOW_FIELD,   /* the standard field `soap` */
    HOW_DATE,    /* the same, of a date */
    HOW_TIME,    /* named by the rule; numbers are times */
    HOW_NAME,    /* split */
    HOW_COMPANY, /* a field, or an object of parts */
    HOW_ADDRESS,
    HOW_PHONES,
    HOW_KEY,  /* the lead's key, no field */
    HOW_DROP, /* Marketo keeps the field for itself */
    HOW_USER_ID,
};

struct reserved {
    const char *word;
    enum how how;
    const char *soap;
};

/* A member of an object: word, the standard field that it is, and the reserved trait whose row in
 * [fields] holds for it too (or NULL). */
struct part {
    const char *word;
    const char *soap;
    const char *trait;
};

/* clang-format off */
static const struct reserved reserved_traits[] = {
    {"email",       HOW_KEY,     NULL},
    {"firstName",   HOW_FIELD,   "FirstName"},
    {"lastName",    HOW_FIELD,   "LastName"},
    {"name",        HOW_NAME,    NULL},
    {"phone",       HOW_FIELD,   "Phone"},
    {"phones",      HOW_PHONES,  "Phone"},
    {"company",     HOW_COMPANY, "Company"},
    {"address",     HOW_ADDRESS, "Address"},
    {"title",       HOW_FIELD,   "Title"},
    {"website",     HOW_FIELD,   "Website"},
    {"industry",    HOW_FIELD,   "Industry"},
    {"employees",   HOW_FIELD,   "NumberOfEmployees"},
    {"birthday",    HOW_DATE,    "DateofBirth"},
    {"dateOfBirth", HOW_DATE,    "DateofBirth"},
    {"createdAt",   HOW_TIME,    NULL},
    {"id",          HOW_DROP,    NULL},
    {"gender",      HOW_DROP,    NULL},
    {"userId",      HOW_USER_ID, NULL},
};

static const struct part company_parts[] = {
    {"name",          "Company",           "company"},
    {"industry",      "Industry",          "industry"},
    {"employeeCount", "NumberOfEmployees", "employees"},
    {"employees",     "NumberOfEmployees", "employees"},
};

static const struct part address_parts[] = {
    {"street",     "Address",    "address"},
    {"city",       "City",       NULL},
    {"state",      "State",      NULL},
    {"country",    "Country",    NULL},
    {"zip",        "PostalCode", NULL},
    {"postalCode", "PostalCode", NULL},
};

/* What belongs to a company in Marketo: a group sets nothing else of the person. */
static const struct part group_parts[] = {
    {"name",              "Company",           "company"},
    {"website",           "Website",           NULL},
    {"industry",          "Industry",          NULL},
    {"employees",         "NumberOfEmployees", NULL},
    {"employeeCount",     "NumberOfEmployees", NULL},
    {"numberOfEmployees", "NumberOfEmployees", NULL},
    {"phone",             "MainPhone",         NULL},
    {"mainPhone",         "MainPhone",         NULL},
    {"site",              "Site",              NULL},
    {"annualRevenue",     "AnnualRevenue",     NULL},
    {"sicCode",           "SICCode",           NULL},
    {"billingStreet",     "BillingStreet",     NULL},
    {"billingCity",       "BillingCity",       NULL},
    {"billingState",      "BillingState",      NULL},
    {"billingCountry",    "BillingCountry",    NULL},
    {"billingPostalCode", "BillingPostalCode", NULL},
};

static const struct part billing_parts[] = {
    {"street",     "BillingStreet",     NULL},
    {"city",       "BillingCity",       NULL},
    {"state",      "BillingState",      NULL},
    {"country",    "BillingCountry",    NULL},
    {"zip",        "BillingPostalCode", NULL},
    {"postalCode", "BillingPostalCode", NULL},
};
/* clang-format on */

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* ---- parts of objects ---- */

static const struct part *find_part(const struct part *parts, size_t count, struct mkto_slice key)
{
    for (size_t i = 0; i < count; i++) {
        if (mkto_json_key_like(key, parts[i].word)) {
            return &parts[i];
        }
    }
    return NULL;
}

/* A member of an object: to its own row of [fields], or as the standard field that it is. */
static void put_part(struct mkto_map_fields *fields, const char *prefix, const struct part *parts,
                     size_t count, const struct mkto_json *member)
{
    if (mkto_map_fields_put_row(fields, prefix, member)) {
        return;
    }
    const struct part *part = find_part(parts, count, member->key);
    if (part == NULL) {
        mkto_map_fields_put_json(fields, NULL, member, MKTO_MAP_PART);
        return;
    }
    const char *name = part->trait != NULL
                           ? mkto_map_fields_standard(fields, part->trait, part->soap)
                           : mkto_names_standard(part->soap, fields->api);
    bool exact = mkto_slice_is(member->key, part->word);
    mkto_map_fields_put_json(fields, name, member, exact ? MKTO_MAP_PART : MKTO_MAP_PART_VARIANT);
}

static void put_parts(struct mkto_map_fields *fields, const char *prefix, const struct part *parts,
                      size_t count, const struct mkto_json *object)
{
    for (const struct mkto_json *node = object->first; node != NULL; node = node->next) {
        put_part(fields, prefix, parts, count, node);
    }
}

/* ---- reserved traits ---- */

static const struct mkto_json *if_present(const struct mkto_json *value)
{
    return value == NULL || value->type == MKTO_JSON_NULL ? NULL : value;
}

static struct mkto_slice trim(struct mkto_slice text)
{
    while (text.len > 0 && text.data[0] == ' ') {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && text.data[text.len - 1] == ' ') {
        text.len--;
    }
    return text;
}

static void put_name_part(struct mkto_map_fields *fields, const char *trait, const char *soap,
                          struct mkto_slice value)
{
    if (value.len > 0) {
        mkto_map_fields_put(fields, mkto_map_fields_standard(fields, trait, soap),
                            mkto_map_text_clean(value, fields->pool), MKTO_FIELD_TEXT,
                            MKTO_MAP_PART);
    }
}

/* The first word, and everything behind it, for what of the two the traits do not have. */
static void put_name(struct mkto_map_fields *fields, const struct mkto_json *traits,
                     const struct mkto_json *value)
{
    if (value->type != MKTO_JSON_STRING) {
        fields->dropped++;
        return;
    }
    struct mkto_slice name = trim(value->text);
    const char *blank = name.len == 0 ? NULL : memchr(name.data, ' ', name.len);
    size_t first = blank == NULL ? name.len : (size_t)(blank - name.data);
    if (if_present(mkto_json_find(traits, "firstName")) == NULL) {
        put_name_part(fields, "firstName", "FirstName", (struct mkto_slice){name.data, first});
    }
    if (blank != NULL && if_present(mkto_json_find(traits, "lastName")) == NULL) {
        put_name_part(fields, "lastName", "LastName",
                      trim((struct mkto_slice){blank, name.len - first}));
    }
}

static void put_date(struct mkto_map_fields *fields, const char *name,
                     const struct mkto_json *value, enum mkto_map_rank rank)
{
    mkto_map_fields_put(fields, name, mkto_map_text_date(value, fields->pool), MKTO_FIELD_TEXT,
                        rank);
}

static void put_time(struct mkto_map_fields *fields, const struct mkto_json *value)
{
    const char *time = mkto_map_text_time(value, fields->pool);
    if (time == NULL) {
        mkto_map_fields_put_trait(fields, value);
        return;
    }
    mkto_map_fields_put(
        fields, mkto_names_field(value->key, fields->api, fields->subscription, fields->pool), time,
        MKTO_FIELD_TEXT, MKTO_MAP_TRAIT);
}

static void put_object(struct mkto_map_fields *fields, const struct reserved *word,
                       const struct mkto_json *object)
{
    if (word->how == HOW_COMPANY) {
        put_parts(fields, "company", company_parts, COUNT(company_parts), object);
    } else if (word->how == HOW_ADDRESS) {
        put_parts(fields, "address", address_parts, COUNT(address_parts), object);
    } else {
        mkto_map_fields_put_trait(fields, object);
    }
}

static void put_phones(struct mkto_map_fields *fields, const struct reserved *word,
                       const struct mkto_json *value)
{
    const struct mkto_json *first = value->type == MKTO_JSON_ARRAY ? value->first : value;
    if (first != NULL) {
        mkto_map_fields_put_json(fields, mkto_map_fields_standard(fields, "phone", word->soap),
                                 first, MKTO_MAP_PART);
    }
}

static void put_reserved(struct mkto_map_fields *fields, const struct mkto_event *event,
                         const struct reserved *word, const struct mkto_json *value)
{
    bool exact = mkto_slice_is(value->key, word->word);
    enum mkto_map_rank rank = exact ? MKTO_MAP_TRAIT : MKTO_MAP_VARIANT;
    const char *name =
        word->soap == NULL ? NULL : mkto_map_fields_standard(fields, word->word, word->soap);
    switch (word->how) {
    case HOW_FIELD:
    case HOW_COMPANY:
    case HOW_ADDRESS:
        if (value->type == MKTO_JSON_OBJECT) {
            put_object(fields, word, value);
        } else {
            mkto_map_fields_put_json(fields, name, value, rank);
        }
        break;
    case HOW_DATE: put_date(fields, name, value, rank); break;
    case HOW_TIME: put_time(fields, value); break;
    case HOW_NAME: put_name(fields, event->traits, value); break;
    case HOW_PHONES: put_phones(fields, word, value); break;
    case HOW_DROP: fields->dropped += mkto_slice_eq(value->text, event->user_id) ? 0 : 1; break;
    case HOW_KEY: fields->dropped += value->type == MKTO_JSON_STRING ? 0 : 1; break;
    case HOW_USER_ID:
        if (!exact || event->user_id.len == 0) {
            mkto_map_fields_put_trait(fields, value);
        }
        break;
    }
}

static const struct reserved *find_reserved(struct mkto_slice key)
{
    for (size_t i = 0; i < COUNT(reserved_traits); i++) {
        if (mkto_json_key_like(key, reserved_traits[i].word)) {
            return &reserved_traits[i];
        }
    }
    return NULL;
}

/* false: fields_deny names the trait. */
static bool permits(struct mkto_map_fields *fields, const struct mkto_json *trait)
{
    const enum mkto_map_list list = mkto_map_rule_list(fields->subscription, trait->key);
    fields->listed = list == MKTO_MAP_LISTED;
    if (list == MKTO_MAP_DENIED) {
        mkto_map_fields_withhold(fields, trait->key, "fields_deny");
    }
    return list != MKTO_MAP_DENIED;
}

/* A row of [fields] goes before all, but an object is looked into all the same. */
static void put_trait(struct mkto_map_fields *fields, const struct mkto_event *event,
                      const struct mkto_json *trait)
{
    if (fields->ruled && !permits(fields, trait)) {
        return;
    }
    const struct reserved *word = find_reserved(trait->key);
    const struct mkto_config_field *row = mkto_config_field(fields->subscription, trait->key);
    bool container = trait->type == MKTO_JSON_OBJECT || trait->type == MKTO_JSON_ARRAY;
    bool kept = row == NULL || row->name[0] != '\0';
    if (kept && row != NULL && word != NULL && word->how == HOW_NAME) {
        put_name(fields, event->traits, trait);
    }
    if (word == NULL || !kept || (row != NULL && !container)) {
        mkto_map_fields_put_trait(fields, trait);
    } else {
        put_reserved(fields, event, word, trait);
    }
}

static void put_traits(struct mkto_map_fields *fields, const struct mkto_event *event)
{
    const struct mkto_json *node = event->traits == NULL ? NULL : event->traits->first;
    for (; node != NULL; node = node->next) {
        if (node->type == MKTO_JSON_NULL) {
            continue;
        }
        put_trait(fields, event, node);
    }
}

/* ---- leads ---- */

/* Who the lead is. */
static void put_identity(const struct mkto_event *event,
                         const struct mkto_subscription *subscription, struct mkto_lead *lead,
                         apr_pool_t *pool)
{
    struct mkto_map_identity identity;
    struct mkto_slice email = mkto_event_email(event);
    mkto_map_identity_find(event, subscription, &identity);
    *lead = (struct mkto_lead){.cookie_made = identity.made};
    if (identity.found) {
        lead->cookie = mkto_map_identity_cookie(&identity, subscription, pool);
    }
    if (email.len > 0) {
        lead->email = mkto_map_text_clean(email, pool);
    }
    if (event->user_id.len > 0) {
        lead->user_id = mkto_map_text_clean(event->user_id, pool);
    }
}

static struct mkto_map_fields begin(const struct mkto_event *event,
                                    const struct mkto_subscription *subscription,
                                    const struct mkto_delivery *delivery, apr_pool_t *pool)
{
    return (struct mkto_map_fields){
        .api = delivery->api,
        .subscription = subscription,
        .ruled = mkto_map_rule_any(event, subscription),
        .keyed = (event->envelope->flags & (uint32_t)MKTO_ENVELOPE_KEYED) != 0,
        .pool = pool};
}

static void end(struct mkto_map_fields *fields, struct mkto_delivery *delivery)
{
    delivery->dropped = fields->dropped;
    delivery->withheld = fields->withheld;
    mkto_map_fields_end(fields, &delivery->lead);
}

/* Only a cookie of the visitor's own tells who it is where there is no email, and only SOAP looks
 * at it. */
static bool has_key(const struct mkto_event *event, const struct mkto_subscription *subscription,
                    enum mkto_api api)
{
    struct mkto_map_identity identity;
    if (mkto_event_email(event).len > 0) {
        return true;
    }
    if (api != MKTO_API_SOAP) {
        return false;
    }
    mkto_map_identity_find(event, subscription, &identity);
    return identity.found && !identity.made;
}

void mkto_map_lead_identify(const struct mkto_event *event,
                            const struct mkto_subscription *subscription, bool build,
                            struct mkto_delivery *delivery, apr_pool_t *pool)
{
    struct mkto_lead *lead = &delivery->lead;
    if (!has_key(event, subscription, delivery->api)) {
        delivery->kind = MKTO_DELIVERY_REJECTED;
        delivery->reason = "no_email";
        delivery->detail = "traits.email: identify needs an email there, or as userId";
        return;
    }
    delivery->kind = MKTO_DELIVERY_LEAD;
    if (!build) {
        return;
    }
    put_identity(event, subscription, lead, pool);
    struct mkto_map_fields fields = begin(event, subscription, delivery, pool);
    put_traits(&fields, event);
    if (lead->user_id != NULL) {
        const char *name =
            mkto_names_field(MKTO_SLICE_LIT("userId"), delivery->api, subscription, pool);
        if (name != NULL) {
            fields.listed = true; /* who it is goes with the e-mail */
            mkto_map_fields_put(&fields, apr_pstrdup(pool, name), lead->user_id, MKTO_FIELD_TEXT,
                                MKTO_MAP_CALL);
        }
    }
    end(&fields, delivery);
}

static void put_group_trait(struct mkto_map_fields *fields, const struct mkto_json *trait)
{
    if (fields->ruled && !permits(fields, trait)) {
        return;
    }
    if (trait->type == MKTO_JSON_OBJECT && mkto_json_key_like(trait->key, "address")) {
        put_parts(fields, "company.address", billing_parts, COUNT(billing_parts), trait);
    } else {
        put_part(fields, "company", group_parts, COUNT(group_parts), trait);
    }
}

void mkto_map_lead_group(const struct mkto_event *event,
                         const struct mkto_subscription *subscription, bool build,
                         struct mkto_delivery *delivery, apr_pool_t *pool)
{
    struct mkto_map_fields fields = begin(event, subscription, delivery, pool);
    const struct mkto_json *node = event->traits == NULL ? NULL : event->traits->first;
    for (; node != NULL; node = node->next) {
        put_group_trait(&fields, node);
    }
    if (fields.count == 0) {
        delivery->kind = MKTO_DELIVERY_FILTERED;
        delivery->reason = "no_company";
        delivery->detail = "traits: nothing in them is a Company field in Marketo";
        delivery->dropped = fields.dropped;
        delivery->withheld = fields.withheld;
        return;
    }
    delivery->kind = MKTO_DELIVERY_LEAD;
    if (!build) {
        return;
    }
    put_identity(event, subscription, &delivery->lead, pool);
    end(&fields, delivery);
}
