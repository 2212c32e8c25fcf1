#include "mkto_http.h"

#include <apr_strings.h>

struct text {
    char *data;
    size_t len;
};

static void add(struct text *text, const char *data, size_t len)
{
    if (data != NULL && len > 0) {
        memcpy(text->data + text->len, data, len);
        text->len += len;
    }
}

static void add_str(struct text *text, const char *s)
{
    add(text, s, strlen(s));
}

/* Host and target of a URL; user information stays out of both. */
static void split_url(const char *url, struct mkto_slice *host, struct mkto_slice *target)
{
    const char *start = strstr(url, "://");
    start = start == NULL ? url : start + 3;
    size_t len = strcspn(start, "/?#");
    const char *at = memchr(start, '@', len);
    const char *name = at == NULL ? start : at + 1;

    *host = (struct mkto_slice){name, (size_t)(start + len - name)};
    *target = (struct mkto_slice){start + len, strcspn(start + len, "#")};
}

static size_t text_size(const struct mkto_http_request *request)
{
    size_t size = strlen(request->method) + strlen(request->url) + request->body.len;

    for (size_t i = 0; i < request->header_count; i++) {
        size += strlen(request->headers[i].name) + strlen(request->headers[i].value) + 4;
    }
    return size + sizeof("  / HTTP/1.1\r\nHost: \r\nContent-Length: 18446744073709551615\r\n\r\n");
}

const char *mkto_http_text(const struct mkto_http_request *request, apr_pool_t *pool)
{
    struct mkto_slice host;
    struct mkto_slice target;
    struct text text = {apr_palloc(pool, text_size(request)), 0};

    split_url(request->url, &host, &target);
    add_str(&text, request->method);
    add_str(&text, " ");
    if (target.len == 0 || target.data[0] != '/') {
        add_str(&text, "/");
    }
    add(&text, target.data, target.len);
    add_str(&text, " HTTP/1.1\r\nHost: ");
    add(&text, host.data, host.len);
    add_str(&text, "\r\n");
    for (size_t i = 0; i < request->header_count; i++) {
        add_str(&text, request->headers[i].name);
        add_str(&text, ": ");
        add_str(&text, request->headers[i].value);
        add_str(&text, "\r\n");
    }
    if (request->body.data != NULL || strcmp(request->method, "POST") == 0) {
        add_str(&text, apr_psprintf(pool, "Content-Length: %" APR_SIZE_T_FMT "\r\n",
                                    (apr_size_t)request->body.len));
    }
    add_str(&text, "\r\n");
    add(&text, request->body.data, request->body.len);
    text.data[text.len] = '\0';
    return text.data;
}
