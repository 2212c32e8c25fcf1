#include "mkto_refused.h"

#include <stdlib.h>
#include <string.h>

bool mkto_refused_has(const struct mkto_refused *refused, const char *name)
{
    for (unsigned i = 0; i < refused->count; i++) {
        if (strcmp(refused->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool mkto_refused_add(struct mkto_refused *refused, const char *name)
{
    if (refused->count == MKTO_REFUSED_MAX || mkto_refused_has(refused, name)) {
        return false;
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        return false;
    }
    refused->names[refused->count++] = copy;
    return true;
}

void mkto_refused_clear(struct mkto_refused *refused)
{
    for (unsigned i = 0; i < refused->count; i++) {
        free(refused->names[i]);
    }
    refused->count = 0;
    refused->said = 0;
}

bool mkto_refused_say(struct mkto_refused *refused, uint64_t now)
{
    if (refused->said != 0 && now - refused->said < MKTO_REFUSED_SAY_MS) {
        return false;
    }
    refused->said = now == 0 ? 1 : now;
    return true;
}
