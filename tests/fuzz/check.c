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

/* The digits that "at byte" at the text's end names: what stands before may be the input's own
 * words. */
static const char *offset_of(const char *text)
{
    static const char at_byte[] = "at byte ";
    const size_t len = strlen(text);
    size_t digits = 0;
    while (digits < len && text[len - 1 - digits] >= '0' && text[len - 1 - digits] <= '9') {
        digits++;
    }
    const size_t words = sizeof(at_byte) - 1;
    const char *offset = text + len - digits;
    return digits > 0 && len - digits >= words && memcmp(offset - words, at_byte, words) == 0
               ? offset
               : NULL;
}

void check_error(const struct mkto_error *err, size_t size)
{
    const char *offset = offset_of(err->text);

    HOLDS(err->text[0] != '\0');
    HOLDS(memchr(err->text, '\0', sizeof(err->text)) != NULL);
    HOLDS_FOR(check_one_line(mkto_slice_str(err->text)), err->text);
    if (offset != NULL) {
        HOLDS_FOR(strtoull(offset, NULL, 10) <= size, err->text);
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
