/*
 * mkto_map_rule: what a subscription's rules say of an event, of a trait, of a field. They hold at
 * the door and again when an event is sent, by the config of that time; but for who may say who
 * somebody is: what was taken was promised. For mkto_map*.c only.
 *
 * Whoever gave a write key is trusted. All others may not set the protected fields: those that
 * Marketo or sales keep (the list is in mkto_map_rule.c and in README), and `fields_protected`.
 * Names of fields are compared without case and punctuation: lead_score is LeadScore. Names of
 * events are compared as Marketo shows them: without case, with '-' for ' ' and '_', without a
 * leading "/event/".
 */
#ifndef MKTO_MAP_RULE_H
#define MKTO_MAP_RULE_H

#include "mkto_map.h"

/*
 * false: the delivery says why not. Filtered: "bot" (a browser's call without write key whose user
 * agent is a program), "events_deny", "events_allow".
 */
bool mkto_map_rule_event(const struct mkto_event *event,
                         const struct mkto_subscription *subscription,
                         struct mkto_delivery *delivery);

/* false: rejected, and forbidden: "identify" (an identify or group of one who may not say who
 * somebody is). For the door. */
bool mkto_map_rule_sender(const struct mkto_event *event,
                          const struct mkto_subscription *subscription,
                          struct mkto_delivery *delivery);

/* Does any rule hold for the fields of this event? */
bool mkto_map_rule_any(const struct mkto_event *event,
                       const struct mkto_subscription *subscription);

enum mkto_map_list { MKTO_MAP_UNLISTED, MKTO_MAP_LISTED, MKTO_MAP_DENIED };

/* What fields_allow and fields_deny say of a name; UNLISTED too when it is in neither. */
enum mkto_map_list mkto_map_rule_list(const struct mkto_subscription *subscription,
                                      struct mkto_slice name);

/* The key of marketo.conf for which a Marketo field is not sent, or NULL. listed: its trait is in
 * fields_allow. */
const char *mkto_map_rule_field(const struct mkto_subscription *subscription, bool keyed,
                                bool listed, const char *name);

#endif
