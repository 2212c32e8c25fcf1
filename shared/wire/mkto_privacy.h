/*
 * mkto_privacy: may this visitor be recorded, and may he have a cookie? Asked before either.
 */
#ifndef MKTO_PRIVACY_H
#define MKTO_PRIVACY_H

#include "mkto_skip.h"
#include "mkto_request.h"

enum mkto_consent { MKTO_CONSENT_ABSENT = 0, MKTO_CONSENT_GRANTED, MKTO_CONSENT_DENIED };

/* Bits of `respect` in marketo.conf. */
enum mkto_respect { MKTO_RESPECT_GPC = 1, MKTO_RESPECT_DNT = 2 };

/*
 * Reads what the variable or expression of marketo_consent gave: granted, yes, true, on, 1; denied,
 * no, false, off, 0; empty or absent is ABSENT; anything else is DENIED. Any case, blanks around it
 * do not count.
 */
enum mkto_consent mkto_consent_read(struct mkto_slice value);

struct mkto_privacy_rule {
    bool asks;                 /* marketo_consent is set */
    enum mkto_consent consent; /* what it says for this request */
    bool absent_grants;        /* marketo_consent … absent=granted; else ABSENT is no consent */
    unsigned respect;          /* MKTO_RESPECT_… of the subscription */
};

/*
 * NONE: may be recorded. Else the first of CONSENT, OPT_OUT, GPC, DNT that forbids it. Opt-out is a
 * mkto_opt_out cookie with any value, or marketo_opt_out=true in the query of the request, else of
 * a Referer of this very host (the page that a call comes from); marketo_opt_out=false there
 * overrides the cookie, as in Munchkin. GPC and DNT ask with the value 1 (mkto_header_asks).
 */
enum mkto_skip mkto_privacy_judge(const struct mkto_request *request,
                                  const struct mkto_privacy_rule *rule);

/* What marketo_opt_out says in the query of the request: 1 true, 0 false, -1 nothing. */
int mkto_privacy_opt_out(const struct mkto_request *request);

/* Whether the visitor has opted out, as mkto_privacy_judge finds it. */
bool mkto_privacy_opted_out(const struct mkto_request *request);

#endif
