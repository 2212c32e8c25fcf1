/*
 * mkto_person: does a text name the person with this e-mail? For `marketo forget` and `marketo dead
 * --lead`, which must find every event of a person and nobody else's.
 *
 * The address is looked for as a whole ("ada@example.com" is neither in "bada@example.com" nor in
 * "ada@example.com.au"), in any ASCII case, as it stands there, behind the escapes of JSON, and
 * percent-encoded up to MKTO_PERSON_ROUNDS times, as in the address of a page.
 */
#ifndef MKTO_PERSON_H
#define MKTO_PERSON_H

#include <apr_pools.h>

#include "mkto_envelope.h"

#define MKTO_PERSON_EMAIL_MAX 320 /* bytes of an address: 64, '@' and 255 */
#define MKTO_PERSON_ROUNDS 3      /* times that a text is percent-decoded */

struct mkto_person {
    struct mkto_slice email; /* absent: nobody */
    size_t at;               /* of its '@' */
};

/* Blanks around it are cut off. Returns 0, or -1 with the reason when it is no address. The text is
 * the caller's, and stays. */
int mkto_person_init(struct mkto_person *person, struct mkto_slice email, struct mkto_error *err);

/* As the bytes stand there. */
bool mkto_person_in_bytes(const struct mkto_person *person, struct mkto_slice bytes);

/* Encoded forms, too. The pool is for a copy of the text. */
bool mkto_person_in_text(const struct mkto_person *person, struct mkto_slice text,
                         apr_pool_t *pool);

/* In any field. */
bool mkto_person_in_envelope(const struct mkto_person *person, const struct mkto_envelope *envelope,
                             apr_pool_t *pool);

/* In what the spool keeps of an event; of a damaged one only its bytes are left to look at. */
bool mkto_person_in_event(const struct mkto_person *person, struct mkto_slice envelope,
                          struct mkto_slice raw, apr_pool_t *pool);

#endif
