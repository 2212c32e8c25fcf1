#include "mkto_map_identity.h"

#include <apr_strings.h>

#include "mkto_hash.h"
#include "mkto_map.h"

#define MADE_DOMAIN "marketo.com" /* when the subscription has no host */
#define MADE_DIGITS 32

/* Nothing of the request goes in: the same id has to give the same token wherever it turns up. */
const char *mkto_map_made_token(const struct mkto_subscription *subscription, struct mkto_slice id,
                                apr_pool_t *pool)
{
    struct mkto_slice domain = mkto_cookie_domain(mkto_slice_str(subscription->host));
    if (domain.len == 0) {
        domain = MKTO_SLICE_LIT(MADE_DOMAIN);
    }
    char digits[MKTO_HASH_HEX];
    mkto_hash_parts(mkto_slice_str(subscription->munchkin_id), MKTO_SLICE_LIT(":"), id, digits);
    return apr_psprintf(pool, "_mch-%.*s-%.*s", (int)domain.len, domain.data, MADE_DIGITS, digits);
}

static bool set(struct mkto_map_identity *identity, const char *munchkin_id, const char *token,
                apr_pool_t *pool)
{
    char cookie[MKTO_COOKIE_MAX];
    if (mkto_cookie_format(munchkin_id == NULL ? "" : munchkin_id, token, cookie, sizeof(cookie)) ==
        0) {
        return false;
    }
    identity->cookie = apr_pstrdup(pool, cookie);
    identity->token = apr_pstrdup(pool, token);
    return true;
}

void mkto_map_identity_read(const struct mkto_event *event,
                            const struct mkto_subscription *subscription,
                            struct mkto_map_identity *identity, apr_pool_t *pool)
{
    *identity = (struct mkto_map_identity){.cookie = NULL};
    struct mkto_cookie own;
    if (mkto_event_cookie(event, &own) &&
        set(identity, own.id[0] == '\0' ? subscription->munchkin_id : own.id, own.token, pool)) {
        return;
    }
    struct mkto_slice id = event->user_id.len > 0 ? event->user_id : event->anonymous_id;
    if (id.len == 0) {
        return;
    }
    const char *token = mkto_map_made_token(subscription, id, pool);
    identity->made = set(identity, subscription->munchkin_id, token, pool);
}
