/*
 * replay: gives files, and the files of directories, to a fuzz target, without libFuzzer: the
 * corpus as a test that any compiler builds. Prints how many inputs there were.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { INPUT_MAX = 1 << 20 }; /* bytes, as libFuzzer's own limit */

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);

    if (file == NULL || data == NULL) {
        perror(path);
        exit(3);
    }
    const size_t size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    uint8_t *exact = malloc(size + 1);
    if (exact == NULL) {
        exit(3);
    }
    /* at the end of its memory, so that a sanitizer or valgrind sees a read behind it */
    memmove(exact + 1, data, size);
    free(data);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(exact + 1, size);
    free(exact);
    return 1;
}

static int replay(const char *path)
{
    struct dirent **names = NULL;
    const int count = scandir(path, &names, NULL, alphasort);
    int inputs = 0;

    if (count < 0) {
        return replay_file(path);
    }
    for (int i = 0; i < count; i++) {
        char inner[4096];
        if (names[i]->d_name[0] != '.') {
            snprintf(inner, sizeof(inner), "%s/%s", path, names[i]->d_name);
            inputs += replay_file(inner);
        }
        free(names[i]);
    }
    free(names);
    return inputs;
}

int main(int argc, char **argv)
{
    int inputs = 0;
    for (int i = 1; i < argc; i++) {
        inputs += replay(argv[i]);
    }
    printf("%d inputs\n", inputs);
    return inputs == 0 ? 3 : 0;
}
