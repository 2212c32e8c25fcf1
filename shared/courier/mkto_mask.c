#include "mkto_mask.h"

#include <stddef.h>
#include <string.h>

static int ends_word(char c)
{
    return c == '\0' || strchr(" \t\r\n'\",;<>()[]{}", c) != NULL;
}

void mkto_mask_addresses(char *text)
{
    if (text == NULL) {
        return;
    }
    for (char *at = strchr(text, '@'); at != NULL; at = strchr(at, '@')) {
        char *start = at;
        while (start > text && !ends_word(start[-1])) {
            *--start = '*';
        }
        while (!ends_word(*at)) {
            *at++ = '*';
        }
    }
}
