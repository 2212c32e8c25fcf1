#include "mkto_writer.h"

const struct mkto_writer_set mkto_writer_url = {{0xaffffffa00000000u, 0x47fffffeafffffffu, 0, 0}};
const struct mkto_writer_set mkto_writer_path = {{0x2ffffff200000000u, 0x47fffffe87ffffffu, 0, 0}};
const struct mkto_writer_set mkto_writer_component = {
    {0x03ff678200000000u, 0x47fffffe87fffffeu, 0, 0}};

void mkto_writer_put(struct mkto_writer *writer, struct mkto_slice text)
{
    if (text.len > 0 && writer->len <= writer->size && text.len <= writer->size - writer->len) {
        memcpy(writer->out + writer->len, text.data, text.len);
    }
    writer->len += text.len;
}

static bool is_in(const struct mkto_writer_set *set, unsigned char c)
{
    return ((set->bits[c >> 6] >> (c & 63)) & 1) != 0;
}

void mkto_writer_put_encoded(struct mkto_writer *writer, struct mkto_slice text,
                             const struct mkto_writer_set *plain)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t done = 0;
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.data[i];
        if (!is_in(plain, c)) {
            const char encoded[] = {'%', digits[c >> 4], digits[c & 15]};
            mkto_writer_put(writer, (struct mkto_slice){text.data + done, i - done});
            mkto_writer_put(writer, (struct mkto_slice){encoded, sizeof(encoded)});
            done = i + 1;
        }
    }
    if (done < text.len) {
        mkto_writer_put(writer, (struct mkto_slice){text.data + done, text.len - done});
    }
}
