#include "mod_marketo.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "mkto_build.h"

#define BATCH 64 /* frames in one write */

uint64_t marketo_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

int marketo_socket_init(struct marketo_socket *sock, const struct marketo *marketo,
                        struct mkto_client_conf *conf, enum mkto_role role)
{
    conf->hello = (struct mkto_hello){
        .version = MKTO_WIRE_VERSION,
        .role = (uint8_t)role,
        .build = MKTO_BUILD,
        .config_digest = marketo->config->digest,
        .config_path = mkto_slice_str(marketo->config->file),
    };
    sock->client = mkto_client_create(conf, marketo_now());
    sock->path = marketo->socket;
    sock->fd = -1;
    sock->connect_error = 0;
    return sock->client == NULL ? -1 : 0;
}

static void lose(struct marketo_socket *sock, int error, uint64_t now)
{
    marketo_socket_close(sock);
    mkto_client_closed(sock->client, error, now);
}

/* A unix socket connects at once or not at all. */
static int connect_now(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, path, strlen(path) + 1); /* its length was checked at the start */
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
        const int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void reach(struct marketo_socket *sock, uint64_t now)
{
    mkto_client_connecting(sock->client, now);
    sock->fd = connect_now(sock->path);
    sock->connect_error = sock->fd < 0 ? errno : 0;
    if (sock->fd < 0) {
        mkto_client_failed(sock->client, sock->connect_error, now);
    } else {
        mkto_client_connected(sock->client, now);
    }
}

static void read_all(struct marketo_socket *sock, uint64_t now)
{
    ssize_t got;
    do {
        got = recv(sock->fd, sock->buffer, MARKETO_READ_SIZE, 0);
        if (got > 0 && mkto_client_input(sock->client, sock->buffer, (size_t)got, now) != 0) {
            return;
        }
    } while (got == MARKETO_READ_SIZE || (got < 0 && errno == EINTR));
    if (got == 0) {
        lose(sock, 0, now);
    } else if (got < 0 && errno != EAGAIN) {
        lose(sock, errno, now);
    }
}

/* An error is left to the reader: verdicts may lie unread before the end of the stream. */
bool marketo_socket_write(struct marketo_socket *sock)
{
    bool wrote = false;
    struct iovec frames[BATCH];
    int count;
    while ((count = mkto_client_output(sock->client, frames, BATCH)) > 0) {
        const struct msghdr message = {.msg_iov = frames, .msg_iovlen = (size_t)count};
        const ssize_t sent = sendmsg(sock->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            break;
        }
        if (sent > 0) {
            mkto_client_sent(sock->client, (size_t)sent);
            wrote = true;
        }
    }
    return wrote;
}

/* Reads before time passes: a verdict that lies here is not late, however long nobody looked. */
void marketo_socket_turn(struct marketo_socket *sock, bool readable, uint64_t now)
{
    if (readable && sock->fd >= 0) {
        read_all(sock, now);
    }
    mkto_client_tick(sock->client, now);
    if ((mkto_client_wants(sock->client, now) & MKTO_WANT_CLOSE) != 0) {
        lose(sock, 0, now);
    }
    if ((mkto_client_wants(sock->client, now) & MKTO_WANT_CONNECT) != 0) {
        reach(sock, now);
    }
}

short marketo_socket_events(const struct marketo_socket *sock, uint64_t now)
{
    const unsigned wants = mkto_client_wants(sock->client, now);
    return (short)(POLLIN | ((wants & MKTO_WANT_WRITE) != 0 ? POLLOUT : 0));
}

void marketo_socket_close(struct marketo_socket *sock)
{
    if (sock->fd >= 0) {
        close(sock->fd);
        sock->fd = -1;
    }
}
