/*
 * marketo: the courier and the tools around it (marketo(1)).
 */
#include <apr_general.h>
#include <string.h>

#include "mkto_build.h"
#include "mkto_command.h"

static const struct mkto_command *const commands[] = {
    &mkto_command_courier, &mkto_command_check, &mkto_command_map,  &mkto_command_hash,
    &mkto_command_status,  &mkto_command_tail,  &mkto_command_dead, &mkto_command_forget,
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
    fputs("usage: marketo COMMAND [OPTION]...\n\n"
          "Brings tracking events from nginx and httpd to Marketo.\n\ncommands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++) {
        fprintf(out, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("\nmarketo COMMAND --help tells more. Exit codes: 0 fine, 1 found something, "
          "3 could not run.\n",
          out);
}

static int run(int argc, char **argv, apr_pool_t *pool)
{
    if (argc < 2) {
        print_help(stderr);
        return MKTO_EXIT_COULD_NOT;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("marketo %s (build %llu)\n", MKTO_VERSION, (unsigned long long)MKTO_BUILD);
        return MKTO_EXIT_FINE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return MKTO_EXIT_FINE;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i]->name) == 0) {
            return commands[i]->run(commands[i], argc - 1, argv + 1, pool);
        }
    }
    fprintf(stderr, "marketo: there is no command %s; see marketo --help\n", argv[1]);
    return MKTO_EXIT_COULD_NOT;
}

int main(int argc, char **argv)
{
    apr_pool_t *pool;
    int rc;

    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        fputs("marketo: out of memory\n", stderr);
        return MKTO_EXIT_COULD_NOT;
    }
    rc = run(argc, argv, pool);
    apr_pool_destroy(pool);
    apr_terminate();
    /* A full disk behind a pipe or file must not look like success. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("marketo: the output could not be written\n", stderr);
        return MKTO_EXIT_COULD_NOT;
    }
    return rc;
}
