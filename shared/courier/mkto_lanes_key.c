/* Hashes that stand for a person or a cookie. */
#include "mkto_lanes.h"

#include <apr_strings.h>
#include <string.h>

#include "mkto_hash.h"

#define KEY_MAX                                                                                    \
    1024 /* bytes of a lane key that are hashed; addresses and tokens are far shorter              \
          */

static uint64_t key(const char *subscription, char what, struct mkto_slice text, bool lower)
{
    char buf[KEY_MAX];
    size_t name = strlen(subscription);
    size_t len = 0;

    if (name > sizeof(buf) / 4) {
        name = sizeof(buf) / 4;
    }
    memcpy(buf, subscription, name);
    len = name;
    buf[len++] = '\n';
    buf[len++] = what;
    for (size_t i = 0; i < text.len && len < sizeof(buf); i++) {
        char c = text.data[i];
        buf[len++] = lower && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return mkto_hash_64((struct mkto_slice){buf, len}, MKTO_SLICE_NONE);
}

const char *mkto_lanes_scope(const struct mkto_subscription *sub, apr_pool_t *pool)
{
    return apr_pstrcat(pool, sub->name, "/", sub->munchkin_id == NULL ? "" : sub->munchkin_id,
                       NULL);
}

uint64_t mkto_lane_of_email(const char *subscription, const char *email)
{
    return key(subscription, 'e', mkto_slice_str(email), true);
}

uint64_t mkto_lane_of_cookie(const char *subscription, struct mkto_slice token)
{
    return key(subscription, 'c', token, false);
}

uint64_t mkto_lane_of_visits(const char *subscription, struct mkto_slice token)
{
    return key(subscription, 'v', token, false);
}

uint64_t mkto_lane_of_links(const char *subscription, struct mkto_slice token)
{
    return key(subscription, 'l', token, false);
}

uint64_t mkto_lane_token(const char *subscription, struct mkto_slice token)
{
    return key(subscription, 't', token, false);
}
