#include "mkto_event.h"

#include <apr_base64.h>
#include <apr_strings.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <strings.h>

#include "mkto_event_build.h"
#include "mkto_utf8.h"

#define IN(call) (1u << (call))
#define ANY_CALL (~0u)

enum member_type {
    MEMBER_ID,     /* string or number; an empty string is absent */
    MEMBER_STRING, /* an empty string is absent */
    MEMBER_OBJECT,
};

struct member {
    const char *key;
    enum member_type type;
    unsigned calls; /* where it is looked at */
    size_t offset;  /* in struct mkto_event */
};

/* clang-format off */
/* null counts as absent everywhere. sessionId comes first: anonymousId overwrites it. */
static const struct member members[] = {
    {"sessionId",    MEMBER_ID,     ANY_CALL, offsetof(struct mkto_event, anonymous_id)},
    {"anonymousId",  MEMBER_ID,     ANY_CALL, offsetof(struct mkto_event, anonymous_id)},
    {"userId",       MEMBER_ID,     ANY_CALL, offsetof(struct mkto_event, user_id)},
    {"messageId",    MEMBER_STRING, ANY_CALL, offsetof(struct mkto_event, message_id)},
    {"traits",       MEMBER_OBJECT, ANY_CALL, offsetof(struct mkto_event, traits)},
    {"properties",   MEMBER_OBJECT, ANY_CALL, offsetof(struct mkto_event, properties)},
    {"context",      MEMBER_OBJECT, ANY_CALL, offsetof(struct mkto_event, context)},
    {"integrations", MEMBER_OBJECT, ANY_CALL, offsetof(struct mkto_event, integrations)},
    {"event",        MEMBER_STRING, IN(MKTO_CALL_TRACK), offsetof(struct mkto_event, name)},
    {"name",         MEMBER_STRING, IN(MKTO_CALL_PAGE) | IN(MKTO_CALL_SCREEN),
                                                  offsetof(struct mkto_event, name)},
    {"category",     MEMBER_STRING, IN(MKTO_CALL_PAGE) | IN(MKTO_CALL_SCREEN),
                                                  offsetof(struct mkto_event, category)},
    {"groupId",      MEMBER_ID,     IN(MKTO_CALL_GROUP), offsetof(struct mkto_event, group_id)},
    {"previousId",   MEMBER_ID,     IN(MKTO_CALL_ALIAS), offsetof(struct mkto_event, previous_id)},
};

static const char *const wanted[] = {
    [MEMBER_ID]     = "must be a string or a number",
    [MEMBER_STRING] = "must be a string",
    [MEMBER_OBJECT] = "must be an object",
};
/* clang-format on */

int mkto_event_refuse(struct mkto_event_fault *fault, enum mkto_answer answer, const char *format,
                      ...)
{
    va_list args;
    va_start(args, format);
    fault->answer = answer;
    vsnprintf(fault->error.text, sizeof(fault->error.text), format, args);
    va_end(args);
    return -1;
}

/* ---- members ---- */

static int take_member(const struct member *member, const struct mkto_json *value,
                       struct mkto_event *event, struct mkto_event_fault *fault)
{
    void *target = (char *)event + member->offset;
    bool object = value->type == MKTO_JSON_OBJECT;
    bool text = value->type == MKTO_JSON_STRING ||
                (value->type == MKTO_JSON_NUMBER && member->type == MEMBER_ID);
    if (member->type == MEMBER_OBJECT ? !object : !text) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST, "%s: %s", member->key,
                                 wanted[member->type]);
    }
    if (object) {
        *(const struct mkto_json **)target = value;
    } else if (value->text.len > 0) {
        *(struct mkto_slice *)target = value->text;
    }
    return 0;
}

static int take_members(enum mkto_call call, const struct mkto_json *root, struct mkto_event *event,
                        struct mkto_event_fault *fault)
{
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if ((members[i].calls & IN(call)) == 0) {
            continue;
        }
        const struct mkto_json *value = mkto_json_get(root, members[i].key);
        if (value == NULL || value->type == MKTO_JSON_NULL) {
            continue;
        }
        if (take_member(&members[i], value, event, fault) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- defaults of a batch ---- */

/* The own object with those members of the other behind it that it does not have. */
static const struct mkto_json *merge(struct mkto_json *own, const struct mkto_json *behind,
                                     apr_pool_t *pool)
{
    if (own == NULL || own->type != MKTO_JSON_OBJECT) {
        return behind;
    }
    struct mkto_json **tail = &own->first;
    while (*tail != NULL) {
        tail = &(*tail)->next;
    }
    struct mkto_json *node = behind->first;
    for (; node != NULL; node = node->next) {
        if (mkto_json_get(own, node->key.data) != NULL) {
            continue;
        }
        struct mkto_json *copy = apr_palloc(pool, sizeof(*copy));
        *copy = *node;
        copy->next = NULL;
        *tail = copy;
        tail = &copy->next;
        own->count++;
    }
    return own;
}

static struct mkto_json *own_member(struct mkto_json *root, const char *key)
{
    struct mkto_json *node = root->first;
    while (node != NULL && !mkto_slice_is(node->key, key)) {
        node = node->next;
    }
    return node;
}

static void merge_defaults(struct mkto_event *event, struct mkto_json *root,
                           const struct mkto_json *defaults, apr_pool_t *pool)
{
    const struct mkto_json *context = mkto_json_get(defaults, "context");
    if (context != NULL && context->type == MKTO_JSON_OBJECT) {
        event->context = merge(own_member(root, "context"), context, pool);
    }
    const struct mkto_json *integrations = mkto_json_get(defaults, "integrations");
    if (integrations != NULL && integrations->type == MKTO_JSON_OBJECT) {
        event->integrations = merge(own_member(root, "integrations"), integrations, pool);
    }
}

/* ---- who it is ---- */

/* .+@.+\..+ : the first '@' that has something before it leaves the most room behind it. */
static bool looks_like_email(struct mkto_slice text)
{
    if (text.len < 5) {
        return false;
    }
    const char *at = memchr(text.data + 1, '@', text.len - 1);
    if (at == NULL) {
        return false;
    }
    size_t dot = (size_t)(at - text.data) + 2;
    return dot + 1 < text.len && memchr(text.data + dot, '.', text.len - 1 - dot) != NULL;
}

static struct mkto_slice trim(struct mkto_slice text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL) {
        text.len--;
    }
    return text;
}

static struct mkto_slice email_of(const struct mkto_json *object)
{
    return trim(mkto_json_string(mkto_json_find(object, "email")));
}

struct mkto_slice mkto_event_vouched(const struct mkto_envelope *envelope)
{
    if (envelope->email.len == 0 || (envelope->flags & MKTO_ENVELOPE_KEYED) != 0) {
        return MKTO_SLICE_NONE;
    }
    const struct mkto_slice email = trim(envelope->email);
    /* It comes out of a variable of the web server, where any bytes can stand. */
    const bool text = mkto_utf8_valid(email) == email.len;
    return text && looks_like_email(email) ? email : MKTO_SLICE_NONE;
}

struct mkto_slice mkto_event_email(const struct mkto_event *event)
{
    struct mkto_slice email = mkto_event_vouched(event->envelope);
    if (email.len > 0) {
        return email;
    }
    if (event->call == MKTO_CALL_IDENTIFY) {
        email = email_of(event->traits);
    } else {
        email = email_of(mkto_json_get(event->context, "traits"));
        if (email.len == 0) {
            email = email_of(event->properties);
        }
    }
    if (email.len == 0 && looks_like_email(event->user_id)) {
        email = trim(event->user_id);
    }
    return email.len == 0 ? MKTO_SLICE_NONE : email;
}

static bool given_cookie(const struct mkto_json *options, struct mkto_cookie *cookie)
{
    const struct mkto_json *own = mkto_json_find(options, "Marketo");
    struct mkto_slice value = mkto_json_string(mkto_json_find(own, "marketoCookie"));
    return value.len > 0 && mkto_cookie_parse(value, cookie) == 0;
}

bool mkto_event_cookie(const struct mkto_event *event, struct mkto_cookie *cookie)
{
    if (given_cookie(event->integrations, cookie) || given_cookie(event->context, cookie)) {
        return true;
    }
    struct mkto_slice cookie_header = event->envelope->cookie;
    return cookie_header.len > 0 && mkto_cookie_parse(cookie_header, cookie) == 0;
}

static bool has_identity(const struct mkto_event *event)
{
    if (event->user_id.len > 0 || event->anonymous_id.len > 0) {
        return true;
    }
    struct mkto_cookie cookie;
    return mkto_event_email(event).len > 0 || mkto_event_cookie(event, &cookie);
}

/* ---- checks ---- */

static int check_call(const struct mkto_event *event, struct mkto_event_fault *fault)
{
    if (event->call == MKTO_CALL_TRACK && event->name.len == 0) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST,
                                 "event: must be a non-empty string");
    }
    if (event->call == MKTO_CALL_GROUP && event->group_id.len == 0 && event->traits == NULL) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST, "groupId: is needed by group");
    }
    if (event->call == MKTO_CALL_ALIAS && event->user_id.len == 0) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST, "userId: is needed by alias");
    }
    if (event->call == MKTO_CALL_ALIAS && event->previous_id.len == 0) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST, "previousId: is needed by alias");
    }
    return 0;
}

static int check(const struct mkto_event *event, struct mkto_event_fault *fault)
{
    if (check_call(event, fault) != 0) {
        return -1;
    }
    if (event->message_id.len > MKTO_EVENT_MESSAGE_ID_MAX) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST,
                                 "messageId: has %zu bytes, the limit is %d", event->message_id.len,
                                 MKTO_EVENT_MESSAGE_ID_MAX);
    }
    if (!has_identity(event)) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST,
                                 "userId or anonymousId: one of them is needed, or an email, or "
                                 "the visitor's Marketo cookie (no_user_anon_id)");
    }
    return 0;
}

int mkto_event_build(const struct mkto_envelope *envelope, enum mkto_call call,
                     struct mkto_json *root, const struct mkto_json *defaults,
                     struct mkto_event **event, struct mkto_event_fault *fault, apr_pool_t *pool)
{
    if (root->type != MKTO_JSON_OBJECT) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST, "the event must be an object");
    }
    struct mkto_event *made = apr_palloc(pool, sizeof(*made));
    *made =
        (struct mkto_event){.call = call, .envelope = envelope, .root = root, .defaults = defaults};
    if (take_members(call, root, made, fault) != 0) {
        return -1;
    }
    if (defaults != NULL) {
        merge_defaults(made, root, defaults, pool);
    }
    if (check(made, fault) != 0) {
        return -1;
    }
    *event = made;
    return 0;
}

int mkto_event_read(const struct mkto_envelope *envelope, struct mkto_event **event,
                    struct mkto_event_fault *fault, apr_pool_t *pool)
{
    if (envelope->body.len > MKTO_EVENT_MAX) {
        return mkto_event_refuse(fault, MKTO_ANSWER_TOO_LARGE,
                                 "the event has %zu bytes, the limit is %d", envelope->body.len,
                                 MKTO_EVENT_MAX);
    }
    if (envelope->call <= MKTO_CALL_NONE || envelope->call >= MKTO_CALL_BATCH) {
        return mkto_event_refuse(fault, MKTO_ANSWER_BAD_REQUEST, "this is not a single call");
    }
    fault->answer = MKTO_ANSWER_BAD_REQUEST;
    fault->error.text[0] = '\0';
    struct mkto_json *root = NULL, *defaults = NULL;
    if (mkto_json_parse(envelope->body, &root, &fault->error, pool) != 0) {
        return -1;
    }
    if (envelope->defaults.len > 0 &&
        mkto_json_parse(envelope->defaults, &defaults, &fault->error, pool) != 0) {
        return -1;
    }
    return mkto_event_build(envelope, envelope->call, root, defaults, event, fault, pool);
}

/* ---- write key ---- */

/* What stands behind "Basic " or "Bearer "; absent for any other scheme. */
static struct mkto_slice credentials(struct mkto_slice authorization, const char *scheme)
{
    const size_t len = strlen(scheme);
    if (authorization.len <= len || strncasecmp(authorization.data, scheme, len) != 0) {
        return MKTO_SLICE_NONE;
    }
    return trim((struct mkto_slice){authorization.data + len, authorization.len - len});
}

static struct mkto_slice basic_user(struct mkto_slice basic, apr_pool_t *pool)
{
    const char *encoded = apr_pstrmemdup(pool, basic.data, basic.len);
    char *user = apr_palloc(pool, (apr_size_t)apr_base64_decode_len(encoded));
    int len = apr_base64_decode(user, encoded);
    user[len] = '\0';
    size_t user_len = strcspn(user, ":");
    return user_len == 0 ? MKTO_SLICE_NONE : (struct mkto_slice){user, user_len};
}

struct mkto_slice mkto_event_write_key(struct mkto_slice authorization,
                                       const struct mkto_json *root, apr_pool_t *pool)
{
    struct mkto_slice key = mkto_json_string(mkto_json_get(root, "writeKey"));
    if (key.len > 0 || authorization.len == 0) {
        return key.len > 0 ? key : MKTO_SLICE_NONE;
    }
    const struct mkto_slice basic = credentials(authorization, "basic ");
    if (basic.len > 0) {
        return basic_user(basic, pool);
    }
    key = credentials(authorization, "bearer ");
    return key.len > 0 ? key : MKTO_SLICE_NONE;
}
