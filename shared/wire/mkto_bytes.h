/*
 * mkto_bytes: integers as they stand on the wire and in the spool: little-endian, on any machine.
 */
#ifndef MKTO_BYTES_H
#define MKTO_BYTES_H

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
    out[0] = (uint8_t)(value & 0xffu);
    out[1] = (uint8_t)(value >> 8);
    return out + 2;
}

static inline uint8_t *mkto_bytes_put32(uint8_t *out, uint32_t value)
{
    out = mkto_bytes_put16(out, (uint16_t)(value & 0xffffu));
    return mkto_bytes_put16(out, (uint16_t)(value >> 16));
}

static inline uint8_t *mkto_bytes_put64(uint8_t *out, uint64_t value)
{
    out = mkto_bytes_put32(out, (uint32_t)(value & 0xffffffffu));
    return mkto_bytes_put32(out, (uint32_t)(value >> 32));
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
    return (uint16_t)(in[0] | (in[1] << 8));
}

static inline uint32_t mkto_bytes_get32(const uint8_t *in)
{
    return (uint32_t)mkto_bytes_get16(in) | ((uint32_t)mkto_bytes_get16(in + 2) << 16);
}

static inline uint64_t mkto_bytes_get64(const uint8_t *in)
{
    return (uint64_t)mkto_bytes_get32(in) | ((uint64_t)mkto_bytes_get32(in + 4) << 32);
}

#endif
