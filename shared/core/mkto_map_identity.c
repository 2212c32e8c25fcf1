#include "mkto_map_identity.h"

#include <apr_strings.h>
#include <stdio.h>

#include "mkto_hash.h"
#include "mkto_map.h"

#define MADE_DOMAIN "marketo.com" /* when the subscription has no host */
#define MADE_DIGITS 32
/* Bytes of a host whose made cookie fits, even if every byte of host and id were percent-encoded.
 */
#define SURE_HOST 48
#define TOKEN_SIZE (MKTO_CONFIG_TEXT_MAX + MADE_DIGITS + 16)

_Static_assert(sizeof("id:&token:_mch--") + MADE_DIGITS + 3 * (SURE_HOST + sizeof("561-HYG-937")) <=
                   MKTO_COOKIE_MAX,
               "a made cookie of a short host fits");

/* Nothing of the request goes in: the same id has to give the same token wherever it turns up. */
static size_t write_token(const struct mkto_subscription *subscription, const char *digits,
                          char *out, size_t size)
{
    struct mkto_slice domain = mkto_cookie_domain(mkto_slice_str(subscription->host));
    if (domain.len == 0) {
        domain = MKTO_SLICE_LIT(MADE_DOMAIN);
    }
    const int len =
        snprintf(out, size, "_mch-%.*s-%.*s", (int)domain.len, domain.data, MADE_DIGITS, digits);
    return len < 0 || (size_t)len >= size ? 0 : (size_t)len;
}

const char *mkto_map_made_token(const struct mkto_subscription *subscription, struct mkto_slice id,
                                apr_pool_t *pool)
{
    char digits[MKTO_HASH_HEX];
    char token[TOKEN_SIZE];
    mkto_hash_parts(mkto_slice_str(subscription->munchkin_id), MKTO_SLICE_LIT(":"), id, digits);
    write_token(subscription, digits, token, sizeof(token));
    return apr_pstrdup(pool, token);
}

static size_t format(const char *munchkin_id, const char *token, char cookie[MKTO_COOKIE_MAX])
{
    return mkto_cookie_format(munchkin_id == NULL ? "" : munchkin_id, token, cookie,
                              MKTO_COOKIE_MAX);
}

/* All made tokens of a subscription have one length, so that any digits tell. */
static bool can_make(const struct mkto_subscription *subscription)
{
    if (mkto_slice_str(subscription->host).len <= SURE_HOST) {
        return true;
    }
    char cookie[MKTO_COOKIE_MAX];
    char token[TOKEN_SIZE];
    const char *any = "00000000000000000000000000000000";
    return write_token(subscription, any, token, sizeof(token)) > 0 &&
           format(subscription->munchkin_id, token, cookie) > 0;
}

void mkto_map_identity_find(const struct mkto_event *event,
                            const struct mkto_subscription *subscription,
                            struct mkto_map_identity *identity)
{
    char cookie[MKTO_COOKIE_MAX];
    identity->made = false;
    identity->found = mkto_event_cookie(event, &identity->own) &&
                      format(subscription->munchkin_id, identity->own.token, cookie) > 0;
    if (identity->found) {
        return;
    }
    identity->from = event->user_id.len > 0 ? event->user_id : event->anonymous_id;
    identity->made = identity->from.len > 0 && can_make(subscription);
    identity->found = identity->made;
}

const char *mkto_map_identity_token(const struct mkto_map_identity *identity,
                                    const struct mkto_subscription *subscription, apr_pool_t *pool)
{
    return identity->made ? mkto_map_made_token(subscription, identity->from, pool)
                          : apr_pstrdup(pool, identity->own.token);
}

const char *mkto_map_identity_cookie(const struct mkto_map_identity *identity,
                                     const struct mkto_subscription *subscription, apr_pool_t *pool)
{
    char cookie[MKTO_COOKIE_MAX];
    /* The token alone tells who it is; a cookie of another subscription gets our id, as Munchkin
     * 164 does it. */
    format(subscription->munchkin_id, mkto_map_identity_token(identity, subscription, pool),
           cookie);
    return apr_pstrdup(pool, cookie);
}
