/*
 * Sync Leads by lead id, for events that only a cookie names (contract munchkin-and-rest B2: `id`
 * goes with updateOnly, partitionName does not).
 */
#include "mkto_dispatch_state.h"
#include "mkto_note.h"

static struct mkto_note fields_of(const struct parcel *parcel, apr_pool_t *pool)
{
    struct mkto_note lead = mkto_note_object(pool);

    mkto_note_number(&lead, "id", parcel->lead_id);
    for (size_t i = 0; i < parcel->merged.field_count; i++) {
        const struct mkto_field *field = &parcel->merged.fields[i];
        switch (field->kind) {
        case MKTO_FIELD_TEXT: mkto_note_text(&lead, field->name, field->value); break;
        case MKTO_FIELD_NUMBER: mkto_note_digits(&lead, field->name, field->value); break;
        case MKTO_FIELD_BOOL:
            mkto_note_bool(&lead, field->name, strcmp(field->value, "true") == 0);
            break;
        }
    }
    return lead;
}

void mkto_dispatch_update(const struct errand *errand, struct mkto_http_request *request)
{
    const struct channel *channel = errand->channel;
    const struct mkto_lead *leads[] = {&errand->parcels[0].merged};
    struct mkto_note root = mkto_note_object(errand->pool);
    struct mkto_note input = mkto_note_array(errand->pool);
    struct mkto_note lead = fields_of(&errand->parcels[0], errand->pool);

    /* address and headers are those of every Sync Leads call; only the body is another */
    (void)mkto_rest_sync(channel->sub, channel->token, leads, 1, request, errand->pool);
    mkto_note_text(&root, "action", "updateOnly");
    mkto_note_text(&root, "lookupField", "id");
    mkto_note_add(&input, NULL, &lead);
    mkto_note_add(&root, "input", &input);
    request->body = mkto_note_json(&root);
}
