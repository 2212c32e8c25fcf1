#include "mkto_config_draft.h"

#include <stdarg.h>

#include "mkto_config_lines.h"
#include "mkto_config_value.h"

/* By enum mkto_config_section; sections without a word cannot be written. */
static const char *const section_words[MKTO_CONFIG_SECTION_COUNT] = {
    [MKTO_CONFIG_SECTION_MARKETO] = "marketo", [MKTO_CONFIG_SECTION_SPOOL] = "spool",
    [MKTO_CONFIG_SECTION_COURIER] = "courier", [MKTO_CONFIG_SECTION_FIELDS] = "fields",
    [MKTO_CONFIG_SECTION_SOURCES] = "sources",
};

__attribute__((format(printf, 4, 5))) static void
complain(struct mkto_config_draft *draft, unsigned line, const char *key, const char *format, ...)
{
    char reason[MKTO_ERROR_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    mkto_config_report_add(&draft->report, line, key, reason);
}

bool mkto_config_draft_is_near(const char *a, const char *b)
{
    size_t la = strlen(a);
    size_t lb = strlen(b);
    size_t same = 0;

    while (a[same] != '\0' && a[same] == b[same]) {
        same++;
    }
    if (la == lb + 1) {
        return strcmp(a + same + 1, b + same) == 0;
    }
    if (lb == la + 1) {
        return strcmp(a + same, b + same + 1) == 0;
    }
    if (la != lb || same == la) {
        return false;
    }
    if (strcmp(a + same + 1, b + same + 1) == 0) {
        return true;
    }
    return a[same] == b[same + 1] && a[same + 1] == b[same] &&
           strcmp(a + same + 2, b + same + 2) == 0;
}

unsigned mkto_config_draft_line(const unsigned *lines, const char *section, const char *key)
{
    size_t count;
    const struct mkto_config_key *keys = mkto_config_keys(&count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].key, key) == 0) {
            return lines[i];
        }
    }
    return 0;
}

/* Gives base its defaults; those that are made of other keys come with the checks. */
static void set_defaults(struct mkto_config_draft *draft, const char *section, void *base)
{
    size_t count;
    const struct mkto_config_key *keys = mkto_config_keys(&count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].section, section) == 0 && keys[i].fallback[0] != '\0' &&
            strchr(keys[i].fallback, '<') == NULL) {
            mkto_config_value_set(&keys[i], keys[i].fallback, base, draft->arena, NULL);
        }
    }
}

/* ---- sections ---- */

static enum mkto_config_section find_section(const char *word)
{
    for (int i = MKTO_CONFIG_SECTION_MARKETO; i < MKTO_CONFIG_SECTION_COUNT; i++) {
        if (strcmp(word, section_words[i]) == 0) {
            return (enum mkto_config_section)i;
        }
    }
    return MKTO_CONFIG_SECTION_NONE;
}

static void complain_section(struct mkto_config_draft *draft, unsigned line, const char *word)
{
    for (int i = MKTO_CONFIG_SECTION_MARKETO; i < MKTO_CONFIG_SECTION_COUNT; i++) {
        if (mkto_config_draft_is_near(word, section_words[i])) {
            complain(draft, line, NULL, "unknown section [%s]; did you mean [%s]?", word,
                     section_words[i]);
            return;
        }
    }
    complain(draft, line, NULL,
             "unknown section [%s]; there are [marketo], [marketo NAME], [spool], [courier], "
             "[fields], [fields NAME] and [sources]",
             word);
}

static int begin_subscription(struct mkto_config_draft *draft, unsigned line, const char *name)
{
    size_t key_count;
    struct mkto_subscription *added = &draft->subscriptions[draft->subscription_count];
    unsigned *lines;

    for (size_t i = 0; i < draft->subscription_count; i++) {
        if (strcmp(draft->subscriptions[i].name, name) == 0) {
            complain(draft, line, NULL, "this section stands in line %u already",
                     draft->subscriptions[i].line);
            return -1;
        }
    }
    if (draft->subscription_count == MKTO_CONFIG_SUBSCRIPTIONS_MAX) {
        complain(draft, line, NULL, "more than %d [marketo NAME] sections",
                 MKTO_CONFIG_SUBSCRIPTIONS_MAX);
        return -1;
    }
    mkto_config_keys(&key_count);
    lines = mkto_config_arena_get(draft->arena, key_count * sizeof(*lines));
    added->name = mkto_config_arena_text(draft->arena, name, strlen(name));
    if (lines == NULL || added->name == NULL) {
        return -1;
    }
    added->line = line;
    draft->subscription_lines[draft->subscription_count++] = lines;
    set_defaults(draft, "marketo", added);
    return 0;
}

static int begin_fields(struct mkto_config_draft *draft, unsigned line, const char *name)
{
    struct mkto_config_draft_fields *added = &draft->fields[draft->fields_count];

    for (size_t i = 0; i < draft->fields_count; i++) {
        if (strcmp(draft->fields[i].name, name) == 0) {
            complain(draft, line, NULL, "this section stands in line %u already",
                     draft->fields[i].line);
            return -1;
        }
    }
    if (draft->fields_count == MKTO_CONFIG_SUBSCRIPTIONS_MAX + 1) {
        complain(draft, line, NULL, "more than %d [fields NAME] sections",
                 MKTO_CONFIG_SUBSCRIPTIONS_MAX);
        return -1;
    }
    added->name = mkto_config_arena_text(draft->arena, name, strlen(name));
    if (added->name == NULL) {
        return -1;
    }
    added->line = line;
    added->first = draft->row_count;
    draft->fields_count++;
    return 0;
}

static int begin_plain(struct mkto_config_draft *draft, unsigned line,
                       enum mkto_config_section section, const char *name)
{
    if (name[0] != '\0') {
        complain(draft, line, NULL, "[%s] takes no name", section_words[section]);
        return -1;
    }
    if (draft->section_lines[section] != 0) {
        complain(draft, line, NULL, "this section stands in line %u already",
                 draft->section_lines[section]);
        return -1;
    }
    draft->section_lines[section] = line;
    return 0;
}

static int begin_section(struct mkto_config_draft *draft, unsigned line,
                         enum mkto_config_section section, const char *name)
{
    struct mkto_error reason = MKTO_ERROR_INIT;

    if (section != MKTO_CONFIG_SECTION_MARKETO && section != MKTO_CONFIG_SECTION_FIELDS) {
        return begin_plain(draft, line, section, name);
    }
    if (name[0] != '\0' && mkto_config_value_name(name, &reason) != 0) {
        complain(draft, line, NULL, "%s", reason.text);
        return -1;
    }
    return section == MKTO_CONFIG_SECTION_MARKETO ? begin_subscription(draft, line, name)
                                                  : begin_fields(draft, line, name);
}

/* header is "marketo" or "marketo NAME". */
static void on_section(void *ctx, unsigned line, const char *header)
{
    struct mkto_config_draft *draft = ctx;
    size_t len = strcspn(header, " \t");
    char word[MKTO_CONFIG_NAME_MAX + 1];
    const char *name = header + len + strspn(header + len, " \t");

    draft->section = MKTO_CONFIG_SECTION_SKIP;
    snprintf(word, sizeof(word), "%.*s", (int)len, header);
    if (find_section(word) == MKTO_CONFIG_SECTION_NONE) {
        complain_section(draft, line, word);
    } else if (begin_section(draft, line, find_section(word), name) == 0) {
        draft->section = find_section(word);
    }
}

/* ---- pairs ---- */

static void complain_key(struct mkto_config_draft *draft, unsigned line, const char *key)
{
    const char *section = section_words[draft->section];
    size_t count;
    size_t len = strlen(key);
    const struct mkto_config_key *keys = mkto_config_keys(&count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].section, section) == 0 && mkto_config_draft_is_near(key, keys[i].key)) {
            complain(draft, line, key, "unknown key; did you mean %s?", keys[i].key);
            return;
        }
        if (keys[i].kind == MKTO_CONFIG_KIND_SECRET && strncmp(keys[i].key, key, len) == 0 &&
            strcmp(keys[i].key + len, "_file") == 0) {
            complain(draft, line, key,
                     "unknown key; a secret stands in a file of its own, named by %s", keys[i].key);
            return;
        }
        if (strcmp(keys[i].key, key) == 0) {
            complain(draft, line, key, "this key belongs in [%s], not in [%s]", keys[i].section,
                     section);
            return;
        }
    }
    complain(draft, line, key, "unknown key in [%s]", section);
}

static void set_key(struct mkto_config_draft *draft, unsigned line, const char *name,
                    const char *value, unsigned *lines, void *base)
{
    struct mkto_error reason = MKTO_ERROR_INIT;
    size_t count;
    const struct mkto_config_key *keys = mkto_config_keys(&count);
    size_t i = 0;

    while (i < count && (strcmp(keys[i].section, section_words[draft->section]) != 0 ||
                         strcmp(keys[i].key, name) != 0)) {
        i++;
    }
    if (i == count) {
        complain_key(draft, line, name);
        return;
    }
    if (lines[i] != 0) {
        complain(draft, line, name, "stands in line %u already", lines[i]);
        return;
    }
    lines[i] = line;
    if (value[0] == '\0') {
        complain(draft, line, name, "has no value");
    } else if (mkto_config_value_set(&keys[i], value, base, draft->arena, &reason) != 0) {
        complain(draft, line, name, "%s", reason.text);
    }
}

static void add_field(struct mkto_config_draft *draft, unsigned line, const char *trait,
                      const char *name)
{
    struct mkto_config_draft_fields *fields = &draft->fields[draft->fields_count - 1];
    struct mkto_config_field *row = &draft->rows[draft->row_count];
    struct mkto_error reason = MKTO_ERROR_INIT;

    for (size_t i = fields->first; i < draft->row_count; i++) {
        if (strcmp(draft->rows[i].trait, trait) == 0) {
            complain(draft, line, trait, "stands in line %u already", draft->rows[i].line);
            return;
        }
    }
    if (mkto_config_value_word(name, MKTO_CONFIG_TEXT_MAX, &reason) != 0) {
        complain(draft, line, trait, "%s", reason.text);
        return;
    }
    if (strpbrk(name, "\"'") != NULL) {
        complain(draft, line, trait, "values are written without quotes");
        return;
    }
    if (draft->row_count == MKTO_CONFIG_FIELDS_MAX) {
        complain(draft, line, trait, "more than %d rows in all [fields] sections",
                 MKTO_CONFIG_FIELDS_MAX);
        return;
    }
    row->trait = mkto_config_arena_text(draft->arena, trait, strlen(trait));
    row->name = mkto_config_arena_text(draft->arena, name, strlen(name));
    row->line = line;
    if (row->trait != NULL && row->name != NULL) {
        draft->row_count++;
        fields->count++;
    }
}

/* Why a source cannot be added, with its key or name kept out of the words: a write key may be
 * private. */
static int check_source(const struct mkto_config_draft *draft, const char *name, const char *key,
                        struct mkto_error *reason)
{
    for (size_t i = 0; i < draft->source_count; i++) {
        if (strcmp(draft->sources[i].name, name) == 0) {
            return mkto_error_set(reason, "stands in line %u already", draft->sources[i].line);
        }
        if (strcmp(draft->sources[i].key, key) == 0) {
            return mkto_error_set(reason, "has the same write key as %s in line %u",
                                  draft->sources[i].name, draft->sources[i].line);
        }
    }
    if (key[0] == '\0') {
        return mkto_error_set(reason, "has no write key");
    }
    if (draft->source_count == MKTO_CONFIG_SOURCES_MAX) {
        return mkto_error_set(reason, "more than %d sources", MKTO_CONFIG_SOURCES_MAX);
    }
    if (strpbrk(key, "\"'") != NULL) {
        return mkto_error_set(reason, "values are written without quotes");
    }
    if (mkto_config_value_name(name, reason) != 0) {
        return -1;
    }
    return mkto_config_value_word(key, MKTO_CONFIG_TEXT_MAX, reason);
}

static void add_source(struct mkto_config_draft *draft, unsigned line, const char *name,
                       const char *key)
{
    struct mkto_config_source *source = &draft->sources[draft->source_count];
    struct mkto_error reason = MKTO_ERROR_INIT;

    if (check_source(draft, name, key, &reason) != 0) {
        complain(draft, line, name, "%s", reason.text);
        return;
    }
    source->name = mkto_config_arena_text(draft->arena, name, strlen(name));
    source->key = mkto_config_arena_text(draft->arena, key, strlen(key));
    source->line = line;
    if (source->name != NULL && source->key != NULL) {
        draft->source_count++;
    }
}

static void on_pair(void *ctx, unsigned line, const char *key, const char *value)
{
    struct mkto_config_draft *draft = ctx;
    size_t last = draft->subscription_count - 1; /* in a [marketo] section there is one */

    switch (draft->section) {
    case MKTO_CONFIG_SECTION_NONE:
        complain(draft, line, key, "stands before any section; begin with [marketo]");
        break;
    case MKTO_CONFIG_SECTION_MARKETO:
        set_key(draft, line, key, value, draft->subscription_lines[last],
                &draft->subscriptions[last]);
        break;
    case MKTO_CONFIG_SECTION_SPOOL:
    case MKTO_CONFIG_SECTION_COURIER:
        set_key(draft, line, key, value, draft->key_lines, draft->config);
        break;
    case MKTO_CONFIG_SECTION_FIELDS: add_field(draft, line, key, value); break;
    case MKTO_CONFIG_SECTION_SOURCES: add_source(draft, line, key, value); break;
    default: break;
    }
}

static void on_mistake(void *ctx, unsigned line, const char *reason)
{
    struct mkto_config_draft *draft = ctx;

    mkto_config_report_add(&draft->report, line, NULL, reason);
}

int mkto_config_draft_read(struct mkto_config_draft *draft, struct mkto_slice text)
{
    const struct mkto_config_lines_sink sink = {draft, on_section, on_pair, on_mistake};
    struct mkto_config_arena *arena = draft->arena;
    size_t keys;

    mkto_config_keys(&keys);
    draft->key_lines = mkto_config_arena_get(arena, keys * sizeof(unsigned));
    draft->subscriptions = mkto_config_arena_get(arena, MKTO_CONFIG_SUBSCRIPTIONS_MAX *
                                                            sizeof(struct mkto_subscription));
    draft->subscription_lines =
        mkto_config_arena_get(arena, MKTO_CONFIG_SUBSCRIPTIONS_MAX * sizeof(unsigned *));
    draft->rows =
        mkto_config_arena_get(arena, MKTO_CONFIG_FIELDS_MAX * sizeof(struct mkto_config_field));
    draft->fields = mkto_config_arena_get(arena, (MKTO_CONFIG_SUBSCRIPTIONS_MAX + 1) *
                                                     sizeof(struct mkto_config_draft_fields));
    draft->sources =
        mkto_config_arena_get(arena, MKTO_CONFIG_SOURCES_MAX * sizeof(struct mkto_config_source));
    if (arena->exhausted) {
        return -1;
    }
    set_defaults(draft, "spool", draft->config);
    set_defaults(draft, "courier", draft->config);
    mkto_config_lines(text, &sink);
    return arena->exhausted ? -1 : 0;
}
