/*
 * mkto_trace: is a person named in any file of a directory? Looks at the bytes of files, whatever
 * they are, as somebody would who has stolen the disk.
 */
#ifndef MKTO_TRACE_H
#define MKTO_TRACE_H

#include "mkto_note.h"
#include "mkto_person.h"

/* Adds the paths of the files that name the person to the array. Returns 0, or -1 when a file could
 * not be read. */
int mkto_trace_directory(const struct mkto_person *person, const char *path,
                         struct mkto_note *found, struct mkto_error *err, apr_pool_t *pool);

#endif
