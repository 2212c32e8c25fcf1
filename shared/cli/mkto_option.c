#include "mkto_option.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#define COLUMN 24 /* where the words of the help begin */

static void print_help(const struct mkto_command *self, const struct mkto_option *options)
{
    printf("usage: marketo %s %s\n\n%s\noptions:\n", self->name, self->synopsis, self->text);
    for (; options->name != NULL; options++) {
        char left[64];

        snprintf(left, sizeof(left), "--%s%s%s", options->name, options->value == NULL ? "" : " ",
                 options->value == NULL ? "" : options->value);
        printf("  %-*s %s\n", COLUMN, left, options->help);
    }
    printf("  %-*s %s\n", COLUMN, "--help", "print this");
}

/* getopt's own words name only argv[0]; these name the command. */
static int complain(const struct mkto_command *self, int found, char **argv)
{
    const char *what = found == ':' ? "needs a value" : "is no option of this command, or is cut";

    return mkto_command_fail(self, "%s %s; see marketo %s --help", argv[optind - 1], what,
                             self->name);
}

static int read_options(const struct mkto_command *self, const struct mkto_option *options,
                        const struct option *table, size_t count, int argc, char **argv)
{
    for (;;) {
        int index = 0;
        int found = getopt_long(argc, argv, ":h", table, &index);

        if (found == -1) {
            return -1;
        }
        if (found == 'h' || (found == 0 && (size_t)index == count)) {
            print_help(self, options);
            return MKTO_EXIT_FINE;
        }
        if (found != 0) {
            return complain(self, found, argv);
        }
        if (options[index].text != NULL) {
            *options[index].text = optarg;
        } else {
            *options[index].flag = true;
        }
    }
}

int mkto_option_read(const struct mkto_command *self, const struct mkto_option *options, int argc,
                     char **argv, int max, int *arguments)
{
    struct option table[MKTO_OPTION_MAX + 2] = {{NULL, 0, NULL, 0}};
    size_t count = 0;
    int rc;

    while (count < MKTO_OPTION_MAX && options[count].name != NULL) {
        table[count].name = options[count].name;
        table[count].has_arg = options[count].text == NULL ? no_argument : required_argument;
        count++;
    }
    table[count].name = "help";
    opterr = 0;
    optind = 1;
    rc = read_options(self, options, table, count, argc, argv);
    if (rc >= 0) {
        return rc;
    }
    if (argc - optind > max) {
        return mkto_command_fail(self, "%s is too much; see marketo %s --help", argv[optind + max],
                                 self->name);
    }
    *arguments = optind;
    return -1;
}

int mkto_option_number(const char *text, int64_t min, int64_t *number)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min) {
        return -1;
    }
    *number = value;
    return 0;
}
