#include "mkto_inquiry.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mkto_build.h"

struct mkto_inquiry {
    int fd;
    struct mkto_welcome welcome;
    uint8_t *buffer; /* MKTO_FRAME_HEADER + MKTO_FRAME_MAX: one frame at most */
    size_t len;      /* bytes received */
    size_t taken;    /* of them by the frame that was read last */
};

static apr_status_t inquiry_close(void *data)
{
    struct mkto_inquiry *inquiry = data;

    close(inquiry->fd);
    free(inquiry->buffer);
    return APR_SUCCESS;
}

/* 1 ready, 0 the wait is over, -1 error. */
static int wait_for(int fd, short events, int wait_ms)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    int rc;

    do {
        rc = poll(&pfd, 1, wait_ms);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

static int send_all(struct mkto_inquiry *inquiry, const uint8_t *data, size_t len,
                    struct mkto_error *err)
{
    while (len > 0) {
        ssize_t sent = send(inquiry->fd, data, len, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EINTR || errno == EAGAIN)) {
            if (wait_for(inquiry->fd, POLLOUT, MKTO_INQUIRY_WAIT_MS) > 0) {
                continue;
            }
            return mkto_error_set(err, "the courier does not read what it is sent");
        }
        if (sent < 0) {
            return mkto_error_set(err, "the courier has closed the connection");
        }
        data += sent;
        len -= (size_t)sent;
    }
    return 0;
}

/* Reads on until there is a whole frame. */
static int next_frame(struct mkto_inquiry *inquiry, struct mkto_frame *frame, int wait_ms,
                      struct mkto_error *err)
{
    memmove(inquiry->buffer, inquiry->buffer + inquiry->taken, inquiry->len - inquiry->taken);
    inquiry->len -= inquiry->taken;
    inquiry->taken = 0;
    for (;;) {
        long size = mkto_frame_next(inquiry->buffer, inquiry->len, frame, err);
        ssize_t got;

        if (size != 0) {
            inquiry->taken = size < 0 ? 0 : (size_t)size;
            return size < 0 ? -1 : 0;
        }
        switch (wait_for(inquiry->fd, POLLIN, wait_ms)) {
        case 1: break;
        case 0: return mkto_error_set(err, "the courier does not answer");
        default: return mkto_error_set(err, "the connection to the courier failed");
        }
        got = recv(inquiry->fd, inquiry->buffer + inquiry->len,
                   MKTO_FRAME_HEADER + MKTO_FRAME_MAX - inquiry->len, 0);
        if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) {
            return mkto_error_set(err, "the courier has closed the connection");
        }
        inquiry->len += got > 0 ? (size_t)got : 0;
    }
}

static int greet(struct mkto_inquiry *inquiry, const struct mkto_config *config,
                 struct mkto_error *err)
{
    const struct mkto_hello hello = {
        .version = MKTO_WIRE_VERSION,
        .role = MKTO_ROLE_TOOL,
        .build = MKTO_BUILD,
        .config_path = mkto_slice_str(config->file),
    };
    struct mkto_refused refused;
    struct mkto_frame frame;
    size_t size = mkto_hello_write(&hello, NULL);

    if (size == 0) {
        return mkto_error_set(err, "the path of the config is too long");
    }
    mkto_hello_write(&hello, inquiry->buffer);
    if (send_all(inquiry, inquiry->buffer, size, err) != 0 ||
        next_frame(inquiry, &frame, MKTO_INQUIRY_WAIT_MS, err) != 0) {
        return -1;
    }
    if (frame.type == MKTO_FRAME_REFUSED && mkto_refused_read(&frame, &refused, err) == 0) {
        return mkto_error_set(err, "the courier refuses: %.*s", (int)refused.text.len,
                              refused.text.data);
    }
    if (frame.type != MKTO_FRAME_WELCOME) {
        return mkto_error_set(err, "what listens there is no courier");
    }
    return mkto_welcome_read(&frame, &inquiry->welcome, err);
}

/* A connected socket, or -1 with errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0) {
        return -1;
    }
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    do {
        rc = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* Whose the socket is, by name: most often it is the group that is wrong. */
static void set_denied(const char *path, struct mkto_error *err)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        mkto_error_set(err, "%s: this user may not connect, nor look at it", path);
        return;
    }
    const struct passwd *owner = getpwuid(st.st_uid);
    const struct group *group = getgrgid(st.st_gid);
    mkto_error_set(err, "%s: this user may not connect; it is %s:%s's, mode %04o", path,
                   owner == NULL ? "?" : owner->pw_name, group == NULL ? "?" : group->gr_name,
                   (unsigned)st.st_mode & 07777u);
}

enum mkto_inquiry_found mkto_inquiry_open(const char *path, const struct mkto_config *config,
                                          struct mkto_inquiry **inquiry, struct mkto_error *err,
                                          apr_pool_t *pool)
{
    int fd = connect_to(path);

    if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED)) {
        return MKTO_INQUIRY_NOBODY;
    }
    if (fd < 0) {
        if (errno == EACCES) {
            set_denied(path, err);
        } else {
            mkto_error_set(err, "%s: cannot connect", path);
        }
        return MKTO_INQUIRY_REFUSED;
    }
    *inquiry = apr_pcalloc(pool, sizeof(**inquiry));
    (*inquiry)->fd = fd;
    (*inquiry)->buffer = malloc(MKTO_FRAME_HEADER + MKTO_FRAME_MAX);
    apr_pool_cleanup_register(pool, *inquiry, inquiry_close, apr_pool_cleanup_null);
    if ((*inquiry)->buffer == NULL) {
        mkto_error_set(err, "out of memory");
        return MKTO_INQUIRY_REFUSED;
    }
    return greet(*inquiry, config, err) == 0 ? MKTO_INQUIRY_OPEN : MKTO_INQUIRY_REFUSED;
}

const struct mkto_welcome *mkto_inquiry_welcome(const struct mkto_inquiry *inquiry)
{
    return &inquiry->welcome;
}

static int send_ask(struct mkto_inquiry *inquiry, const char *what, struct mkto_slice args,
                    struct mkto_error *err)
{
    const struct mkto_ask ask = {mkto_slice_str(what), args};
    size_t size = mkto_ask_write(&ask, NULL);
    uint8_t *data = size == 0 ? NULL : malloc(size);
    int rc;

    if (data == NULL) {
        return mkto_error_set(err, "the question is too long");
    }
    mkto_ask_write(&ask, data);
    rc = send_all(inquiry, data, size, err);
    free(data);
    return rc;
}

int mkto_inquiry_ask(struct mkto_inquiry *inquiry, const char *what, struct mkto_slice args,
                     int wait_ms, mkto_inquiry_tell *tell, void *ctx, struct mkto_error *err)
{
    if (send_ask(inquiry, what, args, err) != 0) {
        return -1;
    }
    for (;;) {
        struct mkto_frame frame;
        struct mkto_refused refused;
        struct mkto_tell told;

        if (next_frame(inquiry, &frame, wait_ms, err) != 0) {
            return -1;
        }
        if (frame.type == MKTO_FRAME_REFUSED && mkto_refused_read(&frame, &refused, err) == 0) {
            return mkto_error_set(err, "the courier refuses: %.*s", (int)refused.text.len,
                                  refused.text.data);
        }
        if (frame.type != MKTO_FRAME_TELL || mkto_tell_read(&frame, &told, err) != 0) {
            return mkto_error_set(err, "the courier's answer cannot be read");
        }
        if (!tell(ctx, told.text, told.last) || told.last) {
            return 0;
        }
    }
}
