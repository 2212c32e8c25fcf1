#include "mkto_map_fields.h"

#include <apr_strings.h>

#include "mkto_map_rule.h"
#include "mkto_map_text.h"
#include "mkto_names.h"

#define ROOM_MIN 16 /* entries; doubles */
#define FEW 16      /* entries: up to here a look at each is quicker than a hash */

static struct mkto_map_entry *find(const struct mkto_map_fields *fields, const char *name)
{
    if (fields->by_name != NULL) {
        return apr_hash_get(fields->by_name, name, APR_HASH_KEY_STRING);
    }
    for (size_t i = 0; i < fields->count; i++) {
        if (strcmp(fields->entries[i]->field.name, name) == 0) {
            return fields->entries[i];
        }
    }
    return NULL;
}

static void index_by_name(struct mkto_map_fields *fields)
{
    size_t first = fields->count - 1; /* the one that was added */

    if (fields->count <= FEW) {
        return;
    }
    if (fields->by_name == NULL) {
        fields->by_name = apr_hash_make(fields->pool);
        first = 0;
    }
    for (size_t i = first; i < fields->count; i++) {
        apr_hash_set(fields->by_name, fields->entries[i]->field.name, APR_HASH_KEY_STRING,
                     fields->entries[i]);
    }
}

/* A new entry, or NULL when a lead may not have more. */
static struct mkto_map_entry *add(struct mkto_map_fields *fields, const char *name)
{
    if (fields->count == MKTO_LEAD_FIELDS_MAX) {
        return NULL;
    }
    if (fields->count == fields->room) {
        size_t room = fields->room == 0 ? ROOM_MIN : 2 * fields->room;
        struct mkto_map_entry **entries = apr_palloc(fields->pool, room * sizeof(*entries));
        if (fields->count > 0) {
            memcpy(entries, fields->entries, fields->count * sizeof(*entries));
        }
        fields->entries = entries;
        fields->room = room;
    }
    struct mkto_map_entry *entry = apr_palloc(fields->pool, sizeof(*entry));
    entry->field.name = name;
    fields->entries[fields->count++] = entry;
    index_by_name(fields);
    return entry;
}

void mkto_map_fields_withhold(struct mkto_map_fields *fields, struct mkto_slice name,
                              const char *rule)
{
    for (const struct mkto_withheld *each = fields->withheld; each != NULL; each = each->next) {
        if (mkto_slice_is(name, each->name)) {
            return;
        }
    }
    struct mkto_withheld *added = apr_palloc(fields->pool, sizeof(*added));
    added->name = apr_pstrmemdup(fields->pool, name.data, name.len);
    added->rule = rule;
    added->next = fields->withheld;
    fields->withheld = added;
}

/* false: a rule keeps the field back. */
static bool permits(struct mkto_map_fields *fields, const char *name)
{
    const char *rule =
        mkto_map_rule_field(fields->subscription, fields->keyed, fields->listed, name);
    if (rule != NULL) {
        mkto_map_fields_withhold(fields, mkto_slice_str(name), rule);
    }
    return rule == NULL;
}

void mkto_map_fields_put(struct mkto_map_fields *fields, const char *name, const char *value,
                         enum mkto_field_kind kind, enum mkto_map_rank rank)
{
    if (name == NULL || value == NULL || strlen(value) > MKTO_MAP_VALUE_MAX ||
        strcmp(name, mkto_names_standard("Email", fields->api)) == 0) {
        fields->dropped++;
        return;
    }
    if (fields->ruled && !permits(fields, name)) {
        return;
    }
    struct mkto_map_entry *entry = find(fields, name);
    if (entry != NULL && entry->rank > rank) {
        return;
    }
    entry = entry != NULL ? entry : add(fields, name);
    if (entry == NULL) {
        fields->dropped++;
        return;
    }
    entry->field.value = value;
    entry->field.kind = kind;
    entry->rank = rank;
}

void mkto_map_fields_put_json(struct mkto_map_fields *fields, const char *name,
                              const struct mkto_json *value, enum mkto_map_rank rank)
{
    if (value->type == MKTO_JSON_NULL) {
        return;
    }
    enum mkto_field_kind kind = MKTO_FIELD_TEXT;
    const char *text = mkto_map_text_scalar(value, &kind, fields->pool);
    mkto_map_fields_put(fields, name, text, kind, rank);
}

static const char *copy_name(const struct mkto_map_fields *fields, const char *name)
{
    return name[0] == '\0' || strlen(name) > MKTO_NAME_MAX ? NULL : apr_pstrdup(fields->pool, name);
}

const char *mkto_map_fields_standard(const struct mkto_map_fields *fields, const char *trait,
                                     const char *soap_name)
{
    const struct mkto_config_field *row =
        mkto_config_field(fields->subscription, mkto_slice_str(trait));
    return row != NULL ? copy_name(fields, row->name) : mkto_names_standard(soap_name, fields->api);
}

static const char *joined(const struct mkto_map_fields *fields, const char *prefix,
                          struct mkto_slice key)
{
    return prefix == NULL ? apr_pstrmemdup(fields->pool, key.data, key.len)
                          : apr_psprintf(fields->pool, "%s.%.*s", prefix, (int)key.len, key.data);
}

/* Sends all members below an object for which there is a row. Returns how many. */
static unsigned put_below(struct mkto_map_fields *fields, const char *path,
                          const struct mkto_json *object)
{
    unsigned taken = 0;
    for (const struct mkto_json *node = object->first; node != NULL; node = node->next) {
        taken += mkto_map_fields_put_row(fields, path, node) ? 1 : 0;
    }
    return taken;
}

bool mkto_map_fields_put_row(struct mkto_map_fields *fields, const char *prefix,
                             const struct mkto_json *member)
{
    if (fields->subscription->field_count == 0) {
        return false;
    }
    const char *path = joined(fields, prefix, member->key);
    const struct mkto_config_field *row =
        mkto_config_field(fields->subscription, mkto_slice_str(path));
    bool container = member->type == MKTO_JSON_OBJECT || member->type == MKTO_JSON_ARRAY;
    if (row != NULL && (!container || row->name[0] == '\0')) {
        mkto_map_fields_put_json(fields, copy_name(fields, row->name), member, MKTO_MAP_TRAIT);
        return true;
    }
    return member->type == MKTO_JSON_OBJECT && put_below(fields, path, member) > 0;
}

void mkto_map_fields_put_trait(struct mkto_map_fields *fields, const struct mkto_json *trait)
{
    if (mkto_map_fields_put_row(fields, NULL, trait)) {
        return;
    }
    mkto_map_fields_put_json(
        fields, mkto_names_field(trait->key, fields->api, fields->subscription, fields->pool),
        trait, MKTO_MAP_TRAIT);
}

void mkto_map_fields_end(struct mkto_map_fields *fields, struct mkto_lead *lead)
{
    struct mkto_field *list = apr_palloc(fields->pool, (fields->count + 1) * sizeof(*list));
    for (size_t i = 0; i < fields->count; i++) {
        list[i] = fields->entries[i]->field;
    }
    lead->fields = list;
    lead->field_count = fields->count;
}
