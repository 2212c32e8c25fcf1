#include "mkto_input.h"

#include <stdio.h>
#include <stdlib.h>

#include "mkto_json.h"

#define STEP 65536 /* bytes of the first buffer; it doubles */

static apr_status_t release(void *data)
{
    free(data);
    return APR_SUCCESS;
}

/* All of stdin, freed with the pool. */
static int read_all(struct mkto_slice *text, struct mkto_error *err, apr_pool_t *pool)
{
    size_t size = STEP;
    size_t len = 0;
    char *data = malloc(size);

    while (data != NULL) {
        len += fread(data + len, 1, size - len, stdin);
        if (len < size) {
            break;
        }
        if (size > MKTO_INPUT_MAX) {
            free(data);
            return mkto_error_set(err, "the input is larger than %u MB", MKTO_INPUT_MAX >> 20);
        }
        char *more = realloc(data, 2 * size);

        if (more == NULL) {
            free(data);
        }
        data = more;
        size *= 2;
    }
    if (data == NULL) {
        return mkto_error_set(err, "out of memory");
    }
    apr_pool_cleanup_register(pool, data, release, apr_pool_cleanup_null);
    *text = (struct mkto_slice){data, len};
    if (len > MKTO_INPUT_MAX) {
        return mkto_error_set(err, "the input is larger than %u MB", MKTO_INPUT_MAX >> 20);
    }
    return ferror(stdin) ? mkto_error_set(err, "the input cannot be read") : 0;
}

static bool is_blank(struct mkto_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (strchr(" \t\r\n", text.data[i]) == NULL || text.data[i] == '\0') {
            return false;
        }
    }
    return true;
}

/* Takes a line off the input. */
static struct mkto_slice take_line(struct mkto_input *input)
{
    const char *end = memchr(input->left.data, '\n', input->left.len);
    size_t len = end == NULL ? input->left.len : (size_t)(end - input->left.data);
    struct mkto_slice line = {input->left.data, len};
    size_t taken = end == NULL ? len : len + 1;

    input->left = (struct mkto_slice){input->left.data + taken, input->left.len - taken};
    return line;
}

int mkto_input_read(struct mkto_input *input, struct mkto_error *err, apr_pool_t *pool)
{
    struct mkto_input ahead;
    struct mkto_slice first = MKTO_SLICE_NONE;
    struct mkto_json *root;
    apr_pool_t *scratch;

    *input = (struct mkto_input){.lines = false};
    if (read_all(&input->left, err, pool) != 0) {
        return -1;
    }
    ahead = *input;
    while (ahead.left.len > 0 && is_blank(first)) {
        first = take_line(&ahead);
    }
    if (apr_pool_create(&scratch, pool) != APR_SUCCESS) {
        return mkto_error_set(err, "out of memory");
    }
    input->lines = mkto_json_parse_list(first, "batch", &root, NULL, scratch) == 0;
    apr_pool_destroy(scratch);
    return 0;
}

bool mkto_input_next(struct mkto_input *input, struct mkto_slice *document)
{
    if (!input->lines) {
        *document = input->left;
        input->left.data += input->left.len;
        input->left.len = 0;
        return !is_blank(*document);
    }
    while (input->left.len > 0) {
        *document = take_line(input);
        if (!is_blank(*document)) {
            return true;
        }
    }
    return false;
}

const char *mkto_input_word(const char *argument, char line[MKTO_INPUT_LINE_MAX])
{
    if (argument == NULL || strcmp(argument, "-") != 0) {
        return argument;
    }
    if (fgets(line, MKTO_INPUT_LINE_MAX, stdin) == NULL) {
        return NULL;
    }
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}
