/*
 * A directory of the test's own, below /tmp.
 */
#ifndef TEMP_DIRECTORY_H
#define TEMP_DIRECTORY_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define TEMP_DIRECTORY_MAX 64 /* bytes of its path, with what the test adds */

static inline void temp_directory_make(char path[TEMP_DIRECTORY_MAX])
{
    snprintf(path, TEMP_DIRECTORY_MAX, "/tmp/mkto-test-XXXXXX");
    if (mkdtemp(path) == NULL) {
        abort();
    }
}

static inline int temp_directory_visit(const char *path, const struct stat *st, int type,
                                       struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void temp_directory_remove(const char *path)
{
    nftw(path, temp_directory_visit, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
