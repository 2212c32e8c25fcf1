#include "mkto_trace.h"

#include <apr_strings.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (1u << 20) /* bytes of a file that are looked at together */
#define OVERLAP 4096     /* of two pieces: more than the longest address takes, encoded */

/* 1 it is named, 0, or -1. */
static int look(const struct mkto_person *person, int fd, char *buffer, apr_pool_t *scratch)
{
    size_t kept = 0;
    ssize_t got;

    while ((got = read(fd, buffer + kept, PIECE)) > 0) {
        const struct mkto_slice piece = {buffer, kept + (size_t)got};

        apr_pool_clear(scratch);
        if (mkto_person_in_text(person, piece, scratch)) {
            return 1;
        }
        kept = piece.len < OVERLAP ? piece.len : OVERLAP;
        memmove(buffer, buffer + piece.len - kept, kept);
    }
    return got < 0 ? -1 : 0;
}

/* As look; a file that has gone meanwhile names nobody. */
static int look_at(const struct mkto_person *person, const char *name, char *buffer,
                   apr_pool_t *scratch)
{
    struct stat st;
    int found = 0;

    if (lstat(name, &st) != 0 || !S_ISREG(st.st_mode)) {
        return 0;
    }
    const int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? 0 : -1;
    }
    found = look(person, fd, buffer, scratch);
    close(fd);
    return found;
}

static int look_at_all(const struct mkto_person *person, DIR *dir, const char *path,
                       struct mkto_note *found, struct mkto_error *err, apr_pool_t *pool)
{
    char *buffer = apr_palloc(pool, PIECE + OVERLAP);
    apr_pool_t *scratch;
    const struct dirent *entry;
    int rc = 0;

    apr_pool_create(&scratch, pool);
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        const char *name = apr_pstrcat(pool, path, "/", entry->d_name, NULL);

        rc = look_at(person, name, buffer, scratch);
        if (rc < 0) {
            mkto_error_set(err, "%s: %s", name, strerror(errno));
        } else if (rc > 0) {
            mkto_note_text(found, NULL, name);
            rc = 0;
        }
    }
    apr_pool_destroy(scratch);
    return rc;
}

int mkto_trace_directory(const struct mkto_person *person, const char *path,
                         struct mkto_note *found, struct mkto_error *err, apr_pool_t *pool)
{
    DIR *dir = opendir(path);

    if (dir == NULL) {
        return mkto_error_set(err, "%s: %s", path, strerror(errno));
    }
    const int rc = look_at_all(person, dir, path, found, err, pool);
    closedir(dir);
    return rc;
}
