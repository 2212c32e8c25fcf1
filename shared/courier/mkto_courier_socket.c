/*
 * The listening socket: made under another name and renamed, so that there is never one that
 * nobody listens on; removed only by the courier that made it.
 */
#include "mkto_courier_state.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPT_MAX 64            /* connections taken in one go */
#define LAST_WORDS_CLIENT_MS 200 /* for HELLO, and for its end */

static int address_of(const char *path, struct sockaddr_un *address, struct mkto_error *err)
{
    const size_t length = strlen(path);
    if (length > MKTO_SOCKET_PATH_MAX) {
        return mkto_error_set(err, "socket %s: has %zu bytes, a socket's path at most %d", path,
                              length, MKTO_SOCKET_PATH_MAX);
    }
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length);
    return 0;
}

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Does somebody listen there already? A file that is no socket is not ours to replace. */
static int check_free(const char *path, struct mkto_error *err)
{
    struct sockaddr_un address;
    struct stat st;
    if (address_of(path, &address, err) != 0) {
        return -1;
    }
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? 0 : mkto_error_set(err, "socket %s: %s", path, strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode)) {
        return mkto_error_set(err, "socket %s: there is a file of that name", path);
    }
    const int fd = new_socket();
    const bool answered =
        fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
    const bool busy = answered || errno == EAGAIN;
    if (fd >= 0) {
        close(fd);
    }
    return busy ? mkto_error_set(err, "socket %s: another process listens there", path) : 0;
}

/* In the socket's directory, so that the other name needs no longer path. */
static int bind_here(struct mkto_courier_socket *sock, const char *name, mode_t mode,
                     struct mkto_error *err)
{
    struct sockaddr_un address;
    char other[32];
    struct stat st;
    snprintf(other, sizeof(other), ".courier-%ld", (long)getpid());
    if (address_of(other, &address, err) != 0) {
        return -1;
    }
    unlink(other);
    if (bind(sock->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(other, mode) != 0 || listen(sock->fd, MKTO_COURIER_LISTEN_BACKLOG) != 0 ||
        stat(other, &st) != 0 || rename(other, name) != 0) {
        mkto_error_set(err, "socket %s: %s", sock->path, strerror(errno));
        unlink(other);
        return -1;
    }
    sock->device = st.st_dev;
    sock->inode = st.st_ino;
    return 0;
}

int mkto_courier_bind(struct mkto_courier_socket *sock, mode_t mode, struct mkto_error *err)
{
    char directory[MKTO_SOCKET_PATH_MAX + 1];
    char name[MKTO_SOCKET_PATH_MAX + 1];
    if (check_free(sock->path, err) != 0) {
        return -1;
    }
    snprintf(directory, sizeof(directory), "%s", sock->path);
    snprintf(name, sizeof(name), "%s", sock->path);
    sock->fd = new_socket();
    if (sock->fd < 0 || chdir(dirname(directory)) != 0) {
        return mkto_error_set(err, "socket %s: %s", sock->path, strerror(errno));
    }
    const int rc = bind_here(sock, basename(name), mode, err);
    if (chdir("/") != 0) {
        return mkto_error_set(err, "chdir /: %s", strerror(errno));
    }
    return rc;
}

/* ---- accepting ---- */

static void accept_again(evutil_socket_t fd, short what, void *data)
{
    struct mkto_courier *courier = data;
    (void)fd;
    (void)what;
    event_add(courier->socket.event, NULL);
}

/* The connection stays in the backlog; polling for it would spin. */
static void pause_accept(struct mkto_courier *courier)
{
    const struct timeval delay = {MKTO_COURIER_ACCEPT_AGAIN_MS / 1000, 0};
    const int error = errno;
    const uint64_t now = mkto_clock_system.mono_ms(NULL);
    event_del(courier->socket.event);
    event_add(courier->socket.again, &delay);
    if (courier->accept_said == 0 || now > courier->accept_said + MKTO_INTAKE_SAY_MS) {
        courier->accept_said = now;
        mkto_courier_say(courier, LOG_ERR, "MKTO0221 no connection can be taken: %s",
                         strerror(error));
    }
}

static void on_connection(evutil_socket_t fd, short what, void *data)
{
    struct mkto_courier *courier = data;
    (void)what;
    for (int i = 0; i < ACCEPT_MAX; i++) {
        const int client = accept4((int)fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            mkto_intake_adopt(courier->intake, client);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accept(courier);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

int mkto_courier_listen(struct mkto_courier *courier, struct mkto_error *err)
{
    struct mkto_courier_socket *sock = &courier->socket;
    if (mkto_courier_bind(sock, courier->options.spawned ? 0600 : 0660, err) != 0) {
        return -1;
    }
    sock->event = event_new(courier->base, sock->fd, EV_READ | EV_PERSIST, on_connection, courier);
    sock->again = event_new(courier->base, -1, 0, accept_again, courier);
    if (sock->event == NULL || sock->again == NULL || event_add(sock->event, NULL) != 0) {
        return mkto_error_set(err, "out of memory");
    }
    return 0;
}

void mkto_courier_socket_close(struct mkto_courier_socket *sock)
{
    struct stat st;
    if (sock->event != NULL) {
        event_free(sock->event);
        event_free(sock->again);
        sock->event = NULL;
    }
    if (sock->inode != 0 && lstat(sock->path, &st) == 0 && st.st_dev == sock->device &&
        st.st_ino == sock->inode) {
        unlink(sock->path);
    }
    if (sock->fd >= 0) {
        close(sock->fd);
        sock->fd = -1;
    }
}

/* ---- last words ---- */

static void wait_for(int fd)
{
    struct pollfd input = {fd, POLLIN, 0};
    uint8_t ignored[512];
    if (poll(&input, 1, LAST_WORDS_CLIENT_MS) > 0 && recv(fd, ignored, sizeof(ignored), 0) < 0) {
        return;
    }
}

/* It must have said its HELLO: bytes that nobody reads would take the answer with them. */
static void tell_client(int fd, const char *why)
{
    uint8_t out[MKTO_ERROR_MAX + 64];
    const struct mkto_refused refused = {MKTO_REFUSED_CONFIG, mkto_slice_str(why)};
    const size_t size = mkto_refused_write(&refused, NULL);
    wait_for(fd);
    if (size > 0 && size <= sizeof(out)) {
        mkto_refused_write(&refused, out);
        if (send(fd, out, size, MSG_NOSIGNAL) > 0) {
            shutdown(fd, SHUT_WR);
            wait_for(fd);
        }
    }
    close(fd);
}

void mkto_courier_last_words(const char *path, const char *why)
{
    struct mkto_courier_socket sock = {.fd = -1, .path = path};
    struct mkto_error err = MKTO_ERROR_INIT;
    const uint64_t until = mkto_clock_system.mono_ms(NULL) + MKTO_COURIER_LAST_WORDS_MS;
    if (path == NULL || mkto_courier_bind(&sock, 0600, &err) != 0) {
        mkto_courier_socket_close(&sock);
        return;
    }
    for (uint64_t now; (now = mkto_clock_system.mono_ms(NULL)) < until;) {
        struct pollfd waiting = {sock.fd, POLLIN, 0};
        if (poll(&waiting, 1, (int)(until - now)) <= 0) {
            break;
        }
        const int client = accept4(sock.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client >= 0) {
            tell_client(client, why);
        }
    }
    mkto_courier_socket_close(&sock);
}
