#include "mkto_command.h"

#include "mkto_courier.h"
#include "mkto_option.h"

static int run(const struct mkto_command *self, int argc, char **argv, apr_pool_t *pool)
{
    struct mkto_courier_options courier = {.config = MKTO_CONFIG_FILE};
    const struct mkto_option options[] = {
        MKTO_OPTION_CONFIG(&courier.config),
        {"socket", "PATH", "listen there; default from the config", &courier.socket, NULL},
        {"spawned", NULL, "started by a web server: detach, leave with the last server", NULL,
         &courier.spawned},
        {"hold", NULL, "accept events, deliver none (for benchmarks)", NULL, &courier.hold},
        MKTO_OPTION_END,
    };
    int first;
    int rc = mkto_option_read(self, options, argc, argv, 0, &first);

    (void)pool;
    return rc >= 0 ? rc : mkto_courier_run(&courier);
}

const struct mkto_command mkto_command_courier = {
    "courier",
    "[--config FILE] [--socket PATH] [--spawned] [--hold]",
    "take events from the web servers and deliver them; runs until told to stop",
    "Takes events from nginx and httpd over a unix socket, keeps them on disk, and\n"
    "brings them to Marketo. One runs per spool: a second one ends at once with\n"
    "exit code 0. It stays in the foreground; SIGTERM ends it within a second,\n"
    "SIGHUP makes it read its config again.\n",
    run,
};
