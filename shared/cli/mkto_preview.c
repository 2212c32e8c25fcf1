#include "mkto_preview.h"

#include <apr_strings.h>
#include <stdio.h>

#include "mkto_command.h"
#include "mkto_munchkin.h"
#include "mkto_note.h"
#include "mkto_rest.h"

static void add_field(struct mkto_note *note, const struct mkto_field *field, enum mkto_api api,
                      apr_pool_t *pool)
{
    struct mkto_note number;

    if (api == MKTO_API_SOAP || field->kind == MKTO_FIELD_TEXT) {
        mkto_note_text(note, field->name, field->value);
    } else if (field->kind == MKTO_FIELD_BOOL) {
        mkto_note_bool(note, field->name, strcmp(field->value, "true") == 0);
    } else {
        number = mkto_note_object(pool); /* a number keeps its digits */
        number.node->type = MKTO_JSON_NUMBER;
        number.node->text = mkto_slice_str(field->value);
        mkto_note_add(note, field->name, &number);
    }
}

static void add_headers(struct mkto_note *note, const struct mkto_http_request *request,
                        apr_pool_t *pool)
{
    struct mkto_note headers = mkto_note_object(pool);

    for (size_t i = 0; i < request->header_count; i++) {
        mkto_note_text(&headers, request->headers[i].name, request->headers[i].value);
    }
    mkto_note_add(note, "headers", &headers);
}

/* What a rule keeps back, with the key of marketo.conf that says so. */
static void add_withheld(struct mkto_note *note, const struct mkto_withheld *first,
                         apr_pool_t *pool)
{
    struct mkto_note names = mkto_note_object(pool);

    for (const struct mkto_withheld *each = first; each != NULL; each = each->next) {
        mkto_note_text(&names, each->name, each->rule);
    }
    if (first != NULL) {
        mkto_note_add(note, "withheld", &names);
    }
}

/* ---- deliveries ---- */

static void print_lead(const struct mkto_delivery *delivery, apr_pool_t *pool)
{
    const struct mkto_lead *lead = &delivery->lead;
    struct mkto_note note = mkto_note_object(pool);
    struct mkto_note key = mkto_note_object(pool);
    struct mkto_note fields = mkto_note_object(pool);

    mkto_note_text(&note, "kind", "lead");
    mkto_note_text(&note, "api", delivery->api == MKTO_API_SOAP ? "soap" : "rest");
    if (lead->email != NULL) {
        mkto_note_text(&key, "email", lead->email);
    }
    if (lead->cookie != NULL) {
        mkto_note_text(&key, "cookie", lead->cookie);
    }
    mkto_note_add(&note, "key", &key);
    for (size_t i = 0; i < lead->field_count; i++) {
        add_field(&fields, &lead->fields[i], delivery->api, pool);
    }
    mkto_note_add(&note, "fields", &fields);
    add_withheld(&note, delivery->withheld, pool);
    if (delivery->dropped > 0) {
        mkto_note_number(&note, "dropped", delivery->dropped);
    }
    mkto_command_line(mkto_note_json(&note));
}

static void print_visit(const struct mkto_preview *preview, const struct mkto_delivery *delivery,
                        apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);
    struct mkto_http_request request;

    mkto_munchkin_visit(preview->subscription, &delivery->visit, &request, pool);
    mkto_note_text(&note, "kind", "visit");
    mkto_note_text(&note, "url", request.url);
    add_headers(&note, &request, pool);
    mkto_command_line(mkto_note_json(&note));
}

static void print_refusal(const struct mkto_preview *preview, const char *kind, const char *reason,
                          const char *detail, apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);

    if (preview->wire && !preview->json) {
        /* Not among the requests, which somebody may feed to a server as they are. */
        fflush(stdout);
        fprintf(stderr, "%s: %s%s%s\n", kind, reason, detail == NULL ? "" : ": ",
                detail == NULL ? "" : detail);
        return;
    }
    mkto_note_text(&note, "kind", kind);
    mkto_note_text(&note, "reason", reason);
    if (detail != NULL) {
        mkto_note_text(&note, "detail", detail);
    }
    mkto_command_line(mkto_note_json(&note));
}

/* ---- requests ---- */

static void print_request(const struct mkto_preview *preview,
                          const struct mkto_http_request *request, apr_pool_t *pool)
{
    struct mkto_note note = mkto_note_object(pool);

    if (!preview->json) {
        printf("%s\n\n", mkto_http_text(request, pool));
        return;
    }
    mkto_note_text(&note, "kind", "request");
    mkto_note_text(&note, "method", request->method);
    mkto_note_text(&note, "url", request->url);
    add_headers(&note, request, pool);
    if (request->body.data != NULL) {
        mkto_note_text(&note, "body", apr_pstrmemdup(pool, request->body.data, request->body.len));
    }
    mkto_command_line(mkto_note_json(&note));
}

/* text with its first `from` made `to`; text itself when there is none. */
static const char *put(const char *text, const char *from, const char *to, apr_pool_t *pool)
{
    const char *at = strstr(text, from);

    if (at == NULL) {
        return text;
    }
    return apr_pstrcat(pool, apr_pstrmemdup(pool, text, (apr_size_t)(at - text)), to,
                       at + strlen(from), NULL);
}

static void print_rest(const struct mkto_preview *preview, const struct mkto_lead *lead,
                       apr_pool_t *pool)
{
    struct mkto_http_request request;

    if (lead->email != NULL) {
        mkto_rest_sync(preview->subscription, MKTO_PREVIEW_TOKEN, &lead, 1, &request, pool);
        print_request(preview, &request, pool);
        if (lead->cookie == NULL) {
            return;
        }
        mkto_rest_associate(preview->subscription, MKTO_PREVIEW_TOKEN, 0, lead->cookie, &request,
                            pool);
        request.url = put(request.url, "/leads/0/", "/leads/" MKTO_PREVIEW_LEAD_ID "/", pool);
    } else {
        mkto_rest_update(preview->subscription, MKTO_PREVIEW_TOKEN, 0, lead, &request, pool);
        request.body = mkto_slice_str(put(apr_pstrmemdup(pool, request.body.data, request.body.len),
                                          "\"id\":0", "\"id\":" MKTO_PREVIEW_LEAD_ID, pool));
    }
    print_request(preview, &request, pool);
}

static void print_soap(const struct mkto_preview *preview, const struct mkto_lead *lead,
                       apr_pool_t *pool)
{
    struct mkto_http_request request;

    if (lead->cookie != NULL) {
        mkto_soap_sync_lead(preview->subscription, &preview->credentials, preview->now_ms, lead,
                            &request, pool);
    } else {
        mkto_soap_sync_multiple(preview->subscription, &preview->credentials, preview->now_ms,
                                &lead, 1, &request, pool);
    }
    print_request(preview, &request, pool);
}

static void print_wire(const struct mkto_preview *preview, const struct mkto_delivery *delivery,
                       apr_pool_t *pool)
{
    struct mkto_http_request request;

    if (delivery->kind == MKTO_DELIVERY_VISIT) {
        mkto_munchkin_visit(preview->subscription, &delivery->visit, &request, pool);
        print_request(preview, &request, pool);
    } else if (delivery->api == MKTO_API_SOAP) {
        print_soap(preview, &delivery->lead, pool);
    } else {
        print_rest(preview, &delivery->lead, pool);
    }
}

void mkto_preview_delivery(const struct mkto_preview *preview, const struct mkto_delivery *delivery,
                           apr_pool_t *pool)
{
    switch (delivery->kind) {
    case MKTO_DELIVERY_REJECTED:
        print_refusal(preview, "rejected", delivery->reason, delivery->detail, pool);
        return;
    case MKTO_DELIVERY_FILTERED:
        print_refusal(preview, "filtered", delivery->reason, delivery->detail, pool);
        return;
    default: break;
    }
    if (preview->wire) {
        print_wire(preview, delivery, pool);
    } else if (delivery->kind == MKTO_DELIVERY_VISIT) {
        print_visit(preview, delivery, pool);
    } else {
        print_lead(delivery, pool);
    }
}

void mkto_preview_fault(const struct mkto_preview *preview, const struct mkto_event_fault *fault,
                        apr_pool_t *pool)
{
    print_refusal(preview, "rejected", mkto_answer_name(fault->answer), fault->error.text, pool);
}
