#include "mkto_command.h"

#include <apr_strings.h>
#include <inttypes.h>
#include <unistd.h>

#include "mkto_clerk.h"
#include "mkto_config_value.h"
#include "mkto_forget.h"
#include "mkto_input.h"
#include "mkto_option.h"
#include "mkto_trace.h"

#define WAIT_MS 100000      /* for calls under way: a call to Marketo may take 90 s */
#define WAIT_MAX_MS 3600000 /* the longest --wait */
#define AGAIN_MS 100        /* between two looks at a call that is under way */

enum { EVENTS, TRIED, DEAD, KNOWN, SENT, PASSED, COUNTS };
static const char *const count_names[COUNTS] = {"events", "tried", "dead",
                                                "known",  "sent",  "passed"};

struct asking {
    const struct mkto_command *self;
    const char *email;
    bool apply;
    bool json;
    int64_t wait_ms; /* left */
    struct mkto_clerk clerk;
    int64_t counts[COUNTS];
    struct mkto_note left; /* files that name the person */
    apr_pool_t *pool;
    apr_pool_t *scratch; /* a question and its answer */
};

/* ---- the question, part by part ---- */

struct place {
    char phase[16];
    int64_t after;
    int64_t until; /* 0: not known yet */
};

static const struct mkto_json *ask(struct asking *asking, const struct place *place)
{
    struct mkto_error err = MKTO_ERROR_INIT;

    apr_pool_clear(asking->scratch);
    struct mkto_note question = mkto_note_object(asking->scratch);
    mkto_note_text(&question, "email", asking->email);
    mkto_note_bool(&question, "apply", asking->apply);
    mkto_note_bool(&question, "pass", asking->wait_ms <= 0);
    mkto_note_text(&question, "phase", place->phase);
    mkto_note_number(&question, "after", place->after);
    if (place->until != 0) {
        mkto_note_number(&question, "until", place->until);
    }
    const struct mkto_json *answer =
        mkto_clerk_ask(&asking->clerk, "forget", &question, &err, asking->scratch);
    if (answer == NULL) {
        mkto_command_fail(asking->self, "%s", err.text);
    }
    return answer;
}

static void wait_for_call(struct asking *asking)
{
    usleep(AGAIN_MS * 1000);
    asking->wait_ms -= AGAIN_MS;
}

static int ask_all(struct asking *asking)
{
    struct place place = {"events", 0, 0};
    bool more = true;

    while (more) {
        const struct mkto_json *answer = ask(asking, &place);

        if (answer == NULL) {
            return -1;
        }
        for (int i = 0; i < COUNTS; i++) {
            asking->counts[i] += mkto_desk_number(answer, count_names[i], 0);
        }
        snprintf(place.phase, sizeof(place.phase), "%s", mkto_desk_text(answer, "phase"));
        place.after = mkto_desk_number(answer, "after", 0);
        place.until = mkto_desk_number(answer, "until", 0);
        more = mkto_desk_flag(answer, "more");
        if (mkto_desk_number(answer, "busy", 0) > 0) {
            wait_for_call(asking);
        }
    }
    return 0;
}

/* ---- what is told ---- */

static void print_json(const struct asking *asking)
{
    struct mkto_note result = mkto_note_object(asking->pool);

    mkto_note_bool(&result, "applied", asking->apply);
    for (int i = 0; i < COUNTS; i++) {
        mkto_note_number(&result, count_names[i], asking->counts[i]);
    }
    if (asking->apply) {
        mkto_note_add(&result, "left", &asking->left);
    }
    mkto_command_line(mkto_note_json(&result));
}

static void print_count(int64_t count, const char *one, const char *many, const char *end)
{
    printf("  %" PRId64 " %s%s", count, count == 1 ? one : many, end);
}

static void print_counts(const struct asking *asking)
{
    const int64_t *counts = asking->counts;

    puts(asking->apply ? "Removed:" : "Would be removed:");
    print_count(counts[EVENTS], "waiting event", "waiting events", "");
    printf(counts[TRIED] > 0 ? ", %" PRId64 " of them tried before\n" : "\n", counts[TRIED]);
    print_count(counts[DEAD], "dead letter", "dead letters", "\n");
    print_count(counts[KNOWN], "association with a cookie or lead id",
                "associations with cookies and lead ids", "\n");
    print_count(counts[SENT], "note of the last delivery", "notes of the last delivery", "\n");
}

static void print_rest(const struct asking *asking)
{
    if (!asking->apply) {
        puts("Nothing was changed; --apply does it.");
        return;
    }
    if (asking->counts[PASSED] > 0) {
        print_count(asking->counts[PASSED], "event is", "events are",
                    " in calls to Marketo that do not end: left out; ask again later\n");
    }
    for (const struct mkto_json *each = asking->left.node->first; each != NULL; each = each->next) {
        printf("  %s still names the address\n", each->text.data);
    }
    if (asking->left.node->count == 0) {
        printf("No file in %s names the address.\n", asking->clerk.config->spool_path);
    } else {
        puts("It has come in again, or the file was set aside as damaged (spool.db.bad-*): such\n"
             "a file is yours to delete.");
    }
    puts("Marketo itself is not asked to forget anybody.");
}

/* ---- the command line ---- */

/* Afterwards nobody has to believe it: the files are looked at. */
static int look_for_traces(struct asking *asking)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_person person;

    mkto_person_init(&person, mkto_slice_str(asking->email), &err);
    if (mkto_trace_directory(&person, asking->clerk.config->spool_path, &asking->left, &err,
                             asking->pool) != 0) {
        return mkto_command_fail(asking->self,
                                 "what was found was removed, but the files cannot "
                                 "be looked at: %s",
                                 err.text);
    }
    return MKTO_EXIT_FINE;
}

static int forget(struct asking *asking)
{
    const int rc = ask_all(asking);

    mkto_clerk_close(&asking->clerk);
    if (rc != 0 || (asking->apply && look_for_traces(asking) != MKTO_EXIT_FINE)) {
        return MKTO_EXIT_COULD_NOT;
    }
    if (asking->json) {
        print_json(asking);
    } else {
        print_counts(asking);
        print_rest(asking);
    }
    return asking->counts[PASSED] > 0 || asking->left.node->count > 0 ? MKTO_EXIT_FOUND
                                                                      : MKTO_EXIT_FINE;
}

static int read_wait(struct asking *asking, const char *text)
{
    static const struct mkto_config_key key = {
        .value = "duration, 0..1h", .kind = MKTO_CONFIG_KIND_DURATION, .max = WAIT_MAX_MS};
    struct mkto_error err = MKTO_ERROR_INIT;

    asking->wait_ms = WAIT_MS;
    if (text != NULL && mkto_config_value_set(&key, text, &asking->wait_ms, NULL, &err) != 0) {
        mkto_command_fail(asking->self, "--wait: %s", err.text);
        return -1;
    }
    return 0;
}

static int read_email(struct asking *asking, const char *argument, char line[MKTO_INPUT_LINE_MAX])
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_person person;

    asking->email = mkto_input_word(argument, line);
    if (mkto_person_init(&person, mkto_slice_str(asking->email), &err) != 0) {
        mkto_command_fail(asking->self, "%s", err.text);
        return -1;
    }
    asking->email = apr_pstrmemdup(asking->pool, person.email.data, person.email.len);
    return 0;
}

static int work(struct asking *asking, const char *file, const char *socket)
{
    const struct mkto_config *config = mkto_command_config(file, true);
    int rc = MKTO_EXIT_COULD_NOT;

    if (config == NULL) {
        return rc;
    }
    if (mkto_clerk_open(&asking->clerk, asking->self, config, socket, asking->pool) == 0) {
        rc = forget(asking);
    }
    mkto_config_free(config);
    return rc;
}

static int run(const struct mkto_command *self, int argc, char **argv, apr_pool_t *pool)
{
    const char *file = MKTO_CONFIG_FILE;
    const char *socket = NULL;
    const char *wait = NULL;
    struct asking asking = {.self = self, .left = mkto_note_array(pool), .pool = pool};
    const struct mkto_option options[] = {
        {"apply", NULL, "do it", NULL, &asking.apply},
        {"wait", "TIME", "how long to wait for calls under way; default 100s", &wait, NULL},
        MKTO_OPTION_CONFIG(&file),
        {"socket", "PATH", "the courier's socket; default from the config", &socket, NULL},
        MKTO_OPTION_JSON(&asking.json),
        MKTO_OPTION_END,
    };
    char line[MKTO_INPUT_LINE_MAX];
    int first;
    int rc = mkto_option_read(self, options, argc, argv, 1, &first);

    if (rc >= 0) {
        return rc;
    }
    if (first == argc) {
        return mkto_command_fail(self, "which e-mail? see marketo forget --help");
    }
    if (read_wait(&asking, wait) != 0 || read_email(&asking, argv[first], line) != 0) {
        return MKTO_EXIT_COULD_NOT;
    }
    apr_pool_create(&asking.scratch, pool);
    return work(&asking, file, socket);
}

const struct mkto_command mkto_command_forget = {
    "forget",
    "[--apply] [--wait TIME] [--json] EMAIL | -",
    "remove a person from queue, dead letters and caches",
    "Removes what this host keeps of the person with that e-mail:\n"
    "  - waiting events that name the address: as traits.email, userId, in properties or\n"
    "    context, in the address of a page (also percent-encoded), in any case\n"
    "  - dead letters of the person, by the same rule\n"
    "  - which cookies and lead id belong to the person, and what was last delivered\n"
    "Visits that only carry a cookie do not name anybody, and are delivered. Events of\n"
    "others, of another address that ends in this one too, stay.\n"
    "\n"
    "It only says what it would do; --apply does it. Events that are in a call to Marketo\n"
    "now are waited for; those whose call does not end in time are left out, and that is\n"
    "said. Afterwards the spool's files are cleaned of deleted bytes and searched, and it\n"
    "is said when one still names the address. Marketo itself, its log files and those of\n"
    "the web server are not touched. With - the address is read from stdin.\n"
    "\n"
    "Only root and the courier's own user may ask. When no courier runs the command\n"
    "works on the spool itself. Exit code 1: something of the person is left.\n",
    run,
};
