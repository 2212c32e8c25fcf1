#include "mkto_result.h"

#include <string.h>

#include "mkto_utf8.h"

/* Copies one character of valid UTF-8, a control character as a blank. */
static size_t copy_char(char *out, const char *text)
{
    uint32_t code;
    size_t size = mkto_utf8_next(text, &code);

    memcpy(out, text, size);
    if (code < 0x20 || code == 0x7f) {
        *out = ' ';
    }
    return size;
}

const char *mkto_result_text(const char *data, size_t len, apr_pool_t *pool)
{
    if (len == 0) {
        return NULL;
    }
    size_t room = len < MKTO_RESULT_TEXT_MAX ? len : MKTO_RESULT_TEXT_MAX;
    char *out = apr_palloc(pool, room + 1);
    /* A character that goes over the edge makes this one stop before it. */
    size_t valid = mkto_utf8_valid((struct mkto_slice){data, room});
    size_t used = 0;

    while (used < room) {
        if (used < valid) {
            used += copy_char(out + used, data + used);
            continue;
        }
        if (room < len && mkto_utf8_valid((struct mkto_slice){data + used, len - used}) > 0) {
            break;
        }
        out[used++] = '?';
        valid = used + mkto_utf8_valid((struct mkto_slice){data + used, room - used});
    }
    out[used] = '\0';
    return out;
}
