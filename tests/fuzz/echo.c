/*
 * echo: our writers for a test in another language. Reads lines "WHAT HEX" and answers each with a
 * line of hex, or "error TEXT". WHAT: json (parsed and written again), encode and recode
 * (Munchkin's), soap and rest (the request's body for a lead with that text as its e-mail and as a
 * field's value).
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>

#include "mkto_json.h"
#include "mkto_munchkin.h"
#include "mkto_rest.h"
#include "mkto_soap.h"

static const struct mkto_subscription subscription = {
    .name = "",
    .munchkin_id = "561-HYG-937",
    .rest_endpoint = "https://561-hyg-937.mktorest.com",
    .soap_endpoint = "https://561-hyg-937.mktoapi.com/soap/mktows/3_1",
};

static struct mkto_slice from_hex(const char *hex, apr_pool_t *pool)
{
    const size_t len = strspn(hex, "0123456789abcdef") / 2;
    char *text = apr_palloc(pool, len + 1);

    for (size_t i = 0; i < len; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        text[i] = (char)strtoul(digits, NULL, 16);
    }
    text[len] = '\0';
    return (struct mkto_slice){text, len};
}

static void answer(struct mkto_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        printf("%02x", (unsigned)(unsigned char)text.data[i]);
    }
    putchar('\n');
}

static void answer_json(struct mkto_slice text, apr_pool_t *pool)
{
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_json *root;

    if (mkto_json_parse(text, &root, &err, pool) != 0) {
        printf("error %s\n", err.text);
    } else {
        answer(mkto_json_text(root, pool));
    }
}

static void answer_lead(bool soap, struct mkto_slice text, apr_pool_t *pool)
{
    const struct mkto_soap_credentials credentials = {MKTO_SLICE_LIT("user"),
                                                      MKTO_SLICE_LIT("key")};
    const struct mkto_field field = {"Value", text.data, MKTO_FIELD_TEXT};
    const struct mkto_lead lead = {.email = text.data, .fields = &field, .field_count = 1};
    const struct mkto_lead *leads = &lead;
    struct mkto_http_request request;

    if (soap) {
        mkto_soap_sync_lead(&subscription, &credentials, 1700000000000, &lead, &request, pool);
    } else {
        mkto_rest_sync(&subscription, "token", &leads, 1, &request, pool);
    }
    answer(request.body);
}

static void serve(const char *what, struct mkto_slice text, apr_pool_t *pool)
{
    if (strcmp(what, "json") == 0) {
        answer_json(text, pool);
    } else if (strcmp(what, "encode") == 0) {
        answer(mkto_slice_str(mkto_munchkin_encode(text, pool)));
    } else if (strcmp(what, "recode") == 0) {
        answer(mkto_slice_str(mkto_munchkin_recode(text, pool)));
    } else {
        answer_lead(strcmp(what, "soap") == 0, text, pool);
    }
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;

    apr_initialize();
    while (getline(&line, &size, stdin) > 0) {
        apr_pool_t *pool;
        char *hex = strchr(line, ' ');
        if (hex == NULL || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
            return 3;
        }
        *hex++ = '\0';
        serve(line, from_hex(hex, pool), pool);
        apr_pool_destroy(pool);
    }
    free(line);
    return 0;
}
