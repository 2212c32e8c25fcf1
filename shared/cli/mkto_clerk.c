#include "mkto_clerk.h"

#include <apr_strings.h>

#include "mkto_dead.h"
#include "mkto_forget.h"

static int open_spool(struct mkto_clerk *clerk, const char *socket)
{
    const struct mkto_config *config = clerk->config;
    const struct mkto_spool_options options = {
        .path = config->spool_path,
        .create = false, /* this command makes none */
        .max_size = config->spool_max_size,
        .keep_free = config->spool_keep_free,
        .keep_free_percent = config->spool_keep_free_percent,
    };
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_spool_opened opened = {.held = false};

    if (mkto_spool_open(&options, mkto_command_now(), &clerk->spool, &opened, &err, clerk->pool) !=
        0) {
        clerk->spool = NULL;
        mkto_command_fail(clerk->self,
                          "no courier answers at %s, and the spool cannot be opened: %s", socket,
                          err.text);
        return -1;
    }
    return 0;
}

int mkto_clerk_open(struct mkto_clerk *clerk, const struct mkto_command *self,
                    const struct mkto_config *config, const char *socket, apr_pool_t *pool)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_inquiry *inquiry = NULL;

    *clerk = (struct mkto_clerk){.self = self, .config = config, .pool = pool};
    socket = socket == NULL ? config->socket : socket;
    switch (mkto_inquiry_open(socket, config, &inquiry, &err, pool)) {
    case MKTO_INQUIRY_OPEN: clerk->inquiry = inquiry; return 0;
    case MKTO_INQUIRY_NOBODY: return open_spool(clerk, socket);
    default: mkto_command_fail(self, "%s", err.text); return -1;
    }
}

void mkto_clerk_close(struct mkto_clerk *clerk)
{
    mkto_spool_close(clerk->spool);
    clerk->spool = NULL;
}

/* ---- asking ---- */

struct hearing {
    struct mkto_slice answer;
    apr_pool_t *pool;
};

static bool hear(void *ctx, struct mkto_slice text, bool last)
{
    struct hearing *hearing = ctx;

    hearing->answer.data = apr_pstrmemdup(hearing->pool, text.data, text.len);
    hearing->answer.len = text.len;
    return !last;
}

static struct mkto_slice work(struct mkto_clerk *clerk, const char *what, struct mkto_slice args,
                              apr_pool_t *pool)
{
    const struct mkto_desk desk = {clerk->config, clerk->spool, NULL, &mkto_clock_system};

    return strcmp(what, "dead") == 0 ? mkto_dead_answer(&desk, args, pool)
                                     : mkto_forget_answer(&desk, 0, args, pool);
}

const struct mkto_json *mkto_clerk_ask(struct mkto_clerk *clerk, const char *what,
                                       const struct mkto_note *question, struct mkto_error *err,
                                       apr_pool_t *pool)
{
    const struct mkto_slice args = mkto_note_json(question);
    struct hearing hearing = {MKTO_SLICE_NONE, pool};
    struct mkto_json *root = NULL;

    if (clerk->inquiry == NULL) {
        hearing.answer = work(clerk, what, args, pool);
    } else if (mkto_inquiry_ask(clerk->inquiry, what, args, MKTO_INQUIRY_WAIT_MS, hear, &hearing,
                                err) != 0) {
        return NULL;
    }
    if (mkto_json_parse(hearing.answer, &root, err, pool) != 0) {
        return NULL;
    }
    const char *error = mkto_json_string(mkto_json_get(root, "error")).data;
    if (error != NULL) {
        mkto_error_set(err, "%s", error);
        return NULL;
    }
    return root;
}
