#include "mkto_command.h"

#include "mkto_hash.h"
#include "mkto_input.h"
#include "mkto_note.h"
#include "mkto_option.h"

/* The hash of one e-mail with the subscription's private key. */
static int make_hash(const struct mkto_command *self, const struct mkto_subscription *subscription,
                     const char *email, char out[MKTO_HASH_HEX])
{
    struct mkto_error err = MKTO_ERROR_INIT;
    char key[MKTO_CONFIG_SECRET_MAX];
    long len;

    if (subscription->munchkin_private_key_file == NULL) {
        return mkto_command_fail(self,
                                 "the [marketo] section in line %u has no "
                                 "munchkin_private_key_file",
                                 subscription->line);
    }
    len = mkto_config_secret(subscription->munchkin_private_key_file, key, sizeof(key), &err);
    if (len < 0) {
        return mkto_command_fail(self, "%s", err.text);
    }
    mkto_hash_email((struct mkto_slice){key, (size_t)len}, mkto_slice_str(email), out);
    explicit_bzero(key, sizeof(key));
    return MKTO_EXIT_FINE;
}

static int run(const struct mkto_command *self, int argc, char **argv, apr_pool_t *pool)
{
    const char *file = MKTO_CONFIG_FILE;
    const char *name = NULL;
    bool json = false;
    const struct mkto_option options[] = {
        MKTO_OPTION_CONFIG(&file),
        MKTO_OPTION_SUBSCRIPTION(&name),
        MKTO_OPTION_JSON(&json),
        MKTO_OPTION_END,
    };
    char line[MKTO_INPUT_LINE_MAX];
    char hash[MKTO_HASH_HEX];
    const struct mkto_config *config;
    const struct mkto_subscription *subscription;
    const char *email;
    int first;
    int rc = mkto_option_read(self, options, argc, argv, 1, &first);

    if (rc >= 0) {
        return rc;
    }
    if (first == argc) {
        return mkto_command_fail(self, "which e-mail? see marketo hash --help");
    }
    email = mkto_input_word(argv[first], line);
    if (email == NULL || email[0] == '\0') {
        return mkto_command_fail(self, "the e-mail is empty");
    }
    config = mkto_command_config(file, true);
    if (config == NULL) {
        return MKTO_EXIT_COULD_NOT;
    }
    subscription = mkto_command_subscription(self, config, name);
    rc = subscription == NULL ? MKTO_EXIT_COULD_NOT : make_hash(self, subscription, email, hash);
    mkto_config_free(config);
    if (rc == MKTO_EXIT_FINE && json) {
        struct mkto_note note = mkto_note_object(pool);

        mkto_note_text(&note, "hash", hash);
        mkto_command_line(mkto_note_json(&note));
    } else if (rc == MKTO_EXIT_FINE) {
        printf("%s\n", hash);
    }
    return rc;
}

const struct mkto_command mkto_command_hash = {
    "hash",
    "[--config FILE] [--subscription NAME] [--json] EMAIL | -",
    "sign an e-mail for Munchkin's associateLead",
    "Prints SHA-1(private key + e-mail) in hexadecimal, as Munchkin's associateLead\n"
    "takes it. The key is the one of munchkin_private_key_file; bytes are taken as\n"
    "given, so the case of the e-mail matters. With - the e-mail is read from stdin.\n"
    "Marketo itself no longer takes associateLead since October 2021.\n",
    run,
};
