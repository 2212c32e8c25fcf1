#include "mkto_net.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define V4_BYTES 3 /* of a /24 */
#define MAPPED 12  /* bytes before the IPv4 address in ::ffff:a.b.c.d */

/* NUL-terminated for inet_pton, without its zone. */
static bool copy_text(struct mkto_slice address, char out[INET6_ADDRSTRLEN])
{
    const char *zone = address.len == 0 ? NULL : memchr(address.data, '%', address.len);
    const size_t len = zone != NULL ? (size_t)(zone - address.data) : address.len;
    if (len == 0 || len >= INET6_ADDRSTRLEN || memchr(address.data, '\0', len) != NULL) {
        return false;
    }
    memcpy(out, address.data, len);
    out[len] = '\0';
    return true;
}

static void set_v4(struct mkto_net *net, const uint8_t *bytes)
{
    memcpy(net->bytes, bytes, V4_BYTES);
    net->loopback = bytes[0] == 127;
}

static void set_v6(struct mkto_net *net, const struct in6_addr *address)
{
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        set_v4(net, address->s6_addr + MAPPED);
        return;
    }
    net->v6 = true;
    net->loopback = IN6_IS_ADDR_LOOPBACK(address);
    memcpy(net->bytes, address->s6_addr, MKTO_NET_BYTES);
}

bool mkto_net_read(struct mkto_slice address, struct mkto_net *net)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    struct in_addr v4;
    memset(net, 0, sizeof(*net));
    if (!copy_text(address, text)) {
        return false;
    }
    if (inet_pton(AF_INET, text, &v4) == 1) {
        set_v4(net, (const uint8_t *)&v4.s_addr);
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6) != 1) {
        return false;
    }
    set_v6(net, &v6);
    return true;
}

size_t mkto_net_format(const struct mkto_net *net, char out[MKTO_NET_MAX])
{
    struct in6_addr address = {0};
    memcpy(address.s6_addr, net->bytes, net->v6 ? MKTO_NET_BYTES : V4_BYTES);
    inet_ntop(net->v6 ? AF_INET6 : AF_INET, &address, out, MKTO_NET_MAX);
    return strlen(out);
}

uint64_t mkto_net_key(const struct mkto_net *net)
{
    uint64_t key = net->v6 ? 2 : 1;
    for (size_t i = 0; i < MKTO_NET_BYTES; i++) {
        key = key << 8 | net->bytes[i];
    }
    return key;
}
