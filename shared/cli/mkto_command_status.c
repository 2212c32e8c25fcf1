#include "mkto_command.h"

#include "mkto_inquiry.h"
#include "mkto_layout.h"
#include "mkto_note.h"
#include "mkto_option.h"
#include "mkto_reason.h"
#include "mkto_spool.h"
#include "mkto_summary.h"

struct asking {
    const struct mkto_command *self;
    const struct mkto_config *config;
    const char *socket;
    bool json;
    apr_pool_t *pool;
};

static bool tell(void *ctx, struct mkto_slice text, bool last)
{
    const struct asking *asking = ctx;
    struct mkto_json *root;

    if (text.len == 0) {
        return !last;
    }
    if (asking->json || mkto_json_parse(text, &root, NULL, asking->pool) != 0) {
        mkto_command_line(text);
    } else if (!mkto_summary_print(stdout, root)) {
        mkto_layout_print(stdout, root);
    }
    return !last;
}

static int ask(struct asking *asking, struct mkto_inquiry *inquiry)
{
    struct mkto_error err = MKTO_ERROR_INIT;

    if (mkto_inquiry_ask(inquiry, "status", MKTO_SLICE_NONE, MKTO_INQUIRY_WAIT_MS, tell, asking,
                         &err) != 0) {
        return mkto_command_fail(asking->self, "%s", err.text);
    }
    return MKTO_EXIT_FINE;
}

/* What waits on disk while no courier runs. */
static void describe_spool(const struct asking *asking, struct mkto_spool *spool)
{
    struct mkto_note note = mkto_note_object(asking->pool);
    struct mkto_note inner = mkto_note_object(asking->pool);
    const struct mkto_note dead = mkto_reason_note(spool, NULL, asking->pool);

    mkto_note_bool(&note, "running", false);
    mkto_note_text(&note, "socket", asking->socket);
    mkto_note_text(&inner, "path", asking->config->spool_path);
    mkto_note_number(&inner, "waiting", mkto_spool_waiting(spool));
    mkto_note_number(&inner, "dead", mkto_spool_dead_count(spool));
    mkto_note_add(&inner, "dead_by_reason", &dead);
    mkto_note_number(&inner, "size_bytes", mkto_spool_size(spool));
    mkto_note_add(&note, "spool", &inner);
    if (asking->json) {
        mkto_command_line(mkto_note_json(&note));
    } else {
        printf("No courier answers at %s. What the spool says:\n", asking->socket);
        mkto_layout_print(stdout, inner.node);
    }
}

static int read_spool(const struct asking *asking)
{
    const struct mkto_spool_options options = {
        .path = asking->config->spool_path,
        .create = false, /* this command makes none */
        .max_size = asking->config->spool_max_size,
        .keep_free = asking->config->spool_keep_free,
        .keep_free_percent = asking->config->spool_keep_free_percent,
    };
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_spool_opened opened = {.held = false};
    struct mkto_spool *spool;

    if (mkto_spool_open(&options, mkto_command_now(), &spool, &opened, &err, asking->pool) != 0) {
        return mkto_command_fail(asking->self,
                                 "no courier answers at %s, and the spool cannot be "
                                 "read: %s",
                                 asking->socket, err.text);
    }
    describe_spool(asking, spool);
    mkto_spool_close(spool);
    return MKTO_EXIT_FOUND;
}

static int find(struct asking *asking)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_inquiry *inquiry;

    switch (mkto_inquiry_open(asking->socket, asking->config, &inquiry, &err, asking->pool)) {
    case MKTO_INQUIRY_OPEN: return ask(asking, inquiry);
    case MKTO_INQUIRY_NOBODY: return read_spool(asking);
    default: return mkto_command_fail(asking->self, "%s", err.text);
    }
}

static int run(const struct mkto_command *self, int argc, char **argv, apr_pool_t *pool)
{
    const char *file = MKTO_CONFIG_FILE;
    struct asking asking = {.self = self, .pool = pool};
    const struct mkto_option options[] = {
        MKTO_OPTION_CONFIG(&file),
        {"socket", "PATH", "the courier's socket; default from the config", &asking.socket, NULL},
        MKTO_OPTION_JSON(&asking.json),
        MKTO_OPTION_END,
    };
    int first;
    int rc = mkto_option_read(self, options, argc, argv, 0, &first);

    if (rc >= 0) {
        return rc;
    }
    asking.config = mkto_command_config(file, true);
    if (asking.config == NULL) {
        return MKTO_EXIT_COULD_NOT;
    }
    if (asking.socket == NULL) {
        asking.socket = asking.config->socket;
    }
    rc = find(&asking);
    mkto_config_free(asking.config);
    return rc;
}

const struct mkto_command mkto_command_status = {
    "status",
    "[--config FILE] [--socket PATH] [--json]",
    "what waits, what was delivered, what is paused and why",
    "Asks the courier over its socket. Only root and the courier's own user may ask.\n"
    "When no courier answers it says so, and what the spool holds (exit code 1; 3\n"
    "when there is no spool to read). It never makes a spool.\n",
    run,
};
