#include "mkto_utf8.h"

/* Bytes of the ASCII run at the front, eight at a time: nearly all of nearly every body. */
static size_t ascii_run(const char *text, size_t len)
{
    const uint64_t high = 0x8080808080808080u;
    size_t at = 0;
    while (len - at >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, text + at, sizeof(word));
        if ((word & high) != 0) {
            break;
        }
        at += sizeof(word);
    }
    while (at < len && (unsigned char)text[at] < 0x80) {
        at++;
    }
    return at;
}

/* Length of the sequence that begins with a lead byte, and the range that its second byte must lie
 * in; 0 when no sequence begins with it. The range of the second byte is what keeps out overlong
 * forms, surrogates and what lies over U+10FFFF. */
static size_t sequence(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        *low = lead == 0xE0 ? 0xA0 : 0x80;
        *high = lead == 0xED ? 0x9F : 0xBF;
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        *low = lead == 0xF0 ? 0x90 : 0x80;
        *high = lead == 0xF4 ? 0x8F : 0xBF;
        return 4;
    }
    return 0;
}

static bool valid_sequence(const unsigned char *text, size_t left, size_t *len)
{
    unsigned char low, high;
    *len = sequence(text[0], &low, &high);
    if (*len == 0 || *len > left || text[1] < low || text[1] > high) {
        return false;
    }
    for (size_t i = 2; i < *len; i++) {
        if ((text[i] & 0xC0) != 0x80) {
            return false;
        }
    }
    return true;
}

size_t mkto_utf8_valid(struct mkto_slice text)
{
    size_t at = 0;
    while ((at += ascii_run(text.data + at, text.len - at)) < text.len) {
        size_t len;
        if (!valid_sequence((const unsigned char *)text.data + at, text.len - at, &len)) {
            return at;
        }
        at += len;
    }
    return at;
}

size_t mkto_utf8_next(const char *text, uint32_t *character)
{
    const unsigned char *byte = (const unsigned char *)text;
    if (byte[0] < 0x80) {
        *character = byte[0];
        return 1;
    }
    size_t len = byte[0] < 0xE0 ? 2 : byte[0] < 0xF0 ? 3 : 4;
    *character = byte[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        *character = *character << 6 | (byte[i] & 0x3Fu);
    }
    return len;
}
