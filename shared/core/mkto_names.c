#include "mkto_names.h"

#include <apr_strings.h>

#include "mkto_names_table.h"

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static char raised(char c)
{
    return is_lower(c) ? (char)(c - 'a' + 'A') : c;
}

static char lowered(char c)
{
    return is_upper(c) ? (char)(c - 'A' + 'a') : c;
}

/* Bytes of other scripts belong to words too. */
static bool in_word(char c)
{
    return is_lower(c) || is_upper(c) || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}

/* XML takes neither control characters nor U+FFFE and U+FFFF (EF BF BE, EF BF BF), and no field is
 * called so. */
static bool is_clean(struct mkto_slice trait)
{
    for (size_t i = 0; i < trait.len; i++) {
        if ((unsigned char)trait.data[i] < 0x20 || trait.data[i] == 0x7f) {
            return false;
        }
        if (trait.len - i >= 3 && memcmp(trait.data + i, "\xEF\xBF", 2) == 0 &&
            (unsigned char)trait.data[i + 2] >= 0xBE) {
            return false;
        }
    }
    return true;
}

static char *full_pascal(struct mkto_slice trait, apr_pool_t *pool)
{
    char *name = apr_palloc(pool, trait.len + 1);
    char *end = name;
    bool first = true;
    for (size_t i = 0; i < trait.len; i++) {
        if (!in_word(trait.data[i])) {
            first = true;
            continue;
        }
        *end++ = first ? raised(trait.data[i]) : trait.data[i];
        first = false;
    }
    *end = '\0';
    return name;
}

static char *pascal(struct mkto_slice trait, enum mkto_naming naming, apr_pool_t *pool)
{
    if (naming == MKTO_NAMING_FULL_PASCAL) {
        return full_pascal(trait, pool);
    }
    char *name = apr_pstrmemdup(pool, trait.data, trait.len);
    name[0] = raised(name[0]);
    return name;
}

/* The standard field that is meant by a name: its SOAP name, or its REST name in any case of the
 * first letter. */
static const struct mkto_names_pair *standard(const char *name)
{
    char first = lowered(name[0]);
    for (size_t i = 0; i < mkto_names_table_count; i++) {
        const struct mkto_names_pair *pair = &mkto_names_table[i];
        if (pair->rest[0] == first && strcmp(pair->rest + 1, name + 1) == 0) {
            return pair;
        }
        if (pair->soap[0] == name[0] && strcmp(pair->soap, name) == 0) {
            return pair;
        }
    }
    return NULL;
}

static const char *name_in(const struct mkto_names_pair *pair, enum mkto_api api)
{
    return api == MKTO_API_SOAP ? pair->soap : pair->rest;
}

const char *mkto_names_standard(const char *soap_name, enum mkto_api api)
{
    for (size_t i = 0; i < mkto_names_table_count; i++) {
        if (mkto_names_table[i].soap[0] == soap_name[0] &&
            strcmp(mkto_names_table[i].soap, soap_name) == 0) {
            return name_in(&mkto_names_table[i], api);
        }
    }
    return NULL;
}

const char *mkto_names_field(struct mkto_slice trait, enum mkto_api api,
                             const struct mkto_subscription *subscription, apr_pool_t *pool)
{
    const struct mkto_config_field *row = mkto_config_field(subscription, trait);
    if (row != NULL) {
        return row->name[0] == '\0' || strlen(row->name) > MKTO_NAME_MAX ? NULL : row->name;
    }
    if (trait.len == 0 || trait.len > MKTO_NAME_MAX || !is_clean(trait)) {
        return NULL;
    }
    char *name = pascal(trait, subscription->naming, pool);
    if (name[0] == '\0') {
        return NULL;
    }
    const struct mkto_names_pair *pair = standard(name);
    if (pair != NULL) {
        return name_in(pair, api);
    }
    name[0] = api == MKTO_API_SOAP ? name[0] : lowered(name[0]);
    return name;
}
