/*
 * The hash that Munchkin's associateLead takes. Whoever has it for an address can say to Marketo
 * that the visitor is that person, so that it is given to pages of the site itself only, slowly,
 * and for an address that the site vouches for when it does that. Never logged, nor told to tails.
 */
#include "mkto_intake_state.h"

#include <strings.h>

#include "mkto_hash.h"

void mkto_intake_answer_aside(struct mkto_intake_call *call, enum mkto_answer answer,
                              const char *text)
{
    struct mkto_intake *intake = call->peer->intake;
    const struct mkto_due due = {
        .verdict = {.seq = call->frame.seq,
                    .answer = (uint8_t)answer,
                    .retry_after = call->retry_after,
                    .body = text == NULL ? MKTO_SLICE_NONE : mkto_intake_body(intake, text)},
        .aside = true,
    };
    mkto_peer_verdict(call->peer, &due);
}

/* Whose hash is asked for: the site's word goes before the body's. Absent: the answer is given. */
static struct mkto_slice read_email(struct mkto_intake_call *call, const struct mkto_json *root)
{
    const struct mkto_slice vouched = mkto_event_vouched(&call->envelope);
    if (vouched.len > 0) {
        return vouched;
    }
    if (call->envelope.email.data != NULL) {
        mkto_intake_answer_aside(call, MKTO_ANSWER_FORBIDDEN,
                                 "hash: marketo_email is set, and names no e-mail of this visitor");
        return MKTO_SLICE_NONE;
    }
    if (call->subscription->identify == MKTO_IDENTIFY_TRUSTED) {
        mkto_intake_answer_aside(
            call, MKTO_ANSWER_FORBIDDEN,
            "hash: only for an e-mail that the site vouches for (identify = trusted)");
        return MKTO_SLICE_NONE;
    }
    const struct mkto_slice email = mkto_json_string(mkto_json_get(root, "email"));
    if (email.len == 0 || email.len > MKTO_ENVELOPE_EMAIL_MAX) {
        mkto_intake_answer_aside(call, MKTO_ANSWER_BAD_REQUEST,
                                 "email: must be a non-empty string");
        return MKTO_SLICE_NONE;
    }
    return email;
}

static void give(struct mkto_intake_call *call, struct mkto_slice email)
{
    struct mkto_intake *intake = call->peer->intake;
    char key[MKTO_CONFIG_SECRET_MAX];
    char hash[MKTO_HASH_HEX];
    struct mkto_error err = MKTO_ERROR_INIT;
    const long len =
        mkto_config_secret(call->subscription->munchkin_private_key_file, key, sizeof(key), &err);
    if (len < 0) {
        if (mkto_intake_may_say(intake, &intake->key_said)) {
            mkto_intake_log(intake, LOG_ERR, "MKTO0207 no hash can be made: %s", err.text);
        }
        mkto_intake_answer_aside(call, MKTO_ANSWER_AWAY, "the private key cannot be read");
        return;
    }
    mkto_hash_email((struct mkto_slice){key, (size_t)len}, email, hash);
    explicit_bzero(key, sizeof(key));
    struct mkto_note note = mkto_note_object(intake->turn_pool);
    mkto_note_bool(&note, "success", true);
    mkto_note_text(&note, "hash", hash);
    const struct mkto_due due = {.verdict = {.seq = call->frame.seq,
                                             .answer = MKTO_ANSWER_STORED,
                                             .body = mkto_note_json(&note)},
                                 .aside = true};
    intake->counters.hashes++;
    mkto_peer_verdict(call->peer, &due);
}

static bool read_body(struct mkto_intake_call *call, struct mkto_json **root)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    *root = NULL;
    if (call->envelope.body.len == 0) {
        return true;
    }
    if (call->envelope.body.len > MKTO_EVENT_MAX) {
        mkto_intake_answer_aside(call, MKTO_ANSWER_TOO_LARGE, NULL);
        return false;
    }
    if (mkto_json_parse(call->envelope.body, root, &err, call->peer->intake->scratch) != 0) {
        mkto_intake_answer_aside(call, MKTO_ANSWER_BAD_REQUEST, err.text);
        return false;
    }
    return true;
}

void mkto_intake_sign(struct mkto_intake_call *call)
{
    struct mkto_json *root = NULL;
    if (call->subscription->munchkin_private_key_file == NULL) {
        mkto_intake_answer_aside(call, MKTO_ANSWER_NOT_FOUND,
                                 "hash: munchkin_private_key_file is not set");
        return;
    }
    if (!read_body(call, &root)) {
        return;
    }
    if ((call->envelope.flags & MKTO_ENVELOPE_OWN) == 0) {
        mkto_intake_answer_aside(call, MKTO_ANSWER_FORBIDDEN, "hash: for pages of this host only");
        return;
    }
    if (!mkto_intake_admit_hash(call)) {
        mkto_intake_answer_aside(call, MKTO_ANSWER_RATE_LIMITED, NULL);
        return;
    }
    const struct mkto_slice email = read_email(call, root);
    if (email.len > 0) {
        give(call, email);
    }
}
