#include "mkto_error.h"

#include <stdarg.h>
#include <stdio.h>

int mkto_error_set(struct mkto_error *err, const char *format, ...)
{
    if (err == NULL || err->text[0] != '\0') {
        return -1;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof(err->text), format, args);
    va_end(args);
    return -1;
}
