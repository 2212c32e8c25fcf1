#include "mod_marketo.h"

#include "apr_strings.h"
#include "http_protocol.h"

#define BODY_FIRST 8192 /* bytes of room for a body whose length nobody told */

struct body {
    char *data;
    apr_size_t len, room, max;
};

long long marketo_body_length(const request_rec *r)
{
    const char *text = apr_table_get(r->headers_in, "Content-Length");
    return text == NULL ? -1 : (long long)apr_atoi64(text); /* httpd has checked it */
}

static int append(request_rec *r, struct body *body, const char *data, apr_size_t len)
{
    if (len > body->max - body->len) {
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    }
    if (len > body->room - body->len) {
        while (len > body->room - body->len) {
            body->room *= 2;
        }
        char *larger = apr_palloc(r->pool, body->room);
        memcpy(larger, body->data, body->len);
        body->data = larger;
    }
    memcpy(body->data + body->len, data, len);
    body->len += len;
    return OK;
}

static int append_brigade(request_rec *r, struct body *body, apr_bucket_brigade *brigade,
                          bool *ended)
{
    for (apr_bucket *bucket = APR_BRIGADE_FIRST(brigade);
         bucket != APR_BRIGADE_SENTINEL(brigade) && !*ended; bucket = APR_BUCKET_NEXT(bucket)) {
        const char *data;
        apr_size_t len;
        if (APR_BUCKET_IS_EOS(bucket)) {
            *ended = true;
        } else if (!APR_BUCKET_IS_METADATA(bucket)) {
            if (apr_bucket_read(bucket, &data, &len, APR_BLOCK_READ) != APR_SUCCESS) {
                return HTTP_BAD_REQUEST;
            }
            const int status = append(r, body, data, len);
            if (status != OK) {
                return status;
            }
        }
    }
    return OK;
}

int marketo_body_read(request_rec *r, apr_size_t max, struct mkto_slice *out)
{
    const long long told = marketo_body_length(r);
    struct body body = {.max = max, .room = told > 0 ? (apr_size_t)told : BODY_FIRST};
    body.data = apr_palloc(r->pool, body.room);
    apr_bucket_brigade *brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    bool ended = false;
    int status = OK;
    while (!ended && status == OK) {
        const apr_status_t got = ap_get_brigade(r->input_filters, brigade, AP_MODE_READBYTES,
                                                APR_BLOCK_READ, HUGE_STRING_LEN);
        status = got == APR_SUCCESS ? append_brigade(r, &body, brigade, &ended)
                                    : ap_map_http_request_error(got, HTTP_BAD_REQUEST);
        apr_brigade_cleanup(brigade);
    }
    *out = (struct mkto_slice){body.data, body.len};
    return status;
}
