/*
 * Calls that Marketo refused as a whole. One record may be the cause: halves go out again, and
 * halves of these, until it is alone, in 2 log2(n) calls. When the request itself is the cause
 * every part of it is refused, and to ask for each of n records would cost 2n calls. So records
 * from all over the call are asked for alone: when MKTO_DISPATCH_SPLIT_ALONE of them were refused,
 * and not one part of the call was taken, what is left is not split any more.
 *
 * That is no proof: these may have been the bad ones by chance. So what was not refused alone comes
 * again, in other calls, and is dead only when MKTO_DISPATCH_VAIN_TRIES of them ended like that.
 */
#include <stdlib.h>
#include <string.h>

#include "mkto_dispatch_state.h"

/* What is known of a call that was split. */
struct mkto_split {
    unsigned users; /* groups and errands that hold it */
    unsigned alone; /* records that were refused alone */
    bool taken;     /* some part was */
};

static struct mkto_split *hold(struct mkto_split *split)
{
    if (split != NULL) {
        split->users++;
    }
    return split;
}

void mkto_dispatch_split_drop(struct mkto_split *split)
{
    if (split != NULL && --split->users == 0) {
        free(split);
    }
}

/* ---- groups ---- */

static struct group *group_new(struct channel *channel, unsigned count, struct mkto_split *split)
{
    struct group *group = malloc(sizeof(*group) + count * sizeof(group->lanes[0]));

    if (group == NULL) {
        abort(); /* its lanes would be in no list; a restart finds their events again */
    }
    group->count = count;
    group->at = 0;
    group->split = hold(split);
    group->next = channel->groups;
    channel->groups = group;
    return group;
}

void mkto_dispatch_group(struct channel *channel, const struct parcel *parcels, unsigned count,
                         struct mkto_split *split)
{
    struct group *group = group_new(channel, count, split);

    for (unsigned i = 0; i < count; i++) {
        group->lanes[i] = parcels[i].lane;
    }
}

void mkto_dispatch_group_drop(struct channel *channel)
{
    struct group *group = channel->groups;

    channel->groups = group->next;
    mkto_dispatch_split_drop(group->split);
    free(group);
}

bool mkto_dispatch_group_begin(struct errand *errand)
{
    struct group *group = errand->channel->groups;

    if (group == NULL) {
        return false;
    }
    errand->channel->groups = group->next;
    errand->group = group;
    errand->split = hold(group->split);
    return true;
}

uint32_t mkto_dispatch_group_take(struct errand *errand)
{
    struct group *group = errand->group;

    return group->at < group->count ? group->lanes[group->at++] : MKTO_LANE_NONE;
}

void mkto_dispatch_group_end(struct errand *errand)
{
    struct group *group = errand->group;

    if (group == NULL) {
        return;
    }
    errand->group = NULL;
    group->next = errand->channel->groups;
    errand->channel->groups = group;
    if (group->at == group->count) {
        mkto_dispatch_group_drop(errand->channel);
    }
}

/* ---- splitting ---- */

void mkto_dispatch_split(struct errand *errand)
{
    unsigned half = errand->count / 2;

    if (errand->split == NULL) {
        errand->split = calloc(1, sizeof(*errand->split));
        if (errand->split == NULL) {
            abort();
        }
        errand->split->users = 1;
    }
    mkto_dispatch_group(errand->channel, errand->parcels + half, errand->count - half,
                        errand->split);
    mkto_dispatch_group(errand->channel, errand->parcels, half, errand->split);
}

static unsigned left_of(const struct group *group)
{
    return group->count - group->at;
}

/* The last record of the largest part goes out alone, and the part is halved, so that the next one
 * comes from elsewhere. */
static void ask_elsewhere(struct channel *channel, struct mkto_split *split)
{
    struct group *most = NULL;

    for (struct group *each = channel->groups; each != NULL; each = each->next) {
        if (each->split == split && (most == NULL || left_of(each) > left_of(most))) {
            most = each;
        }
    }
    if (most == NULL || left_of(most) < 3) {
        return;
    }
    const uint32_t last = most->lanes[--most->count];
    const unsigned half = left_of(most) / 2;
    struct group *rest = group_new(channel, half, split);
    struct group *alone = group_new(channel, 1, split);
    most->count -= half;
    memcpy(rest->lanes, most->lanes + most->count, half * sizeof(rest->lanes[0]));
    alone->lanes[0] = last;
}

/* A lead whose merged events are halved counts once: it is one record. */
static bool is_half(const struct errand *errand)
{
    return mkto_lanes_at(errand->dispatch->lanes, errand->parcels[0].lane)->limit != 0;
}

void mkto_dispatch_split_refused(struct errand *errand)
{
    struct mkto_split *split = errand->split;

    if (split == NULL || errand->count != 1 || is_half(errand)) {
        return;
    }
    split->alone++;
    if (!split->taken && split->alone < MKTO_DISPATCH_SPLIT_ALONE) {
        ask_elsewhere(errand->channel, split);
    }
}

void mkto_dispatch_split_taken(struct errand *errand)
{
    if (errand->split != NULL) {
        errand->split->taken = true;
    }
}

bool mkto_dispatch_split_in_vain(const struct errand *errand)
{
    const struct mkto_split *split = errand->split;

    return split != NULL && !split->taken && split->alone >= MKTO_DISPATCH_SPLIT_ALONE;
}
