/*
 * mkto_config: marketo.conf as a const struct, or file, line, key and reason.
 *
 * One parser for nginx -t, apachectl configtest, the courier and the command. Reading touches
 * neither network nor spool; secret files are only stat'ed, against the uid that will read them.
 * The key table in mkto_config_keys.c is the one place that knows every key with its default, unit
 * and range; `marketo check --keys` prints it and README is checked against it.
 *
 * Everything hangs on the struct and is freed by mkto_config_free. Nothing changes after
 * mkto_config_read.
 *
 * The language is INI: `[section]`, `key = value`, comments from ';' or '#' at the start of a line
 * and from white space and ';' behind a value (a value therefore cannot hold " ;"). Refused with
 * their line: ':' for '=', indented lines, a key before any section, a key or section that stands
 * there twice, control characters, text that is not UTF-8. CRLF and a byte order mark are fine.
 */
#ifndef MKTO_CONFIG_H
#define MKTO_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "mkto_error.h"
#include "mkto_slice.h"

#define MKTO_CONFIG_FILE "/etc/marketo/marketo.conf"
#define MKTO_CONFIG_LINE_MAX 4096       /* bytes of one line; longer ones are an error */
#define MKTO_CONFIG_SIZE_MAX (1u << 20) /* bytes of the file */
#define MKTO_CONFIG_SUBSCRIPTIONS_MAX 64
#define MKTO_CONFIG_FIELDS_MAX 1024 /* rows of all [fields] sections */
#define MKTO_CONFIG_SOURCES_MAX 1024
#define MKTO_SOCKET_PATH_MAX 107 /* bytes: sun_path less its NUL */
#define MKTO_CONFIG_NAME_MAX 40  /* bytes of a subscription's or source's name */
#define MKTO_CONFIG_KEY_MAX 128  /* bytes of a key; in [fields] of a trait */
#define MKTO_CONFIG_TEXT_MAX 255 /* bytes of a text, a name or a write key */
#define MKTO_CONFIG_URL_MAX 512  /* bytes of an endpoint */
#define MKTO_CONFIG_LIST_MAX 256 /* names in one list; a line holds 4096 bytes in any case */
#define MKTO_CONFIG_PATH_MAX 1023
#define MKTO_CONFIG_SECRET_MAX 4096  /* bytes of a secret file, newline included */
#define MKTO_CONFIG_MISTAKES_MAX 200 /* that are written out; further ones are only counted */

enum mkto_api {
    MKTO_API_REST = 0,
    MKTO_API_SOAP = 1,
    MKTO_API_MUNCHKIN = 2 /* visits; not a value of `api` */
};
enum mkto_naming { MKTO_NAMING_PASCAL = 0, MKTO_NAMING_FULL_PASCAL = 1 };

/* From whom an identify or group is taken that comes without a valid write key. */
enum mkto_identify {
    MKTO_IDENTIFY_SAME_ORIGIN = 0, /* of browsers, from pages of the host itself only */
    MKTO_IDENTIFY_OPEN = 1,        /* from any page that the web server lets through */
    MKTO_IDENTIFY_TRUSTED = 2      /* only when the site vouches for the e-mail (marketo_email) */
};

/* Names in the order of the file, as written. */
struct mkto_config_list {
    const char *const *names; /* NULL when there are none */
    size_t count;
};

struct mkto_config_field {
    const char *trait; /* exact trait name, "plan" */
    const char *name;  /* Marketo API name, "Plan_Name__c"; "" drops the trait */
    unsigned line;
};

struct mkto_config_source {
    const char *name; /* "site" */
    const char *key;  /* write key */
    unsigned line;
};

/* One subscription: a [marketo] or [marketo NAME] section. Strings are NULL when unset; URLs carry
 * no trailing slash. */
struct mkto_subscription {
    const char *name;        /* "" for [marketo] */
    unsigned line;           /* of its section header */
    const char *munchkin_id; /* upper-cased, "561-HYG-937" */
    enum mkto_api api;       /* REST or SOAP */
    enum mkto_naming naming;
    const char *host;          /* for events that carry no page address */
    const char *rest_endpoint; /* default https://<id>.mktorest.com, id in lower case */
    const char *rest_client_id;
    const char *rest_client_secret_file;
    const char *rest_partition; /* partitionName of Sync Leads */
    const char
        *soap_endpoint; /* required with api = soap: never derived (contract marketo-soap 1.1) */
    const char *soap_user_id;
    const char *soap_encryption_key_file;
    const char *soap_workspace;            /* targetWorkspace of MktowsContextHeader */
    const char *munchkin_endpoint;         /* default https://<id>.mktoresp.com */
    const char *munchkin_private_key_file; /* turns the hash endpoint on */
    const char *ca_file;                   /* PEM bundle instead of the system's */
    int64_t lead_interval_ms;              /* one sync per lead in this time; 30 s */
    int64_t
        unchanged_for_ms;    /* an identify that changes nothing costs no call in this time; 24 h */
    int64_t batch_wait_ms;   /* how long a batch fills; 1 s */
    unsigned batch_size;     /* records per Sync Leads or syncMultipleLeads; 300 */
    unsigned calls_per_20s;  /* 50 */
    unsigned calls_at_once;  /* 5 */
    unsigned calls_per_day;  /* 10000 */
    unsigned calls_reserve;  /* part of calls_per_day that only identify may use; 1000 */
    unsigned visits_at_once; /* concurrent Munchkin requests; 32 */
    int64_t retry_for_ms;    /* 72 h */
    unsigned respect;        /* bits MKTO_RESPECT_… of mkto_privacy.h; 0 */
    bool anonymize_ip;       /* addresses are cut to /24 and /48 before they are stored */
    enum mkto_identify identify;
    unsigned rate;       /* events per second and network, without write key; 25, 0: no limit */
    unsigned rate_burst; /* events at once; 500 */
    struct mkto_config_list events_allow; /* empty: all */
    struct mkto_config_list events_deny;
    struct mkto_config_list fields_allow; /* empty: all */
    struct mkto_config_list fields_deny;
    struct mkto_config_list fields_protected; /* beside those of mkto_map_rule.h */
    int64_t connect_timeout_ms;               /* 10 s */
    int64_t timeout_ms;                       /* whole call; 90 s */
    const struct mkto_config_field
        *fields; /* [fields] first, then [fields NAME]: the last match wins */
    size_t field_count;
};

struct mkto_config {
    const char *file;                 /* absolute, as given after realpath */
    uint64_t digest;                  /* FNV-1a 64 of the file's bytes; never 0 */
    const char *spool_path;           /* /var/lib/marketo */
    int64_t spool_max_size;           /* bytes; 2 GiB */
    int64_t spool_keep_free;          /* bytes; only one of this and the next is set */
    unsigned spool_keep_free_percent; /* of the file system; 5 */
    const char *socket;               /* default <spool_path>/courier.sock */
    int64_t linger_ms; /* how long a spawned courier drains when the last server has gone; 10 s */
    const struct mkto_subscription *subscriptions; /* ≥ 1 */
    size_t subscription_count;
    const struct mkto_config_source *sources;
    size_t source_count;
};

struct mkto_config_options {
    uid_t
        reader; /* the uid that will read the secrets; (uid_t)-1 leaves the readability check out */
    bool skip_secret_files; /* do not even stat them: a server whose courier is external may not see
                               them */
};

/*
 * Reads and checks a file. On failure returns NULL and err holds "FILE:LINE: key: reason" (or
 * "FILE: reason"). Every mistake in the file is looked for; err carries the first, and with `all`
 * not NULL each is written there on its own line. options may be NULL: the calling process'
 * effective uid.
 */
const struct mkto_config *mkto_config_read(const char *file,
                                           const struct mkto_config_options *options,
                                           struct mkto_error *err, FILE *all);
void mkto_config_free(const struct mkto_config *config);

/* The subscription of that name ("" is [marketo], or the only one there is), or NULL. */
const struct mkto_subscription *mkto_config_subscription(const struct mkto_config *config,
                                                         struct mkto_slice name);

/* The source whose key this is, compared in constant time, or NULL. */
const struct mkto_config_source *mkto_config_source(const struct mkto_config *config,
                                                    struct mkto_slice key);

/* The [fields] row of a trait in this subscription, or NULL. */
const struct mkto_config_field *mkto_config_field(const struct mkto_subscription *subscription,
                                                  struct mkto_slice trait);

/*
 * Reads a secret file (or $CREDENTIALS_DIRECTORY/BASENAME when that exists) into out, without its
 * trailing newline. Returns its length, or -1 with the reason: unreadable, empty, over size,
 * writable by group or other, world-readable (files below $CREDENTIALS_DIRECTORY and /run/secrets
 * are exempt from the two last).
 */
long mkto_config_secret(const char *file, char *out, size_t size, struct mkto_error *err);

/* What a value is. Each kind has one parser in mkto_config_value.c. */
enum mkto_config_kind {
    MKTO_CONFIG_KIND_TEXT,      /* free text */
    MKTO_CONFIG_KIND_WORD,      /* text without white space */
    MKTO_CONFIG_KIND_PATH,      /* absolute path */
    MKTO_CONFIG_KIND_FILE,      /* absolute path of a file that everybody may read */
    MKTO_CONFIG_KIND_SECRET,    /* absolute path of a secret file */
    MKTO_CONFIG_KIND_URL,       /* https://HOST[:PORT][/PATH]; http:// only to this machine */
    MKTO_CONFIG_KIND_HOST,      /* host name, no port */
    MKTO_CONFIG_KIND_MUNCHKIN,  /* 561-HYG-937 */
    MKTO_CONFIG_KIND_API,       /* rest | soap */
    MKTO_CONFIG_KIND_NAMING,    /* pascal | full_pascal */
    MKTO_CONFIG_KIND_RESPECT,   /* gpc, dnt or both */
    MKTO_CONFIG_KIND_SWITCH,    /* on | off */
    MKTO_CONFIG_KIND_IDENTIFY,  /* open | same_origin | trusted */
    MKTO_CONFIG_KIND_EVENTS,    /* names of events, with commas between them */
    MKTO_CONFIG_KIND_FIELDS,    /* names of traits and fields, with commas between them */
    MKTO_CONFIG_KIND_COUNT,     /* whole number */
    MKTO_CONFIG_KIND_DURATION,  /* whole number and unit: 500ms 30s 5m 24h 3d; 0 */
    MKTO_CONFIG_KIND_SIZE,      /* bytes, or whole number and unit: 64k 500M 2G 1T */
    MKTO_CONFIG_KIND_KEEP_FREE, /* size or percent: 500M 5% */
};

/* One row of the key table: for the reader, for documentation and for checks. */
struct mkto_config_key {
    const char *section; /* "marketo", "spool", "courier" */
    const char *key;
    const char
        *value; /* what may stand there, in words: "rest or soap", "1..300", "duration, 0..1h" */
    const char *fallback; /* the default as one would write it; "" none; with '<' one that is made
                             of other keys */
    const char *help;     /* one line */
    enum mkto_config_kind kind;
    int64_t min; /* COUNT; DURATION in ms; SIZE and KEEP_FREE in bytes */
    int64_t max;
    size_t offset; /* in struct mkto_subscription for "marketo", else in struct mkto_config */
};
const struct mkto_config_key *mkto_config_keys(size_t *count);

#endif
