#include "mkto_reply.h"

#include <stdio.h>

#include "mkto_host.h"
#include "mkto_writer.h"

#define JSON "application/json"

#define TO_TEXT(number) #number
#define SECONDS(number) TO_TEXT(number)

/* One transparent pixel. */
static const char pixel[] =
    "GIF89a\1\0\1\0\200\0\0\0\0\0\377\377\377!\371\4\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;";

static void add(struct mkto_reply *reply, const char *name, struct mkto_slice value)
{
    if (reply->header_count < MKTO_REPLY_HEADERS_MAX) {
        reply->headers[reply->header_count++] = (struct mkto_reply_header){name, value};
    }
}

static void start(struct mkto_reply *reply, int status)
{
    reply->status = status;
    reply->content_type = MKTO_SLICE_NONE;
    reply->body = MKTO_SLICE_NONE;
    reply->header_count = 0;
}

static void no_store(struct mkto_reply *reply)
{
    add(reply, "Cache-Control", MKTO_SLICE_LIT("no-store"));
}

/* An origin goes back as it came, and must not end the header that it stands in. */
static bool is_printable(struct mkto_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] > '~') {
            return false;
        }
    }
    return text.len > 0;
}

/* Whether CORS headers were added. */
static bool add_origin(struct mkto_reply *reply, const struct mkto_reply_more *more)
{
    if (more->varies || more->origin.len > 0) {
        add(reply, "Vary", MKTO_SLICE_LIT("Origin"));
    }
    if (!is_printable(more->origin)) {
        return false;
    }
    add(reply, "Access-Control-Allow-Origin", more->origin);
    add(reply, "Access-Control-Allow-Credentials", MKTO_SLICE_LIT("true"));
    return true;
}

void mkto_reply_answer(struct mkto_reply *reply, enum mkto_answer answer,
                       const struct mkto_reply_more *more)
{
    const int retry = more->retry_after > 0 ? more->retry_after : mkto_answer_retry_after(answer);
    start(reply, mkto_answer_status(answer));
    reply->content_type = MKTO_SLICE_LIT(JSON);
    reply->body = more->body.len > 0 ? more->body : mkto_answer_body(answer);
    no_store(reply);
    if (retry > 0 && mkto_answer_retry_after(answer) > 0) {
        const int len = snprintf(reply->number, sizeof(reply->number), "%d", retry);
        add(reply, "Retry-After", (struct mkto_slice){reply->number, (size_t)len});
    }
    if (answer == MKTO_ANSWER_BAD_METHOD && more->allow != NULL) {
        add(reply, "Allow", mkto_slice_str(more->allow));
    }
    if (add_origin(reply, more)) {
        add(reply, "Access-Control-Expose-Headers", MKTO_SLICE_LIT("Retry-After"));
    }
}

void mkto_reply_pixel(struct mkto_reply *reply)
{
    start(reply, 200);
    reply->content_type = MKTO_SLICE_LIT("image/gif");
    reply->body = (struct mkto_slice){pixel, sizeof(pixel) - 1};
    no_store(reply);
}

void mkto_reply_preflight(struct mkto_reply *reply, const char *allow,
                          const struct mkto_reply_more *more, bool foreign)
{
    if (foreign) {
        mkto_reply_answer(reply, MKTO_ANSWER_FORBIDDEN, more);
        return;
    }
    start(reply, 204);
    no_store(reply);
    if (!add_origin(reply, more)) {
        add(reply, "Allow", mkto_slice_str(allow));
        return;
    }
    add(reply, "Access-Control-Allow-Methods", mkto_slice_str(allow));
    add(reply, "Access-Control-Allow-Headers",
        MKTO_SLICE_LIT("Authorization, Content-Type, X-Retry-Count"));
    add(reply, "Access-Control-Max-Age", MKTO_SLICE_LIT(SECONDS(MKTO_REPLY_PREFLIGHT_AGE)));
}

static bool has_etag(struct mkto_slice list, const char *etag)
{
    while (list.len > 0) {
        struct mkto_slice one = mkto_slice_trim(mkto_slice_cut(&list, ','));
        if (one.len > 2 && one.data[0] == 'W' && one.data[1] == '/') {
            one.data += 2;
            one.len -= 2;
        }
        if (mkto_slice_is(one, etag) || mkto_slice_is(one, "*")) {
            return true;
        }
    }
    return false;
}

void mkto_reply_script(struct mkto_reply *reply, struct mkto_slice script, const char *etag,
                       struct mkto_slice if_none_match)
{
    start(reply, has_etag(if_none_match, etag) ? 304 : 200);
    add(reply, "ETag", mkto_slice_str(etag));
    add(reply, "Cache-Control", MKTO_SLICE_LIT("public, max-age=" SECONDS(MKTO_REPLY_MAX_AGE)));
    if (reply->status == 200) {
        reply->content_type = MKTO_SLICE_LIT("text/javascript; charset=utf-8");
        reply->body = script;
    }
}

/* Settings. */

/* Without slashes at its end. */
static struct mkto_slice trim_path(struct mkto_slice path)
{
    while (path.len > 0 && path.data[path.len - 1] == '/') {
        path.len--;
    }
    return path;
}

static bool is_secure(struct mkto_slice url)
{
    static const struct mkto_slice scheme = {"https://", 8};
    return url.len >= scheme.len &&
           mkto_slice_eq_fold((struct mkto_slice){url.data, scheme.len}, scheme);
}

/* TLS may end at a proxy in front of us: a page that came by https can call nothing else. */
static struct mkto_slice protocol_of(const struct mkto_request *request)
{
    return request->https || is_secure(request->header[MKTO_HEADER_ORIGIN]) ||
                   is_secure(request->header[MKTO_HEADER_REFERER])
               ? MKTO_SLICE_LIT("https")
               : MKTO_SLICE_LIT("http");
}

static size_t write_settings(const struct mkto_request *request, struct mkto_slice prefix,
                             struct mkto_slice key, char *out, size_t size)
{
    struct mkto_writer writer = {out, size, 0};
    mkto_writer_put(&writer, MKTO_SLICE_LIT("{\"integrations\":{\"Segment.io\":{\"apiKey\":\""));
    mkto_writer_put(&writer, key);
    mkto_writer_put(&writer, MKTO_SLICE_LIT("\",\"apiHost\":\""));
    mkto_writer_put(&writer, request->host);
    mkto_writer_put_encoded(&writer, trim_path(prefix), &mkto_writer_path);
    mkto_writer_put(&writer, MKTO_SLICE_LIT("/v1\",\"protocol\":\""));
    mkto_writer_put(&writer, protocol_of(request));
    mkto_writer_put(&writer,
                    MKTO_SLICE_LIT("\",\"unbundledIntegrations\":[],\"addBundledMetadata\":true,"
                                   "\"maybeBundledConfigIds\":{},\"versionSettings\":{\"version\":"
                                   "\"4.4.7\",\"componentTypes\":[\"browser\"]}}},"
                                   "\"plan\":{\"track\":{\"__default\":{\"enabled\":true,"
                                   "\"integrations\":{}}},\"identify\":{\"__default\":{\"enabled\":"
                                   "true}},\"group\":{\"__default\":{\"enabled\":true}}},"
                                   "\"edgeFunction\":{},\"analyticsNextEnabled\":true,"
                                   "\"middlewareSettings\":{},\"enabledMiddleware\":{},"
                                   "\"metrics\":{\"sampleRate\":0},"
                                   "\"legacyVideoPluginsEnabled\":false,\"remotePlugins\":[]}"));
    return writer.len <= size ? writer.len : 0;
}

void mkto_reply_settings(struct mkto_reply *reply, const struct mkto_request *request,
                         struct mkto_slice prefix, struct mkto_slice key,
                         const struct mkto_reply_more *more)
{
    const size_t len = !mkto_host_is_clean(request->host)
                           ? 0
                           : write_settings(request, prefix, key, reply->text, MKTO_SETTINGS_MAX);
    if (len == 0) {
        struct mkto_reply_more bad = *more;
        bad.body =
            MKTO_SLICE_LIT("{\"success\":false,\"error\":\"the Host header is not a host name\"}");
        mkto_reply_answer(reply, MKTO_ANSWER_BAD_REQUEST, &bad);
        return;
    }
    start(reply, 200);
    reply->content_type = MKTO_SLICE_LIT(JSON);
    reply->body = (struct mkto_slice){reply->text, len};
    add(reply, "Cache-Control",
        MKTO_SLICE_LIT("private, max-age=" SECONDS(MKTO_REPLY_SETTINGS_AGE)));
    add_origin(reply, more);
}

/* The status page. */

enum mkto_reply_part mkto_reply_part(const struct mkto_request *request)
{
    static const struct mkto_slice json = {JSON, sizeof(JSON) - 1};
    const struct mkto_slice query = mkto_request_query(request->uri);
    const struct mkto_slice accept = request->header[MKTO_HEADER_ACCEPT];
    if (mkto_slice_is(query, "css")) {
        return MKTO_REPLY_STYLE;
    }
    if (mkto_slice_is(query, "js")) {
        return MKTO_REPLY_CODE;
    }
    if (mkto_slice_is(query, "json") ||
        (accept.len > 0 && memmem(accept.data, accept.len, json.data, json.len) != NULL)) {
        return MKTO_REPLY_STATUS;
    }
    return MKTO_REPLY_PAGE;
}

void mkto_reply_document(struct mkto_reply *reply, enum mkto_reply_part part,
                         struct mkto_slice text)
{
    start(reply, 200);
    reply->content_type = part == MKTO_REPLY_STYLE ? MKTO_SLICE_LIT("text/css; charset=utf-8")
                          : part == MKTO_REPLY_CODE
                              ? MKTO_SLICE_LIT("text/javascript; charset=utf-8")
                              : MKTO_SLICE_LIT("text/html; charset=utf-8");
    reply->body = text;
    no_store(reply);
    add(reply, "Content-Security-Policy",
        MKTO_SLICE_LIT("default-src 'none'; style-src 'self'; script-src 'self'; "
                       "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                       "frame-ancestors 'none'"));
    add(reply, "X-Content-Type-Options", MKTO_SLICE_LIT("nosniff"));
    add(reply, "Referrer-Policy", MKTO_SLICE_LIT("no-referrer"));
}
