/*
 * mkto_cookie: the _mkto_trk cookie of Munchkin (contract munchkin-and-rest A1), and the tokens
 * that we make ourselves.
 *
 * Value as Munchkin writes it: "id:" MUNCHKIN-ID "&token:" TOKEN, raw ':' and '&'. Also read: '='
 * instead of ':', any key order, unknown keys, percent-encoded parts, and the whole value
 * percent-encoded once (written by frameworks). TOKEN is "_mch-" DOMAIN "-" (digits "-" five digits
 * | 4..32 lower-case hex digits); anything else that is printable and without separators is kept as
 * it is: Marketo owns the format.
 */
#ifndef MKTO_COOKIE_H
#define MKTO_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "mkto_slice.h"

#define MKTO_COOKIE_NAME "_mkto_trk"
#define MKTO_COOKIE_ID_MAX 32     /* bytes of the id part; longer ones are no cookie of ours */
#define MKTO_COOKIE_TOKEN_MAX 255 /* bytes of the decoded token; longer ones are refused */
#define MKTO_COOKIE_RAW_MAX                                                                        \
    1024                    /* bytes of a value as received; longer ones are no cookie of ours */
#define MKTO_COOKIE_MAX 320 /* bytes of a formatted value with its NUL */

struct mkto_cookie {
    char id[MKTO_COOKIE_ID_MAX + 1]; /* "561-HYG-937", as received (case kept); "" when absent */
    char token[MKTO_COOKIE_TOKEN_MAX + 1]; /* "_mch-example.com-1374552656411-90718" */
};

/*
 * Reads one cookie value, in double quotes or not. Returns 0, or -1 when there is no usable token
 * in it (cookie is then all zero). Id and token come out decoded, and never hold a control
 * character, white space, ';', ',' or anything beyond ASCII: a value with such a part is refused.
 */
int mkto_cookie_parse(struct mkto_slice value, struct mkto_cookie *cookie);

/* Cuts the next "name=value" off the front of a Cookie header, without blanks in front of it. */
struct mkto_slice mkto_cookie_next(struct mkto_slice *cookies);

/* Whether it has that name, case counted; then value is what stands behind '=', without blanks
 * around it. It may be empty. */
bool mkto_cookie_is(struct mkto_slice cookie, struct mkto_slice name, struct mkto_slice *value);

/*
 * Picks the visitor's cookie out of all Cookie headers of a request. Sites have duplicates (a
 * host-scoped one beside the parent-scoped one); the best is the one whose id is munchkin_id and
 * whose token's domain is the shortest suffix of host, else the first that parses. Start with a
 * zeroed pick, call once per Cookie header in order, then look at found.
 */
struct mkto_cookie_pick {
    bool found;
    int rank; /* private: how good `best` is */
    struct mkto_cookie best;
};

void mkto_cookie_scan(struct mkto_cookie_pick *pick, struct mkto_slice header,
                      struct mkto_slice munchkin_id, struct mkto_slice host);

/* The same for one value of such a cookie. */
void mkto_cookie_offer(struct mkto_cookie_pick *pick, struct mkto_slice value,
                       struct mkto_slice munchkin_id, struct mkto_slice host);

/* Writes "id:…&token:…" as Munchkin would (encodeURIComponent of each part). Returns the length, or
 * 0 when it does not fit. */
size_t mkto_cookie_format(const char *munchkin_id, const char *token, char *out, size_t size);

/* The DOMAIN part of a token, or an absent slice when the token has none of the known forms. Points
 * into token. */
struct mkto_slice mkto_cookie_token_domain(struct mkto_slice token);

/*
 * The cookie domain for a host: what Munchkin 164 with domainSelectorV2 picks (contract A1, "DOMAIN
 * selection", column V2), but that browsers refuse none: Munchkin counts labels, which gives
 * com.au; here the Public Suffix List says (mkto_host_site). Points into host; a port is left out.
 */
struct mkto_slice mkto_cookie_domain(struct mkto_slice host);

#endif
