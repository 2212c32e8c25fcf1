#include "mkto_hash.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

enum { DIGEST_BYTES = 20 };

/*
 * SHA-1 can only fail when memory is gone or a crypto policy took it away. Both are the end: a
 * wrong digest would sign nothing and mix up lanes and duplicates.
 */
static void must(int done)
{
    if (done != 1) {
        fputs("SHA-1 is not available from libcrypto\n", stderr);
        abort();
    }
}

/*
 * A context that has begun a SHA-1. Kept for the life of the thread: every event is hashed on its
 * way to the acknowledgement, and looking the algorithm up takes longer than hashing.
 */
static EVP_MD_CTX *begin(void)
{
    static _Thread_local EVP_MD_CTX *kept;

    if (kept == NULL) {
        kept = EVP_MD_CTX_new();
        must(kept != NULL && EVP_DigestInit_ex(kept, EVP_sha1(), NULL) == 1);
        return kept;
    }
    must(EVP_DigestInit_ex(kept, NULL, NULL));
    return kept;
}

static void digest(const struct mkto_slice *parts, size_t count, unsigned char out[DIGEST_BYTES])
{
    EVP_MD_CTX *ctx = begin();

    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) {
            must(EVP_DigestUpdate(ctx, parts[i].data, parts[i].len));
        }
    }
    must(EVP_DigestFinal_ex(ctx, out, NULL));
}

static void hex(const unsigned char bytes[DIGEST_BYTES], char out[MKTO_HASH_HEX])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[MKTO_HASH_HEX - 1] = '\0';
}

void mkto_hash_parts(struct mkto_slice a, struct mkto_slice b, struct mkto_slice c,
                     char out[MKTO_HASH_HEX])
{
    const struct mkto_slice parts[] = {a, b, c};
    unsigned char bytes[DIGEST_BYTES];

    digest(parts, 3, bytes);
    hex(bytes, out);
}

void mkto_hash_email(struct mkto_slice private_key, struct mkto_slice email,
                     char out[MKTO_HASH_HEX])
{
    mkto_hash_parts(private_key, email, MKTO_SLICE_NONE, out);
}

void mkto_hash_signature(struct mkto_slice encryption_key, struct mkto_slice timestamp,
                         struct mkto_slice user_id, char out[MKTO_HASH_HEX])
{
    unsigned char bytes[DIGEST_BYTES];
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(
        EVP_PKEY_HMAC, NULL,
        (const unsigned char *)(encryption_key.data == NULL ? "" : encryption_key.data),
        encryption_key.len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = sizeof(bytes);

    must(key != NULL && ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha1(), NULL, key) == 1);
    if (timestamp.len > 0) {
        must(EVP_DigestSignUpdate(ctx, timestamp.data, timestamp.len));
    }
    if (user_id.len > 0) {
        must(EVP_DigestSignUpdate(ctx, user_id.data, user_id.len));
    }
    must(EVP_DigestSignFinal(ctx, bytes, &len));
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    hex(bytes, out);
}

uint64_t mkto_hash_64(struct mkto_slice a, struct mkto_slice b)
{
    const struct mkto_slice parts[] = {a, b};
    unsigned char bytes[DIGEST_BYTES];
    uint64_t value = 0;

    digest(parts, 2, bytes);
    for (size_t i = 0; i < sizeof(value); i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}
