#include "mkto_slice.h"

#include <strings.h>

bool mkto_slice_eq_fold(struct mkto_slice a, struct mkto_slice b)
{
    return a.len == b.len && (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

bool mkto_slice_begins_fold(struct mkto_slice s, const char *word)
{
    const size_t len = strlen(word);
    return s.len >= len && (len == 0 || strncasecmp(s.data, word, len) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct mkto_slice mkto_slice_trim(struct mkto_slice s)
{
    while (s.len > 0 && is_blank(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

struct mkto_slice mkto_slice_unquote(struct mkto_slice s)
{
    if (s.len >= 2 && s.data[0] == '"' && s.data[s.len - 1] == '"') {
        return (struct mkto_slice){s.data + 1, s.len - 2};
    }
    return s;
}

char *mkto_slice_lower(struct mkto_slice s, char *out)
{
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.data[i];
        *out++ = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    return out;
}
