/*
 * mkto_hash: the three hashes of the contracts, by libcrypto.
 */
#ifndef MKTO_HASH_H
#define MKTO_HASH_H

#include <stdint.h>

#include "mkto_slice.h"

#define MKTO_HASH_HEX 41 /* bytes: 40 lower-case hex digits of a SHA-1 and NUL */

/* SHA-1(private key ‖ e-mail), for Munchkin's associateLead: bytes as given, no trimming, no case
 * change (A4). */
void mkto_hash_email(struct mkto_slice private_key, struct mkto_slice email,
                     char out[MKTO_HASH_HEX]);

/* HMAC-SHA1(encryption key, timestamp ‖ user id), the SOAP requestSignature (marketo-soap 1.6). */
void mkto_hash_signature(struct mkto_slice encryption_key, struct mkto_slice timestamp,
                         struct mkto_slice user_id, char out[MKTO_HASH_HEX]);

/* SHA-1 of up to three parts in a row; how made tokens and short log forms of an e-mail are
 * derived. */
void mkto_hash_parts(struct mkto_slice a, struct mkto_slice b, struct mkto_slice c,
                     char out[MKTO_HASH_HEX]);

/* First 8 bytes of a SHA-1 as an integer: lanes and message ids. */
uint64_t mkto_hash_64(struct mkto_slice a, struct mkto_slice b);

#endif
