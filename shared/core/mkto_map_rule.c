#include "mkto_map_rule.h"

#include "mkto_page.h"

#define EVENT_PREFIX "/event/"

/* clang-format off */
/* Who somebody is to sales, where he came from, what may be sent to him: not his own to say. */
static const char *const protected_fields[] = {
    "id", "marketoGUID", "isAnonymous", "isLead", "isCustomer", "isPartner", "mktoIsCustomer", "mktoIsPartner",
    "leadScore", "score", "relativeScore", "urgency", "priority", "rating", "leadStatus",
    "leadPartitionId", "leadRevenueCycleModelId", "leadRevenueCycleStageId", "acquisitionProgramId",
    "unsubscribed", "unsubscribedReason", "doNotCall", "doNotCallReason",
    "marketingSuspended", "marketingSuspendedCause", "blackListed", "blackListedCause",
    "emailInvalid", "emailInvalidCause", "emailSuspended", "emailSuspendedAt", "emailSuspendedCause",
    "originalSourceType", "originalSourceInfo", "originalReferrer", "originalSearchEngine", "originalSearchPhrase",
    "registrationSourceType", "registrationSourceInfo", "anonymousIP",
    "externalCompanyId", "externalSalesPersonId",
    "sfdcId", "sfdcType", "sfdcLeadId", "sfdcContactId", "sfdcAccountId", "sfdcLeadOwnerId",
};
/* clang-format on */

static bool has_flag(const struct mkto_event *event, enum mkto_envelope_flag flag)
{
    return (event->envelope->flags & (uint32_t)flag) != 0;
}

static bool refuse(struct mkto_delivery *delivery, enum mkto_delivery_kind kind, const char *reason,
                   const char *detail)
{
    delivery->kind = kind;
    delivery->forbidden = kind == MKTO_DELIVERY_REJECTED;
    delivery->reason = reason;
    delivery->detail = detail;
    return false;
}

/* ---- events ---- */

static struct mkto_slice bare_name(struct mkto_slice name)
{
    const size_t len = strlen(EVENT_PREFIX);
    if (name.len > len && memcmp(name.data, EVENT_PREFIX, len) == 0) {
        return (struct mkto_slice){name.data + len, name.len - len};
    }
    return name;
}

static char folded(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c | 0x20);
    }
    return c == ' ' || c == '_' ? '-' : c;
}

static bool same_event(struct mkto_slice a, struct mkto_slice b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (folded(a.data[i]) != folded(b.data[i])) {
            return false;
        }
    }
    return true;
}

/* A word that is a call means all of that call; an event of track may be called so, too. */
static bool lists_event(const struct mkto_config_list *list, const struct mkto_event *event)
{
    const char *call = mkto_call_name(event->call);
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->names[i], call) == 0 ||
            (event->call == MKTO_CALL_TRACK &&
             same_event(bare_name(mkto_slice_str(list->names[i])), bare_name(event->name)))) {
            return true;
        }
    }
    return false;
}

/* Only browsers are bound by an origin: whoever writes his headers himself can claim any. */
static bool may_identify(const struct mkto_event *event,
                         const struct mkto_subscription *subscription,
                         struct mkto_delivery *delivery)
{
    switch (subscription->identify) {
    case MKTO_IDENTIFY_OPEN: return true;
    case MKTO_IDENTIFY_SAME_ORIGIN:
        return !has_flag(event, MKTO_ENVELOPE_BROWSER) || has_flag(event, MKTO_ENVELOPE_OWN) ||
               refuse(delivery, MKTO_DELIVERY_REJECTED, "identify",
                      "identify: a page of another host may not say who a visitor is "
                      "(identify = same_origin)");
    case MKTO_IDENTIFY_TRUSTED: break;
    }
    return mkto_event_vouched(event->envelope).len > 0 ||
           refuse(delivery, MKTO_DELIVERY_REJECTED, "identify",
                  "identify: only with a write key, or for an e-mail that the site vouches for "
                  "(identify = trusted)");
}

static bool is_bot(const struct mkto_event *event)
{
    return has_flag(event, MKTO_ENVELOPE_BROWSER) && mkto_page_is_bot(event->envelope->user_agent);
}

bool mkto_map_rule_event(const struct mkto_event *event,
                         const struct mkto_subscription *subscription,
                         struct mkto_delivery *delivery)
{
    const struct mkto_config_list *allow = &subscription->events_allow;
    const bool keyed = has_flag(event, MKTO_ENVELOPE_KEYED);
    if (!keyed && is_bot(event)) {
        return refuse(delivery, MKTO_DELIVERY_FILTERED, "bot",
                      "the user agent is no person's browser");
    }
    if (lists_event(&subscription->events_deny, event)) {
        return refuse(delivery, MKTO_DELIVERY_FILTERED, "events_deny", "events_deny names it");
    }
    if (allow->count > 0 && !lists_event(allow, event)) {
        return refuse(delivery, MKTO_DELIVERY_FILTERED, "events_allow",
                      "events_allow does not name it");
    }
    return true;
}

bool mkto_map_rule_sender(const struct mkto_event *event,
                          const struct mkto_subscription *subscription,
                          struct mkto_delivery *delivery)
{
    const bool lead = event->call == MKTO_CALL_IDENTIFY || event->call == MKTO_CALL_GROUP;
    return !lead || has_flag(event, MKTO_ENVELOPE_KEYED) ||
           may_identify(event, subscription, delivery);
}

/* ---- fields ---- */

static bool lists_field(const char *const *names, size_t count, struct mkto_slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (mkto_json_key_like(name, names[i])) {
            return true;
        }
    }
    return false;
}

bool mkto_map_rule_any(const struct mkto_event *event, const struct mkto_subscription *subscription)
{
    return !has_flag(event, MKTO_ENVELOPE_KEYED) || subscription->fields_deny.count > 0 ||
           subscription->fields_allow.count > 0;
}

enum mkto_map_list mkto_map_rule_list(const struct mkto_subscription *subscription,
                                      struct mkto_slice name)
{
    const struct mkto_config_list *deny = &subscription->fields_deny;
    const struct mkto_config_list *allow = &subscription->fields_allow;
    if (lists_field(deny->names, deny->count, name)) {
        return MKTO_MAP_DENIED;
    }
    return lists_field(allow->names, allow->count, name) ? MKTO_MAP_LISTED : MKTO_MAP_UNLISTED;
}

const char *mkto_map_rule_field(const struct mkto_subscription *subscription, bool keyed,
                                bool listed, const char *name)
{
    const struct mkto_slice field = mkto_slice_str(name);
    const enum mkto_map_list list = mkto_map_rule_list(subscription, field);
    if (list == MKTO_MAP_DENIED) {
        return "fields_deny";
    }
    if (list == MKTO_MAP_UNLISTED && !listed && subscription->fields_allow.count > 0) {
        return "fields_allow";
    }
    const struct mkto_config_list *more = &subscription->fields_protected;
    if (!keyed && (lists_field(protected_fields,
                               sizeof(protected_fields) / sizeof(protected_fields[0]), field) ||
                   lists_field(more->names, more->count, field))) {
        return "fields_protected";
    }
    return NULL;
}
