#include "mkto_inspect.h"

#include <apr_strings.h>
#include <errno.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mkto_config_access.h"
#include "mkto_inquiry.h"
#include "mkto_layout.h"
#include "mkto_spool.h"

/* ---- secrets ---- */

static void inspect_secret(const struct mkto_subscription *subscription,
                           const struct mkto_config_key *key, uid_t reader,
                           struct mkto_findings *findings)
{
    const char *file = *(const char *const *)((const char *)subscription + key->offset);
    struct mkto_error err = MKTO_ERROR_INIT;
    char secret[MKTO_CONFIG_SECRET_MAX];
    long len;

    if (file == NULL) {
        return;
    }
    len = mkto_config_secret(file, secret, sizeof(secret), &err);
    explicit_bzero(secret, sizeof(secret));
    if (len >= 0) {
        mkto_finding_add(findings, MKTO_FINDING_FINE, key->key, "%s holds a secret", file);
    } else if (reader == geteuid() || geteuid() == 0) {
        mkto_finding_add(findings, MKTO_FINDING_MISTAKE, key->key, "%s", err.text);
    } else {
        mkto_finding_add(findings, MKTO_FINDING_NOTE, key->key, "not looked into: %s", err.text);
    }
}

void mkto_inspect_secrets(const struct mkto_config *config, uid_t reader,
                          struct mkto_findings *findings)
{
    size_t count;
    const struct mkto_config_key *keys = mkto_config_keys(&count);

    for (size_t i = 0; i < config->subscription_count; i++) {
        for (size_t k = 0; k < count; k++) {
            if (keys[k].kind == MKTO_CONFIG_KIND_SECRET) {
                inspect_secret(&config->subscriptions[i], &keys[k], reader, findings);
            }
        }
    }
}

/* ---- spool ---- */

static const char *user_name(uid_t uid, apr_pool_t *pool)
{
    const struct passwd *passwd = getpwuid(uid);

    return passwd == NULL ? apr_psprintf(pool, "%ld", (long)uid)
                          : apr_pstrdup(pool, passwd->pw_name);
}

/* File systems by f_type of statfs. */
static void inspect_file_system(const char *path, const char *about, struct mkto_findings *findings)
{
    static const struct {
        long type;
        const char *name;
        enum mkto_finding_level level;
        const char *text;
    } known[] = {
        {0xef53, "ext4", MKTO_FINDING_FINE, ""},
        {0x58465342, "xfs", MKTO_FINDING_FINE, ""},
        {0x9123683e, "btrfs", MKTO_FINDING_FINE, ""},
        {0x2fc12fc1, "zfs", MKTO_FINDING_FINE, ""},
        {0x01021994, "tmpfs", MKTO_FINDING_WARNING, ", in memory: events do not outlive the host"},
        {0x858458f6, "ramfs", MKTO_FINDING_WARNING, ", in memory: events do not outlive the host"},
        {0x794c7630, "overlay", MKTO_FINDING_WARNING,
         ", a container's own layer: events do not outlive the container; mount a volume there"},
        {0x6969, "NFS", MKTO_FINDING_MISTAKE, ": its locks cannot be trusted; use a local disk"},
        {0xff534d42, "CIFS", MKTO_FINDING_MISTAKE,
         ": its locks cannot be trusted; use a local disk"},
        {0xfe534d42, "SMB", MKTO_FINDING_MISTAKE,
         ": its locks cannot be trusted; use a local disk"},
    };
    struct statfs fs;

    if (statfs(path, &fs) != 0) {
        mkto_finding_add(findings, MKTO_FINDING_WARNING, about, "its file system is not known");
        return;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if ((long)(fs.f_type & 0xffffffff) == known[i].type) {
            mkto_finding_add(findings, known[i].level, about, "on %s%s", known[i].name,
                             known[i].text);
            return;
        }
    }
    mkto_finding_add(findings, MKTO_FINDING_NOTE, about, "on a file system of type 0x%lx",
                     (unsigned long)fs.f_type & 0xffffffffUL);
}

static void inspect_room(const struct mkto_config *config, const char *about,
                         struct mkto_findings *findings)
{
    struct statvfs fs;
    int64_t keep = config->spool_keep_free;
    int64_t left;
    char text[2][32];

    if (statvfs(config->spool_path, &fs) != 0) {
        return;
    }
    left = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    if (config->spool_keep_free_percent > 0) {
        keep =
            (int64_t)(fs.f_blocks / 100 * config->spool_keep_free_percent) * (int64_t)fs.f_frsize;
    }
    mkto_layout_size(left, text[0], sizeof(text[0]));
    mkto_layout_size(keep, text[1], sizeof(text[1]));
    if (left < keep) {
        mkto_finding_add(findings, MKTO_FINDING_WARNING, about,
                         "%s are free and keep_free asks for %s: new events are answered 503",
                         text[0], text[1]);
    } else {
        mkto_finding_add(findings, MKTO_FINDING_FINE, about, "%s are free, %s of it kept", text[0],
                         text[1]);
    }
}

static void inspect_database(const struct mkto_config *config, uid_t owner, const char *about,
                             struct mkto_findings *findings)
{
    const char *name = apr_pstrcat(findings->pool, config->spool_path, "/" MKTO_SPOOL_FILE, NULL);
    struct stat st;
    char size[32];

    if (lstat(name, &st) != 0) {
        mkto_finding_add(findings, MKTO_FINDING_NOTE, about,
                         errno == ENOENT ? "empty: no courier has run yet"
                                         : "what is in it cannot be seen by this user");
        return;
    }
    mkto_layout_size((int64_t)st.st_size, size, sizeof(size));
    if (!S_ISREG(st.st_mode)) {
        mkto_finding_add(findings, MKTO_FINDING_MISTAKE, about,
                         MKTO_SPOOL_FILE " is not a regular file");
    } else if (st.st_uid != owner) {
        mkto_finding_add(findings, MKTO_FINDING_MISTAKE, about,
                         MKTO_SPOOL_FILE " belongs to %s, the directory to %s",
                         user_name(st.st_uid, findings->pool), user_name(owner, findings->pool));
    } else {
        mkto_finding_add(findings, MKTO_FINDING_FINE, about, MKTO_SPOOL_FILE " has %s", size);
    }
}

static void inspect_directory(const struct mkto_config *config, const struct stat *st,
                              const char *about, struct mkto_findings *findings)
{
    unsigned mode = (unsigned)st->st_mode & 07777u;
    const char *owner = user_name(st->st_uid, findings->pool);

    if (st->st_uid == 0) {
        mkto_finding_add(findings, MKTO_FINDING_MISTAKE, about,
                         "belongs to root, and the courier does not run as root: give it to the "
                         "user that it shall run as");
    } else if ((mode & 0027) != 0) {
        mkto_finding_add(findings, MKTO_FINDING_WARNING, about,
                         "owner %s, mode %04o: others than its owner can read or change what is in "
                         "it; 0750 or 0700 would do",
                         owner, mode);
    } else {
        mkto_finding_add(findings, MKTO_FINDING_FINE, about, "owner %s, mode %04o", owner, mode);
    }
    inspect_file_system(config->spool_path, about, findings);
    inspect_room(config, about, findings);
    inspect_database(config, st->st_uid, about, findings);
}

/* May the courier make the directory, below the nearest that is there? */
static void inspect_missing(const char *path, uid_t user, const char *about,
                            struct mkto_findings *findings)
{
    const char *above = path;
    struct mkto_error err = MKTO_ERROR_INIT;
    struct stat st;

    do {
        const char *slash = strrchr(above, '/');

        above = slash == NULL || slash == above
                    ? "/"
                    : apr_pstrmemdup(findings->pool, above, (size_t)(slash - above));
    } while (strcmp(above, "/") != 0 && stat(above, &st) != 0 && errno == ENOENT);
    if (mkto_config_access(above, user, MKTO_CONFIG_ACCESS_WRITE | MKTO_CONFIG_ACCESS_ENTER,
                           &err) == 0) {
        mkto_finding_add(findings, MKTO_FINDING_NOTE, about, "not there; the courier makes it");
    } else {
        mkto_finding_add(findings, MKTO_FINDING_MISTAKE, about,
                         "not there, and %s: install -d -o %s -m 0700 %s", err.text,
                         user_name(user, findings->pool), path);
    }
}

void mkto_inspect_spool(const struct mkto_config *config, uid_t user,
                        struct mkto_findings *findings)
{
    const char *about = apr_pstrcat(findings->pool, "spool ", config->spool_path, NULL);
    struct stat st;

    if (stat(config->spool_path, &st) != 0) {
        if (errno == ENOENT) {
            inspect_missing(config->spool_path, user, about, findings);
        } else {
            mkto_finding_add(findings, MKTO_FINDING_WARNING, about, "this user cannot look at it");
        }
    } else if (!S_ISDIR(st.st_mode)) {
        mkto_finding_add(findings, MKTO_FINDING_MISTAKE, about, "not a directory");
    } else {
        inspect_directory(config, &st, about, findings);
    }
}

/* ---- socket ---- */

static void inspect_welcome(const struct mkto_config *config, const struct mkto_welcome *welcome,
                            const char *about, struct mkto_findings *findings)
{
    if (welcome->config_digest != config->digest) {
        mkto_finding_add(findings, MKTO_FINDING_WARNING, about,
                         "the courier (pid %u) runs on an older reading of the config; reload it",
                         welcome->pid);
    } else {
        mkto_finding_add(findings, MKTO_FINDING_FINE, about, "the courier answers (pid %u)",
                         welcome->pid);
    }
}

void mkto_inspect_socket(const struct mkto_config *config, struct mkto_findings *findings)
{
    const char *about = apr_pstrcat(findings->pool, "socket ", config->socket, NULL);
    struct mkto_error err = MKTO_ERROR_INIT;
    struct mkto_inquiry *inquiry;
    size_t len = strlen(config->socket);
    apr_pool_t *pool;

    if (apr_pool_create(&pool, findings->pool) != APR_SUCCESS) {
        return;
    }
    switch (mkto_inquiry_open(config->socket, config, &inquiry, &err, pool)) {
    case MKTO_INQUIRY_OPEN:
        inspect_welcome(config, mkto_inquiry_welcome(inquiry), about, findings);
        break;
    case MKTO_INQUIRY_NOBODY:
        mkto_finding_add(findings, MKTO_FINDING_NOTE, about, "no courier answers");
        break;
    default:
        if (strncmp(err.text, config->socket, len) == 0 && err.text[len] == ':') {
            about = "socket"; /* the reason names the path */
        }
        mkto_finding_add(findings, MKTO_FINDING_WARNING, about, "%s", err.text);
        break;
    }
    apr_pool_destroy(pool);
}
