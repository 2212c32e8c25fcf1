#include "mkto_command.h"

#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mkto_finding.h"
#include "mkto_inspect.h"
#include "mkto_option.h"
#include "mkto_probe.h"

/* Rows of sections whose keys are the operator's own. */
static const struct mkto_config_key open_keys[] = {
    {.section = "fields",
     .key = "TRAIT",
     .value = "Marketo API name, or nothing",
     .fallback = "",
     .help = "field that the trait goes to, where the naming rule does not fit; nothing: the trait "
             "is left out; [fields NAME] for one subscription"},
    {.section = "sources",
     .key = "NAME",
     .value = "write key",
     .fallback = "",
     .help = "key of a server or SDK that may send events; with none, no key is asked for; one in "
             "a page or an app is public"},
};

/* ---- the key table ---- */

/* As Markdown, so that README can hold what is printed here. */
static void print_key(const struct mkto_config_key *key, const char *section)
{
    bool literal = key->fallback[0] != '\0';

    if (section == NULL || strcmp(section, key->section) != 0) {
        printf("%s[%s]\n\n| key | value | default | meaning |\n|---|---|---|---|\n",
               section == NULL ? "" : "\n", key->section);
    }
    printf("| `%s` | %s | %s%s%s | %s |\n", key->key, key->value, literal ? "`" : "",
           literal ? key->fallback : "–", literal ? "`" : "", key->help);
}

static void note_key(struct mkto_note *list, const struct mkto_config_key *key, apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);

    mkto_note_text(&note, "section", key->section);
    mkto_note_text(&note, "key", key->key);
    mkto_note_text(&note, "value", key->value);
    mkto_note_text(&note, "default", key->fallback);
    mkto_note_text(&note, "meaning", key->help);
    mkto_note_add(list, NULL, &note);
}

static int print_keys(bool json, apr_pool_t *pool)
{
    const size_t open_count = sizeof(open_keys) / sizeof(open_keys[0]);
    struct mkto_note list = mkto_note_array(pool);
    const char *section = NULL;
    size_t count;
    const struct mkto_config_key *keys = mkto_config_keys(&count);

    for (size_t i = 0; i < count + open_count; i++) {
        const struct mkto_config_key *key = i < count ? &keys[i] : &open_keys[i - count];

        if (json) {
            note_key(&list, key, pool);
        } else {
            print_key(key, section);
            section = key->section;
        }
    }
    if (json) {
        mkto_command_line(mkto_note_json(&list));
    }
    return MKTO_EXIT_FINE;
}

/* ---- the config ---- */

/* Who reads the secrets: the user given; else, for root, the owner of the spool; else we. */
static int find_reader(const struct mkto_command *self, const char *file, const char *user,
                       uid_t *reader)
{
    const struct mkto_config_options options = {.reader = (uid_t)-1, .skip_secret_files = true};
    const struct mkto_config *config;
    const struct passwd *passwd;
    struct stat st;

    *reader = geteuid();
    if (user != NULL) {
        passwd = getpwnam(user);
        if (passwd == NULL) {
            return mkto_command_fail(self, "there is no user %s", user);
        }
        *reader = passwd->pw_uid;
        return 0;
    }
    config = geteuid() == 0 ? mkto_config_read(file, &options, NULL, NULL) : NULL;
    if (config != NULL && stat(config->spool_path, &st) == 0) {
        *reader = st.st_uid;
    }
    mkto_config_free(config);
    return 0;
}

/* Each mistake of the file as a finding of its own. */
static void add_mistakes(struct mkto_findings *findings, char *all)
{
    char *rest = all;
    char *line;

    while ((line = strtok_r(rest, "\n", &rest)) != NULL) {
        mkto_finding_add(findings, MKTO_FINDING_MISTAKE, "config", "%s", line);
    }
}

static const struct mkto_config *read_config(const char *file, uid_t reader,
                                             struct mkto_findings *findings)
{
    const struct mkto_config_options options = {.reader = reader};
    const struct mkto_config *config;
    char *all = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&all, &size);

    if (stream == NULL) {
        mkto_finding_add(findings, MKTO_FINDING_MISTAKE, "config", "out of memory");
        return NULL;
    }
    config = mkto_config_read(file, &options, NULL, stream);
    fclose(stream);
    if (config == NULL) {
        add_mistakes(findings, all);
        if (mkto_command_no_file(file)) {
            mkto_finding_add(findings, MKTO_FINDING_NOTE, "config",
                             "--config FILE names another one");
        }
    } else {
        mkto_finding_add(findings, MKTO_FINDING_FINE, "config",
                         "%s: %zu subscription%s, %zu write key%s", config->file,
                         config->subscription_count, config->subscription_count == 1 ? "" : "s",
                         config->source_count, config->source_count == 1 ? "" : "s");
    }
    free(all);
    return config;
}

static int check(const char *file, uid_t reader, bool online, struct mkto_findings *findings)
{
    const struct mkto_config *config = read_config(file, reader, findings);

    if (config == NULL) {
        int rc = mkto_finding_end(findings);

        return access(file, R_OK) == 0 ? rc : MKTO_EXIT_COULD_NOT;
    }
    mkto_inspect_secrets(config, reader, findings);
    mkto_inspect_spool(config, reader, findings);
    mkto_inspect_socket(config, findings);
    if (online) {
        mkto_probe(config, findings);
    }
    mkto_config_free(config);
    return mkto_finding_end(findings);
}

static int run(const struct mkto_command *self, int argc, char **argv, apr_pool_t *pool)
{
    const char *file = MKTO_CONFIG_FILE;
    const char *user = NULL;
    bool online = false;
    bool keys = false;
    bool json = false;
    const struct mkto_option options[] = {
        MKTO_OPTION_CONFIG(&file),
        {"user", "NAME", "who the courier runs as; default for root: the spool's owner", &user,
         NULL},
        {"online", NULL, "ask Marketo, too", NULL, &online},
        {"keys", NULL, "print the table of config keys and end", NULL, &keys},
        MKTO_OPTION_JSON(&json),
        MKTO_OPTION_END,
    };
    struct mkto_findings findings;
    uid_t reader;
    int first;
    int rc = mkto_option_read(self, options, argc, argv, 0, &first);

    if (rc >= 0) {
        return rc;
    }
    if (keys) {
        return print_keys(json, pool);
    }
    if (find_reader(self, file, user, &reader) != 0) {
        return MKTO_EXIT_COULD_NOT;
    }
    mkto_finding_begin(&findings, json, pool);
    return check(file, reader, online, &findings);
}

const struct mkto_command mkto_command_check = {
    "check",
    "[--config FILE] [--user NAME] [--online] [--json] | --keys [--json]",
    "check config, secrets, spool and socket; with --online Marketo itself",
    "Reads the config and names every mistake as FILE:LINE: key: reason, looks at\n"
    "secret files, spool and socket, and changes nothing. With --online it asks\n"
    "Marketo whether the credentials are good and the fields exist (two REST calls\n"
    "or one SOAP call for each subscription), and whether the Munchkin collector\n"
    "can be reached; it sends no lead and no visit.\n"
    "Exit code 1: there are mistakes or warnings; 3: the config cannot be opened.\n",
    run,
};
