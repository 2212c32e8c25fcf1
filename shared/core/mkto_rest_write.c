#include "mkto_rest.h"

#include <apr_strings.h>
#include <yajl/yajl_gen.h>

/* JSON text that grows in a pool; yajl prints into it, and its end can be taken back. */
struct body {
    char *data;
    size_t len;
    size_t size;
    apr_pool_t *pool;
};

static void body_print(void *ctx, const char *text, size_t len)
{
    struct body *body = ctx;

    if (body->size - body->len <= len) {
        size_t size = 2 * (body->len + len) + 1;
        char *data = apr_palloc(body->pool, size);
        if (body->len > 0) {
            memcpy(data, body->data, body->len);
        }
        body->data = data;
        body->size = size;
    }
    memcpy(body->data + body->len, text, len);
    body->len += len;
    body->data[body->len] = '\0';
}

static void gen_text(yajl_gen gen, const char *text)
{
    yajl_gen_string(gen, (const unsigned char *)text, strlen(text));
}

static void gen_field(yajl_gen gen, const struct mkto_field *field)
{
    gen_text(gen, field->name);
    switch (field->kind) {
    case MKTO_FIELD_NUMBER: yajl_gen_number(gen, field->value, strlen(field->value)); break;
    case MKTO_FIELD_BOOL: yajl_gen_bool(gen, strcmp(field->value, "true") == 0); break;
    case MKTO_FIELD_TEXT: gen_text(gen, field->value); break;
    }
}

/* A record; id may be NULL. */
static void gen_lead(yajl_gen gen, const int64_t *id, const struct mkto_lead *lead)
{
    yajl_gen_map_open(gen);
    if (id != NULL) {
        gen_text(gen, "id");
        yajl_gen_integer(gen, *id);
    }
    if (lead->email != NULL) {
        gen_text(gen, "email");
        gen_text(gen, lead->email);
    }
    for (size_t i = 0; i < lead->field_count; i++) {
        gen_field(gen, &lead->fields[i]);
    }
    yajl_gen_map_close(gen);
}

static void gen_head(yajl_gen gen, const char *action, const char *lookup, const char *partition)
{
    yajl_gen_map_open(gen);
    gen_text(gen, "action");
    gen_text(gen, action);
    gen_text(gen, "lookupField");
    gen_text(gen, lookup);
    if (partition != NULL) {
        gen_text(gen, "partitionName");
        gen_text(gen, partition);
    }
    gen_text(gen, "input");
    yajl_gen_array_open(gen);
}

/* Leads until the body is full or the batch is; the one that went over is taken back. */
static size_t gen_leads(yajl_gen gen, struct body *body, const struct mkto_lead *const *leads,
                        size_t count)
{
    const size_t tail = strlen("]}");
    size_t done = 0;

    while (done < count && done < MKTO_REST_BATCH_MAX) {
        size_t before = body->len;
        gen_lead(gen, NULL, leads[done]);
        if (done > 0 && body->len + tail > MKTO_REST_BODY_MAX) {
            body->len = before;
            break;
        }
        done++;
    }
    return done;
}

static void set_headers(struct mkto_http_request *request, const char *token, apr_pool_t *pool)
{
    const struct mkto_http_header all[] = {
        {"Authorization", apr_pstrcat(pool, "Bearer ", token, NULL)},
        {"Content-Type", "application/json"},
        {"Accept", "application/json"},
    };
    request->headers = apr_pmemdup(pool, all, sizeof(all));
    request->header_count = sizeof(all) / sizeof(all[0]);
}

static yajl_gen open_body(struct body *body, apr_pool_t *pool)
{
    yajl_gen gen = yajl_gen_alloc(NULL);

    *body = (struct body){NULL, 0, 0, pool};
    yajl_gen_config(gen, yajl_gen_print_callback, body_print, body);
    return gen;
}

/* Ends the input and the object around it, and makes the request of it. */
static void close_body(yajl_gen gen, const struct body *body,
                       const struct mkto_subscription *subscription, const char *token,
                       struct mkto_http_request *request)
{
    yajl_gen_array_close(gen);
    yajl_gen_map_close(gen);
    yajl_gen_free(gen);
    request->method = "POST";
    request->url =
        apr_pstrcat(body->pool, subscription->rest_endpoint, "/rest/v1/leads.json", NULL);
    request->body = (struct mkto_slice){body->data, body->len};
    set_headers(request, token, body->pool);
}

size_t mkto_rest_sync(const struct mkto_subscription *subscription, const char *token,
                      const struct mkto_lead *const *leads, size_t count,
                      struct mkto_http_request *request, apr_pool_t *pool)
{
    struct body body;
    yajl_gen gen = open_body(&body, pool);

    gen_head(gen, "createOrUpdate", "email", subscription->rest_partition);
    size_t done = gen_leads(gen, &body, leads, count);
    close_body(gen, &body, subscription, token, request);
    return done;
}

void mkto_rest_update(const struct mkto_subscription *subscription, const char *token,
                      int64_t lead_id, const struct mkto_lead *lead,
                      struct mkto_http_request *request, apr_pool_t *pool)
{
    struct body body;
    yajl_gen gen = open_body(&body, pool);

    gen_head(gen, "updateOnly", "id", NULL); /* a partition goes with creating only */
    gen_lead(gen, &lead_id, lead);
    close_body(gen, &body, subscription, token, request);
}

/* Everything outside the unreserved characters of RFC 3986 escaped: a form value, a cookie. */
static const char *escape(struct mkto_slice text, apr_pool_t *pool)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = apr_palloc(pool, 3 * text.len + 1);
    size_t used = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '.' || c == '_' || c == '~') {
            out[used++] = (char)c;
            continue;
        }
        out[used++] = '%';
        out[used++] = digits[c >> 4];
        out[used++] = digits[c & 15];
    }
    out[used] = '\0';
    return out;
}

void mkto_rest_token(const struct mkto_subscription *subscription, struct mkto_slice client_secret,
                     struct mkto_http_request *request, apr_pool_t *pool)
{
    static const struct mkto_http_header headers[] = {
        {"Content-Type", "application/x-www-form-urlencoded"},
        {"Accept", "application/json"},
    };

    request->method = "POST";
    request->url = apr_pstrcat(pool, subscription->rest_endpoint, "/identity/oauth/token", NULL);
    request->headers = headers;
    request->header_count = sizeof(headers) / sizeof(headers[0]);
    request->body =
        mkto_slice_str(apr_pstrcat(pool, "grant_type=client_credentials&client_id=",
                                   escape(mkto_slice_str(subscription->rest_client_id), pool),
                                   "&client_secret=", escape(client_secret, pool), NULL));
}

void mkto_rest_associate(const struct mkto_subscription *subscription, const char *token,
                         int64_t lead_id, const char *cookie, struct mkto_http_request *request,
                         apr_pool_t *pool)
{
    request->method = "POST";
    request->url = apr_psprintf(
        pool, "%s/rest/v1/leads/%" APR_INT64_T_FMT "/associate.json?cookie=%s",
        subscription->rest_endpoint, (apr_int64_t)lead_id, escape(mkto_slice_str(cookie), pool));
    request->body = MKTO_SLICE_NONE;
    set_headers(request, token, pool);
}

void mkto_rest_describe(const struct mkto_subscription *subscription, const char *token,
                        struct mkto_http_request *request, apr_pool_t *pool)
{
    request->method = "GET";
    request->url =
        apr_pstrcat(pool, subscription->rest_endpoint, "/rest/v1/leads/describe2.json", NULL);
    request->body = MKTO_SLICE_NONE;
    set_headers(request, token, pool);
}
