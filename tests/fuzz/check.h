/*
 * check.h: what a fuzz target asserts. A check that does not hold ends the process, with its place,
 * so that libFuzzer keeps the input and the replay fails.
 */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mkto_error.h"
#include "mkto_slice.h"

#define HOLDS(condition) ((condition) ? (void)0 : check_broken(__FILE__, __LINE__, #condition, ""))
/* The same, with a text that explains. */
#define HOLDS_FOR(condition, text)                                                                 \
    ((condition) ? (void)0 : check_broken(__FILE__, __LINE__, #condition, (text)))

/* What libFuzzer and the replay call. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

_Noreturn void check_broken(const char *file, int line, const char *condition, const char *text);

/* An error has words, on one line. An offset that it names ("at byte 17") is within the input. */
void check_error(const struct mkto_error *err, size_t size);

/* Lies all of it within that memory? Absent slices do. */
bool check_within(struct mkto_slice inner, const void *data, size_t size);

/* No control character but for tabs? */
bool check_one_line(struct mkto_slice text);

/* Cuts the first line off the front of the input. */
struct mkto_slice check_line(struct mkto_slice *rest);

#endif
