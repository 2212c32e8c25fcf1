/*
 * mkto_spool_crc: CRC-32C of a spooled row (private to the spool). SQLite keeps no checksum of its
 * own over a database file, so a flipped bit on the disk would otherwise go to Marketo.
 */
#ifndef MKTO_SPOOL_CRC_H
#define MKTO_SPOOL_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc`, 0 at first: crc(crc(0, a), b) == crc(0, a ‖ b). */
uint32_t mkto_spool_crc(uint32_t crc, const void *data, size_t len);

/* The same without the processor's help, where it has none. */
uint32_t mkto_spool_crc_tables(uint32_t crc, const void *data, size_t len);

#endif
