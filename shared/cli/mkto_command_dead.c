#include "mkto_command.h"

#include <apr_strings.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "mkto_clerk.h"
#include "mkto_config_value.h"
#include "mkto_dead.h"
#include "mkto_input.h"
#include "mkto_layout.h"
#include "mkto_letter.h"
#include "mkto_option.h"
#include "mkto_person.h"
#include "mkto_tally.h"

#define AGE_MAX_MS (3650 * 86400000LL)

struct asking {
    const struct mkto_command *self;
    const char *verb;
    const char *reason;
    const char *older_than;
    const char *newer_than;
    const char *lead;
    const char *subscription;
    int64_t before_ms; /* 0: no limit */
    int64_t since_ms;
    const int64_t *ids;
    int id_count;
    bool apply;
    bool json;
    struct mkto_clerk clerk;
    int64_t count;
    int64_t damaged;
    struct mkto_tally reasons;
    struct mkto_note missing;
    apr_pool_t *pool;
    apr_pool_t *scratch; /* a question and its answer */
};

static int64_t number(const struct mkto_json *object, const char *key)
{
    return mkto_desk_number(object, key, 0);
}

/* ---- questions ---- */

static void add_filter(const struct asking *asking, struct mkto_note *question)
{
    const struct {
        const char *key;
        const char *text;
    } words[] = {
        {"reason", asking->reason},
        {"subscription", asking->subscription},
        {"lead", asking->lead},
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (words[i].text != NULL) {
            mkto_note_text(question, words[i].key, words[i].text);
        }
    }
    if (asking->before_ms != 0) {
        mkto_note_number(question, "before", asking->before_ms);
    }
    if (asking->since_ms != 0) {
        mkto_note_number(question, "since", asking->since_ms);
    }
}

static struct mkto_note new_question(struct asking *asking)
{
    apr_pool_clear(asking->scratch);
    struct mkto_note question = mkto_note_object(asking->scratch);

    mkto_note_text(&question, "do", asking->verb);
    mkto_note_bool(&question, "apply", asking->apply);
    return question;
}

/* The answer to one question; NULL when it has been said why there is none. */
static const struct mkto_json *ask(struct asking *asking, const struct mkto_note *question)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    const struct mkto_json *answer =
        mkto_clerk_ask(&asking->clerk, "dead", question, &err, asking->scratch);

    if (answer == NULL && asking->apply && asking->count > 0) {
        mkto_command_fail(asking->self, "%s (%" PRId64 " were done before)", err.text,
                          asking->count);
    } else if (answer == NULL) {
        mkto_command_fail(asking->self, "%s", err.text);
    }
    return answer;
}

static void add_up(struct asking *asking, const struct mkto_json *answer)
{
    const struct mkto_json *reasons = mkto_json_get(answer, "reasons");
    const struct mkto_json *missing = mkto_json_get(answer, "missing");

    asking->count += number(answer, "count");
    asking->damaged += number(answer, "damaged");
    for (const struct mkto_json *each = reasons == NULL ? NULL : reasons->first; each != NULL;
         each = each->next) {
        mkto_tally_add(&asking->reasons, each->key.data, strtoull(each->text.data, NULL, 10), 0);
    }
    for (const struct mkto_json *each = missing == NULL ? NULL : missing->first; each != NULL;
         each = each->next) {
        mkto_note_digits(&asking->missing, NULL, each->text.data);
    }
}

typedef void take_answer(struct asking *asking, const struct mkto_json *answer);

/* Everything that passes the filter, part by part. */
static int ask_by_filter(struct asking *asking, take_answer *take)
{
    int64_t after = 0;
    int64_t until = 0;
    bool more = true;

    while (more) {
        struct mkto_note question = new_question(asking);

        add_filter(asking, &question);
        mkto_note_number(&question, "after", after);
        if (until != 0) {
            mkto_note_number(&question, "until", until);
        }
        const struct mkto_json *answer = ask(asking, &question);
        if (answer == NULL) {
            return -1;
        }
        take(asking, answer);
        after = number(answer, "after");
        until = number(answer, "until");
        more = mkto_desk_flag(answer, "more");
    }
    return 0;
}

static int ask_by_ids(struct asking *asking, take_answer *take)
{
    for (int from = 0; from < asking->id_count; from += MKTO_DEAD_IDS_MAX) {
        struct mkto_note question = new_question(asking);
        struct mkto_note ids = mkto_note_array(asking->scratch);

        for (int i = from; i < asking->id_count && i < from + MKTO_DEAD_IDS_MAX; i++) {
            mkto_note_number(&ids, NULL, asking->ids[i]);
        }
        mkto_note_add(&question, "ids", &ids);
        const struct mkto_json *answer = ask(asking, &question);
        if (answer == NULL) {
            return -1;
        }
        take(asking, answer);
    }
    return 0;
}

/* ---- list ---- */

static void take_list(struct asking *asking, const struct mkto_json *answer)
{
    const struct mkto_json *letters = mkto_json_get(answer, "letters");

    for (const struct mkto_json *each = letters == NULL ? NULL : letters->first; each != NULL;
         each = each->next) {
        if (asking->json) {
            mkto_command_line(mkto_json_text(each, asking->scratch));
        } else {
            mkto_letter_line(stdout, each);
        }
    }
    add_up(asking, answer);
}

static void print_reasons(const struct asking *asking)
{
    for (unsigned i = 0; i < asking->reasons.count; i++) {
        const struct mkto_tally_row *row = &asking->reasons.rows[i];

        fputs(i == 0 ? ": " : ", ", stdout);
        mkto_layout_text(stdout, mkto_slice_str(row->word));
        printf(" %" PRIu64, row->count);
    }
}

static int list(struct asking *asking)
{
    if (ask_by_filter(asking, take_list) != 0) {
        return MKTO_EXIT_COULD_NOT;
    }
    if (!asking->json) {
        printf("%" PRId64 " dead letter%s", asking->count, asking->count == 1 ? "" : "s");
        print_reasons(asking);
        putchar('\n');
    }
    return MKTO_EXIT_FINE;
}

/* ---- show ---- */

static int show(struct asking *asking)
{
    struct mkto_note question = new_question(asking);
    struct mkto_note ids = mkto_note_array(asking->scratch);

    if (asking->id_count != 1) {
        return mkto_command_fail(asking->self, "show takes one ID; see marketo dead --help");
    }
    mkto_note_number(&ids, NULL, asking->ids[0]);
    mkto_note_add(&question, "ids", &ids);
    const struct mkto_json *answer = ask(asking, &question);
    if (answer == NULL) {
        return MKTO_EXIT_COULD_NOT;
    }
    const struct mkto_json *letter = mkto_json_get(answer, "letter");
    if (letter == NULL || letter->type != MKTO_JSON_OBJECT) {
        mkto_command_fail(asking->self, "there is no dead letter %" PRId64, asking->ids[0]);
        return MKTO_EXIT_FOUND;
    }
    if (asking->json) {
        mkto_letter_json(stdout, letter, asking->scratch);
    } else {
        mkto_letter_whole(stdout, letter, asking->scratch);
    }
    return MKTO_EXIT_FINE;
}

/* ---- replay and purge ---- */

static void print_result_json(const struct asking *asking)
{
    struct mkto_note result = mkto_note_object(asking->pool);
    struct mkto_note reasons = mkto_note_object(asking->pool);

    for (unsigned i = 0; i < asking->reasons.count; i++) {
        mkto_note_number(&reasons, asking->reasons.rows[i].word,
                         (int64_t)asking->reasons.rows[i].count);
    }
    mkto_note_text(&result, "do", asking->verb);
    mkto_note_bool(&result, "applied", asking->apply);
    mkto_note_number(&result, "count", asking->count);
    mkto_note_add(&result, "reasons", &reasons);
    mkto_note_number(&result, "damaged", asking->damaged);
    mkto_note_add(&result, "missing", &asking->missing);
    mkto_command_line(mkto_note_json(&result));
}

static void print_result(const struct asking *asking)
{
    const bool replay = strcmp(asking->verb, "replay") == 0;
    const char *done = replay ? "replayed" : "removed for good";

    printf("%" PRId64 " dead letter%s %s %s", asking->count, asking->count == 1 ? "" : "s",
           !asking->apply       ? "would be"
           : asking->count == 1 ? "was"
                                : "were",
           done);
    print_reasons(asking);
    putchar('\n');
    if (asking->damaged > 0) {
        printf("%" PRId64 " damaged: cannot be replayed, and stay\n", asking->damaged);
    }
    for (const struct mkto_json *each = asking->missing.node->first; each != NULL;
         each = each->next) {
        printf("there is no dead letter %s\n", each->text.data);
    }
    if (!asking->apply && asking->count > 0) {
        puts("Nothing was changed; --apply does it.");
    } else if (replay && asking->count > 0 && asking->clerk.inquiry == NULL) {
        puts("No courier runs: they wait until one does.");
    }
}

static int deal(struct asking *asking)
{
    const int rc =
        asking->id_count > 0 ? ask_by_ids(asking, add_up) : ask_by_filter(asking, add_up);

    if (rc != 0) {
        return MKTO_EXIT_COULD_NOT;
    }
    if (asking->json) {
        print_result_json(asking);
    } else {
        print_result(asking);
    }
    return asking->missing.node->count > 0 ? MKTO_EXIT_FOUND : MKTO_EXIT_FINE;
}

/* ---- the command line ---- */

static const struct {
    const char *name;
    bool ids;
    bool filter;
    bool apply;
    int (*run)(struct asking *asking);
} verbs[] = {
    {"list", false, true, false, list},
    {"show", true, false, false, show},
    {"replay", true, true, true, deal},
    {"purge", true, true, true, deal},
};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static bool has_filter(const struct asking *asking)
{
    return asking->reason != NULL || asking->older_than != NULL || asking->newer_than != NULL ||
           asking->lead != NULL || asking->subscription != NULL;
}

static int read_ids(struct asking *asking, int count, char **arguments)
{
    int64_t *ids = apr_palloc(asking->pool, (size_t)(count + 1) * sizeof(*ids));

    for (int i = 0; i < count; i++) {
        if (mkto_option_number(arguments[i], 1, &ids[i]) != 0) {
            mkto_command_fail(asking->self, "%s is no ID of a dead letter", arguments[i]);
            return -1;
        }
    }
    asking->ids = ids;
    asking->id_count = count;
    return 0;
}

/* When something of that age died; 0 without one. */
static int read_age(const struct asking *asking, const char *option, const char *text,
                    int64_t *when_ms)
{
    static const struct mkto_config_key key = {
        .value = "duration, 0..3650d", .kind = MKTO_CONFIG_KIND_DURATION, .max = AGE_MAX_MS};
    struct mkto_error err = MKTO_ERROR_INIT;
    int64_t age_ms = 0;

    if (text == NULL) {
        return 0;
    }
    if (mkto_config_value_set(&key, text, &age_ms, NULL, &err) != 0) {
        mkto_command_fail(asking->self, "--%s: %s", option, err.text);
        return -1;
    }
    *when_ms = mkto_command_now() - age_ms;
    return 0;
}

/* Without an address the filter would let all pass. */
static int read_lead(struct asking *asking, char line[MKTO_INPUT_LINE_MAX])
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_person person;

    asking->lead = mkto_input_word(asking->lead, line);
    if (mkto_person_init(&person, mkto_slice_str(asking->lead), &err) != 0) {
        mkto_command_fail(asking->self, "--lead: %s", err.text);
        return -1;
    }
    return 0;
}

/* Does this verb go with these arguments? */
static int check(const struct asking *asking, size_t verb)
{
    if (asking->id_count > 0 && !verbs[verb].ids) {
        return mkto_command_fail(asking->self, "%s takes no ID", asking->verb);
    }
    if (has_filter(asking) && !verbs[verb].filter) {
        return mkto_command_fail(asking->self, "%s takes no filter", asking->verb);
    }
    if (has_filter(asking) && asking->id_count > 0) {
        return mkto_command_fail(asking->self, "IDs or filters, not both");
    }
    if (asking->apply && !verbs[verb].apply) {
        return mkto_command_fail(asking->self, "%s changes nothing: there is nothing to apply",
                                 asking->verb);
    }
    return MKTO_EXIT_FINE;
}

static int work(struct asking *asking, size_t verb, const char *file, const char *socket)
{
    const struct mkto_config *config = mkto_command_config(file, true);
    int rc = MKTO_EXIT_COULD_NOT;

    if (config == NULL) {
        return rc;
    }
    if (mkto_clerk_open(&asking->clerk, asking->self, config, socket, asking->pool) == 0) {
        rc = verbs[verb].run(asking);
        mkto_clerk_close(&asking->clerk);
    }
    mkto_config_free(config);
    return rc;
}

static int read_arguments(struct asking *asking, int count, char **arguments, size_t *verb)
{
    if (count == 0) {
        return mkto_command_fail(asking->self, "list, show, replay or purge? see marketo dead "
                                               "--help");
    }
    asking->verb = arguments[0];
    for (*verb = 0; *verb < VERBS && strcmp(asking->verb, verbs[*verb].name) != 0;) {
        ++*verb;
    }
    if (*verb == VERBS) {
        return mkto_command_fail(asking->self, "there is no %s; see marketo dead --help",
                                 asking->verb);
    }
    if (read_ids(asking, count - 1, arguments + 1) != 0 ||
        read_age(asking, "older-than", asking->older_than, &asking->before_ms) != 0 ||
        read_age(asking, "newer-than", asking->newer_than, &asking->since_ms) != 0) {
        return MKTO_EXIT_COULD_NOT;
    }
    return check(asking, *verb);
}

static int run(const struct mkto_command *self, int argc, char **argv, apr_pool_t *pool)
{
    const char *file = MKTO_CONFIG_FILE;
    const char *socket = NULL;
    struct asking *asking = apr_pcalloc(pool, sizeof(*asking));
    const struct mkto_option options[] = {
        {"reason", "WORD", "only those for this reason", &asking->reason, NULL},
        {"older-than", "AGE", "only those that died before that: 30m, 12h, 7d", &asking->older_than,
         NULL},
        {"newer-than", "AGE", "only those that died since", &asking->newer_than, NULL},
        {"lead", "EMAIL", "only those of this person; - reads the address from stdin",
         &asking->lead, NULL},
        {"subscription", "NAME", "only those of this [marketo NAME] section", &asking->subscription,
         NULL},
        {"apply", NULL, "do what would be done", NULL, &asking->apply},
        MKTO_OPTION_CONFIG(&file),
        {"socket", "PATH", "the courier's socket; default from the config", &socket, NULL},
        MKTO_OPTION_JSON(&asking->json),
        MKTO_OPTION_END,
    };
    char line[MKTO_INPUT_LINE_MAX];
    size_t verb = 0;
    int first;
    int rc = mkto_option_read(self, options, argc, argv, INT_MAX, &first);

    if (rc >= 0) {
        return rc;
    }
    asking->self = self;
    asking->pool = pool;
    asking->missing = mkto_note_array(pool);
    apr_pool_create(&asking->scratch, pool);
    rc = read_arguments(asking, argc - first, argv + first, &verb);
    if (rc != MKTO_EXIT_FINE) {
        return rc;
    }
    if (asking->lead != NULL && read_lead(asking, line) != 0) {
        return MKTO_EXIT_COULD_NOT;
    }
    return work(asking, verb, file, socket);
}

const struct mkto_command mkto_command_dead = {
    "dead",
    "list|show|replay|purge [ID...] [FILTER...] [--apply] [--json]",
    "events that Marketo refused for good: look, send again, remove",
    "What cannot be delivered is kept as a dead letter, with the reason.\n"
    "  list     one line each: id, when, kind, reason, attempts, lead, what Marketo said\n"
    "  show ID  all of one: the event as it came, times, the request\n"
    "  replay   puts events back into the queue, to be mapped by today's config\n"
    "  purge    removes them for good\n"
    "replay and purge take IDs or filters, and all dead letters without either. They\n"
    "only say what they would do; --apply does it. An event that dies again while a\n"
    "replay goes on is not replayed again.\n"
    "\n"
    "--lead finds the letters that were to be delivered to that person, and those whose\n"
    "event names the address anywhere.\n"
    "\n"
    "Only root and the courier's own user may ask. When no courier runs the command\n"
    "works on the spool itself. Exit code 1: a given ID is not there.\n",
    run,
};
