/*
 * mkto_script: marketo.js, the browser client, as both servers serve it (`GET marketo.js` below the
 * tracking location).
 *
 * The build makes mkto_script.c of shared/web/marketo.js and the files that it imports: bundled and
 * minified by esbuild, then written as an array (build/cmake/MarketoBytes.cmake). All three are
 * static and constant; nobody frees them.
 */
#ifndef MKTO_SCRIPT_H
#define MKTO_SCRIPT_H

#include <stddef.h>

extern const unsigned char mkto_script[]; /* UTF-8, no terminating NUL */
extern const size_t mkto_script_len;      /* bytes */

/* Value of the ETag header, quotes included: "\"0123…\"", 32 hex digits of the content's SHA-256.
 * Strong: the same text is the same bytes. */
extern const char mkto_script_etag[];

#define MKTO_SCRIPT_ETAG_LEN 34 /* bytes of mkto_script_etag without its NUL */

#endif
