/*
 * mkto_bytes: integers as they stand on the wire and in the spool: little-endian, on any machine.
 */
#ifndef MKTO_BYTES_H
#define MKTO_BYTES_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint8_t *mkto_bytes_put8(uint8_t *out, uint8_t value)
{
    *out = value;
    return out + 1;
}

static inline uint8_t *mkto_bytes_put16(uint8_t *out, uint16_t value)
{
    const uint16_t little = htole16(value);
    memcpy(out, &little, sizeof(little));
    return out + sizeof(little);
}

static inline uint8_t *mkto_bytes_put32(uint8_t *out, uint32_t value)
{
    const uint32_t little = htole32(value);
    memcpy(out, &little, sizeof(little));
    return out + sizeof(little);
}

static inline uint8_t *mkto_bytes_put64(uint8_t *out, uint64_t value)
{
    const uint64_t little = htole64(value);
    memcpy(out, &little, sizeof(little));
    return out + sizeof(little);
}

static inline uint8_t *mkto_bytes_put(uint8_t *out, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(out, data, len);
    }
    return out + len;
}

static inline uint16_t mkto_bytes_get16(const uint8_t *in)
{
    uint16_t little;
    memcpy(&little, in, sizeof(little));
    return le16toh(little);
}

static inline uint32_t mkto_bytes_get32(const uint8_t *in)
{
    uint32_t little;
    memcpy(&little, in, sizeof(little));
    return le32toh(little);
}

static inline uint64_t mkto_bytes_get64(const uint8_t *in)
{
    uint64_t little;
    memcpy(&little, in, sizeof(little));
    return le64toh(little);
}

#endif
