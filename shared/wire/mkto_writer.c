#include "mkto_writer.h"

#define BLOCK 8 /* bytes that are looked at before one decides */

/* A row for each 16 bytes; those beyond ASCII are zero. */
/* clang-format off */
const struct mkto_writer_set mkto_writer_url = {{
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1,
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0,
}};
const struct mkto_writer_set mkto_writer_path = {{
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1,
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0,
}};
const struct mkto_writer_set mkto_writer_component = {{
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0,
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1,
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0,
}};
/* clang-format on */

void mkto_writer_put(struct mkto_writer *writer, struct mkto_slice text)
{
    if (text.len > 0 && writer->len <= writer->size && text.len <= writer->size - writer->len) {
        memcpy(writer->out + writer->len, text.data, text.len);
    }
    writer->len += text.len;
}

/* How many bytes at the front of a text stand as they are. Nearly all of them do. */
static size_t plain_run(const struct mkto_writer_set *set, const unsigned char *text, size_t len)
{
    size_t run = 0;
    for (; len - run >= BLOCK; run += BLOCK) {
        unsigned all = 1;
        for (size_t i = 0; i < BLOCK; i++) {
            all &= set->plain[text[run + i]];
        }
        if (all == 0) {
            break;
        }
    }
    while (run < len && set->plain[text[run]] != 0) {
        run++;
    }
    return run;
}

void mkto_writer_put_encoded(struct mkto_writer *writer, struct mkto_slice text,
                             const struct mkto_writer_set *plain)
{
    static const char digits[] = "0123456789ABCDEF";
    while (text.len > 0) {
        const unsigned char *bytes = (const unsigned char *)text.data;
        const size_t run = plain_run(plain, bytes, text.len);
        mkto_writer_put(writer, (struct mkto_slice){text.data, run});
        if (run == text.len) {
            return;
        }
        const char encoded[] = {'%', digits[bytes[run] >> 4], digits[bytes[run] & 15]};
        mkto_writer_put(writer, (struct mkto_slice){encoded, sizeof(encoded)});
        text.data += run + 1;
        text.len -= run + 1;
    }
}
