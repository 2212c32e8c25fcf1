#include "check.h"

#include <stdio.h>
#include <stdlib.h>

void check_broken(const char *file, int line, const char *condition, const char *text)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n%s%s", file, line, condition, text,
            text[0] == '\0' ? "" : "\n");
    abort();
}

bool check_one_line(struct mkto_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (((unsigned char)text.data[i] < 0x20 && text.data[i] != '\t') || text.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

void check_error(const struct mkto_error *err, size_t size)
{
    static const char at_byte[] = "at byte ";
    const char *offset = strstr(err->text, at_byte);

    HOLDS(err->text[0] != '\0');
    HOLDS(memchr(err->text, '\0', sizeof(err->text)) != NULL);
    HOLDS_FOR(check_one_line(mkto_slice_str(err->text)), err->text);
    if (offset != NULL && offset[sizeof(at_byte) - 1] >= '0' &&
        offset[sizeof(at_byte) - 1] <= '9') {
        HOLDS_FOR(strtoull(offset + sizeof(at_byte) - 1, NULL, 10) <= size, err->text);
    }
}

bool check_within(struct mkto_slice inner, const void *data, size_t size)
{
    const uintptr_t start = (uintptr_t)data;
    const uintptr_t from = (uintptr_t)inner.data;
    return inner.data == NULL
               ? inner.len == 0
               : from >= start && from - start <= size && inner.len <= size - (from - start);
}

struct mkto_slice check_line(struct mkto_slice *rest)
{
    return mkto_slice_cut(rest, '\n');
}
