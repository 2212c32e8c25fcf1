#include "mkto_command.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int mkto_command_fail(const struct mkto_command *self, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "marketo %s: ", self->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return MKTO_EXIT_COULD_NOT;
}

bool mkto_command_no_file(const char *file)
{
    return strcmp(file, MKTO_CONFIG_FILE) == 0 && access(file, F_OK) != 0 && errno == ENOENT;
}

const struct mkto_config *mkto_command_config(const char *file, bool skip_secret_files)
{
    /* Which uid reads the secrets is the question of `marketo check` alone. */
    const struct mkto_config_options options = {
        .reader = (uid_t)-1,
        .skip_secret_files = skip_secret_files,
    };
    const struct mkto_config *config = mkto_config_read(file, &options, NULL, stderr);

    if (config == NULL && mkto_command_no_file(file)) {
        fputs("    --config FILE names another one\n", stderr);
    }
    return config;
}

const struct mkto_subscription *mkto_command_subscription(const struct mkto_command *self,
                                                          const struct mkto_config *config,
                                                          const char *name)
{
    const struct mkto_subscription *found = mkto_config_subscription(config, mkto_slice_str(name));

    if (found != NULL) {
        return found;
    }
    if (name == NULL) {
        mkto_command_fail(self,
                          "%s has no unnamed [marketo] section; choose one with "
                          "--subscription",
                          config->file);
    } else {
        mkto_command_fail(self, "%s has no [marketo %s] section", config->file, name);
    }
    for (size_t i = 0; i < config->subscription_count; i++) {
        const char *each = config->subscriptions[i].name;

        fprintf(stderr, "    [marketo%s%s] in line %u\n", each[0] == '\0' ? "" : " ", each,
                config->subscriptions[i].line);
    }
    return NULL;
}

int64_t mkto_command_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void mkto_command_line(struct mkto_slice json)
{
    fwrite(json.data, 1, json.len, stdout);
    putchar('\n');
}
