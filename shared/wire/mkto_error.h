/*
 * mkto_error: what went wrong, in words, in a buffer that the caller owns.
 *
 * The first error is the one that is kept: mkto_error_set on an error that already has text does
 * nothing. A text names the place (field, byte, file and line) and never holds a body, a cookie, an
 * e-mail or a secret.
 */
#ifndef MKTO_ERROR_H
#define MKTO_ERROR_H

#define MKTO_ERROR_MAX 320 /* bytes of text with its NUL; longer ones are cut */

struct mkto_error {
    char text[MKTO_ERROR_MAX]; /* "" while nothing is wrong */
};

#define MKTO_ERROR_INIT                                                                            \
    {                                                                                              \
        {                                                                                          \
            0                                                                                      \
        }                                                                                          \
    }

/* Always returns -1, so that a function can end in `return mkto_error_set(err, "…")`. err may be
 * NULL. */
__attribute__((format(printf, 2, 3))) int mkto_error_set(struct mkto_error *err, const char *format,
                                                         ...);

#endif
