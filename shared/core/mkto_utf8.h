/*
 * mkto_utf8: strict UTF-8, as RFC 3629 has it: no overlong forms, no surrogates, nothing over
 * U+10FFFF. (yajl lets all three pass, libxml2 writes nothing that holds one.)
 */
#ifndef MKTO_UTF8_H
#define MKTO_UTF8_H

#include <stdint.h>

#include "mkto_slice.h"

/* Bytes of the longest valid beginning; text.len when all of it is valid. */
size_t mkto_utf8_valid(struct mkto_slice text);

/* Takes one character off the front of valid UTF-8: its length in bytes (1..4), and the character.
 */
size_t mkto_utf8_next(const char *text, uint32_t *character);

#endif
