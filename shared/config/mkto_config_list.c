#include "mkto_config_list.h"

#include "mkto_privacy.h"

#define BLANKS " \t"
#define SHOWN_MAX 40 /* bytes of a wrong value that a reason repeats */

static struct mkto_slice trim(struct mkto_slice text)
{
    while (text.len > 0 && strchr(BLANKS, text.data[0]) != NULL) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && strchr(BLANKS, text.data[text.len - 1]) != NULL) {
        text.len--;
    }
    return text;
}

static bool has_letter(struct mkto_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        const char c = name.data[i];
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) {
            return true;
        }
    }
    return false;
}

static int check_name(struct mkto_slice name, bool fields, const char *const *names, size_t count,
                      struct mkto_error *err)
{
    if (name.len == 0) {
        return mkto_error_set(err, "has an empty name: one comma stands between two names");
    }
    if (name.len > MKTO_CONFIG_TEXT_MAX) {
        return mkto_error_set(err, "holds a name of %zu bytes; at most %d are allowed", name.len,
                              MKTO_CONFIG_TEXT_MAX);
    }
    if (fields && !has_letter(name)) {
        return mkto_error_set(err, "name %zu has neither letter nor digit", count + 1);
    }
    if (count == MKTO_CONFIG_LIST_MAX) {
        return mkto_error_set(err, "holds more than %d names", MKTO_CONFIG_LIST_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (mkto_slice_is(name, names[i])) {
            return mkto_error_set(err, "name %zu stands there twice", i + 1);
        }
    }
    return 0;
}

int mkto_config_list_read(const char *text, bool fields, struct mkto_config_list *list,
                          struct mkto_config_arena *arena, struct mkto_error *err)
{
    const char *names[MKTO_CONFIG_LIST_MAX];
    const char **kept;
    size_t count = 0;

    for (const char *at = text; at != NULL;) {
        size_t len = strcspn(at, ",");
        struct mkto_slice name = trim((struct mkto_slice){at, len});

        if (check_name(name, fields, names, count, err) != 0) {
            return -1;
        }
        names[count] = mkto_config_arena_text(arena, name.data, name.len);
        if (names[count++] == NULL) {
            return mkto_error_set(err, "out of memory");
        }
        at = at[len] == ',' ? at + len + 1 : NULL;
    }
    kept = mkto_config_arena_get(arena, count * sizeof(*kept));
    if (kept == NULL) {
        return mkto_error_set(err, "out of memory");
    }
    memcpy(kept, names, count * sizeof(*kept));
    *list = (struct mkto_config_list){kept, count};
    return 0;
}

int mkto_config_list_respect(const char *text, unsigned *bits, struct mkto_error *err)
{
    const char *at = text;

    *bits = 0;
    while (*(at += strspn(at, BLANKS ",")) != '\0') {
        const struct mkto_slice word = {at, strcspn(at, BLANKS ",")};

        if (mkto_slice_is(word, "gpc")) {
            *bits |= MKTO_RESPECT_GPC;
        } else if (mkto_slice_is(word, "dnt")) {
            *bits |= MKTO_RESPECT_DNT;
        } else {
            const size_t shown = word.len < SHOWN_MAX ? word.len : SHOWN_MAX;

            return mkto_error_set(err, "must be gpc, dnt or both, not \"%.*s\"", (int)shown,
                                  word.data);
        }
        at += word.len;
    }
    return 0;
}
