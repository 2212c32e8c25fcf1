#include "mkto_command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "mkto_inquiry.h"
#include "mkto_layout.h"
#include "mkto_option.h"

struct following {
    const struct mkto_command *self;
    bool json;
    int64_t left; /* lines to print yet; -1: no end */
    apr_pool_t *pool;
};

static int64_t number_of(const struct mkto_json *root, const char *key)
{
    const struct mkto_json *value = mkto_json_get(root, key);

    return value == NULL || value->type != MKTO_JSON_NUMBER ? 0
                                                            : strtoll(value->text.data, NULL, 10);
}

/* A member's text, or "" when it has none. */
static const char *text_of(const struct mkto_json *root, const char *key)
{
    const struct mkto_slice text = mkto_json_string(mkto_json_get(root, key));

    return text.data == NULL ? "" : text.data;
}

static void print_time(int64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    char text[32] = "";
    struct tm tm;

    if (gmtime_r(&seconds, &tm) != NULL) {
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    }
    printf("%s.%03dZ", text, (int)(ms % 1000));
}

/* " word", when there is one. */
static void print_word(const char *text)
{
    if (text[0] != '\0') {
        putchar(' ');
        mkto_layout_text(stdout, mkto_slice_str(text));
    }
}

/* An event has no answer of Marketo's. */
static void print_end(const struct mkto_json *root)
{
    int64_t events = number_of(root, "events");
    int64_t attempts = number_of(root, "attempts");

    if (mkto_json_get(root, "ms") == NULL) {
        putchar('\n');
        return;
    }
    fputs(" (", stdout);
    if (events > 1) {
        printf("%" PRId64 " events, ", events);
    }
    if (attempts > 1) {
        printf("attempt %" PRId64 ", ", attempts);
    }
    printf("%" PRId64 " ms)\n", number_of(root, "ms"));
}

/* 2026-01-02T03:04:05.678Z site identify event 1a2b3c4d accepted
 * 2026-01-02T03:04:06.789Z site identify lead 1a2b3c4d rest retry lock 20106 … (2 events, 35 ms) */
static void print_line(const struct mkto_json *root)
{
    int64_t code = number_of(root, "code");

    print_time(number_of(root, "time"));
    print_word(text_of(root, "subscription"));
    print_word(text_of(root, "source"));
    print_word(text_of(root, "call"));
    print_word(text_of(root, "type"));
    print_word(text_of(root, "lead"));
    print_word(text_of(root, "api"));
    print_word(text_of(root, "verdict"));
    print_word(text_of(root, "reason"));
    if (code != 0) {
        printf(" %" PRId64, code);
    }
    print_word(text_of(root, "text"));
    print_end(root);
}

static void print_text(const struct mkto_json *root)
{
    if (mkto_slice_is(mkto_json_string(mkto_json_get(root, "type")), "lost")) {
        printf("%" PRId64 " lines were lost: they came faster than they were read\n",
               number_of(root, "lines"));
        return;
    }
    print_line(root);
}

static bool tell(void *ctx, struct mkto_slice text, bool last)
{
    struct following *following = ctx;
    struct mkto_json *root;

    if (text.len == 0) {
        return !last;
    }
    if (following->json || mkto_json_parse(text, &root, NULL, following->pool) != 0 ||
        mkto_json_get(root, "type") == NULL) {
        mkto_command_line(text);
    } else {
        print_text(root);
    }
    apr_pool_clear(following->pool);
    fflush(stdout);
    following->left -= following->left > 0 ? 1 : 0;
    return !last && following->left != 0;
}

static int follow(struct following *following, const char *socket, const struct mkto_config *config,
                  apr_pool_t *pool)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_inquiry *inquiry;

    switch (mkto_inquiry_open(socket, config, &inquiry, &err, pool)) {
    case MKTO_INQUIRY_OPEN: break;
    case MKTO_INQUIRY_NOBODY:
        return mkto_command_fail(following->self, "no courier answers at %s", socket);
    default: return mkto_command_fail(following->self, "%s", err.text);
    }
    if (mkto_inquiry_ask(inquiry, "tail", MKTO_SLICE_NONE, -1, tell, following, &err) != 0) {
        return mkto_command_fail(following->self, "%s", err.text);
    }
    return MKTO_EXIT_FINE;
}

static int run(const struct mkto_command *self, int argc, char **argv, apr_pool_t *pool)
{
    const char *file = MKTO_CONFIG_FILE;
    const char *socket = NULL;
    const char *count = NULL;
    struct following following = {.self = self, .left = -1};
    const struct mkto_option options[] = {
        MKTO_OPTION_CONFIG(&file),
        {"socket", "PATH", "the courier's socket; default from the config", &socket, NULL},
        {"count", "N", "end after that many lines", &count, NULL},
        MKTO_OPTION_JSON(&following.json),
        MKTO_OPTION_END,
    };
    const struct mkto_config *config;
    int first;
    int rc = mkto_option_read(self, options, argc, argv, 0, &first);

    if (rc >= 0) {
        return rc;
    }
    if (count != NULL && mkto_option_number(count, 1, &following.left) != 0) {
        return mkto_command_fail(self, "--count is a whole number from 1 on");
    }
    if (apr_pool_create(&following.pool, pool) != APR_SUCCESS) {
        return mkto_command_fail(self, "out of memory");
    }
    config = mkto_command_config(file, true);
    if (config == NULL) {
        return MKTO_EXIT_COULD_NOT;
    }
    rc = follow(&following, socket == NULL ? config->socket : socket, config, pool);
    mkto_config_free(config);
    return rc;
}

const struct mkto_command mkto_command_tail = {
    "tail",
    "[--config FILE] [--socket PATH] [--count N] [--json]",
    "each event and each verdict as it falls",
    "Prints a line for each event as it is taken (or filtered, rejected, known already):\n"
    "time, source, type, lead (the first digits of its hash), what became of it; and a\n"
    "line for each delivery as Marketo answers it: the same of the first of its events,\n"
    "kind, API, verdict, what Marketo said, and in how many ms. The source is the name of\n"
    "its write key in [sources], else browser or server. It goes on until Ctrl-C, --count\n"
    "or the end of the courier (exit code 3). Only root and the courier's own user may\n"
    "listen; a listener that does not keep up loses lines, and is told how many.\n",
    run,
};
