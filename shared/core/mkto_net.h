/*
 * mkto_net: the network that an address lies in: IPv4 /24, IPv6 /48. What is counted together when
 * events are limited, and what is left of an address that is made anonymous.
 */
#ifndef MKTO_NET_H
#define MKTO_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "mkto_slice.h"

#define MKTO_NET_MAX 40      /* bytes of an address as text with its NUL: "2001:db8:1::" */
#define MKTO_NET_BYTES 6     /* of the longer one */
#define MKTO_NET_KEY_BITS 50 /* of mkto_net_key */

struct mkto_net {
    uint8_t bytes[MKTO_NET_BYTES]; /* in network order; the last three of IPv4 are 0 */
    bool v6;
    bool loopback; /* 127.0.0.0/8, ::1 */
};

/* Reads an address in text form; a zone ("%eth0") does not count, an IPv4 address in IPv6
 * ("::ffff:192.0.2.7") is that IPv4 address. false: it is none. */
bool mkto_net_read(struct mkto_slice address, struct mkto_net *net);

/* The network's first address: "192.0.2.0", "2001:db8:1::". Returns the length. */
size_t mkto_net_format(const struct mkto_net *net, char out[MKTO_NET_MAX]);

/* A number that no other network has, below 1 << MKTO_NET_KEY_BITS and over 0. */
uint64_t mkto_net_key(const struct mkto_net *net);

#endif
