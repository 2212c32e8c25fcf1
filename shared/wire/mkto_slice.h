/*
 * mkto_slice: bytes that somebody else owns.
 *
 * A slice never owns memory and need not end in NUL. {NULL, 0} means "absent"; {p, 0} means "there,
 * and empty".
 */
#ifndef MKTO_SLICE_H
#define MKTO_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct mkto_slice {
    const char *data;
    size_t len;
};

#define MKTO_SLICE_NONE ((struct mkto_slice){NULL, 0})
#define MKTO_SLICE_LIT(s) ((struct mkto_slice){(s), sizeof(s) - 1})

static inline struct mkto_slice mkto_slice_str(const char *s)
{
    return (struct mkto_slice){s, s == NULL ? 0 : strlen(s)};
}

static inline bool mkto_slice_eq(struct mkto_slice a, struct mkto_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool mkto_slice_is(struct mkto_slice a, const char *s)
{
    return mkto_slice_eq(a, mkto_slice_str(s));
}

/* ASCII letters of either case are the same. */
bool mkto_slice_eq_fold(struct mkto_slice a, struct mkto_slice b);

static inline bool mkto_slice_is_fold(struct mkto_slice a, const char *s)
{
    return mkto_slice_eq_fold(a, mkto_slice_str(s));
}

/* Whether it begins with that word, in any case. */
bool mkto_slice_begins_fold(struct mkto_slice s, const char *word);

/* Without blanks and tabs at both ends. */
struct mkto_slice mkto_slice_trim(struct mkto_slice s);

/* Cuts what stands before the first `separator` off the front of rest, and the separator; all of
 * it, and rest becomes absent, when there is none. */
static inline struct mkto_slice mkto_slice_cut(struct mkto_slice *rest, char separator)
{
    const char *end =
        rest->len == 0 ? NULL : (const char *)memchr(rest->data, separator, rest->len);
    struct mkto_slice head = *rest;
    if (end == NULL) {
        *rest = MKTO_SLICE_NONE;
        return head;
    }
    head.len = (size_t)(end - rest->data);
    rest->len -= head.len + 1;
    rest->data = end + 1;
    return head;
}

/* Writes it with ASCII letters in lower case, without NUL; returns where it ends. */
char *mkto_slice_lower(struct mkto_slice s, char *out);

/* Without the double quotes around it, when there are both. */
struct mkto_slice mkto_slice_unquote(struct mkto_slice s);

#endif
