/*
 * disk_journal: the file that diskshim.c writes and powercut.c reads; diskshim.py sets its head.
 *
 * The head, then one record for each change below the watched directory, in order, each padded to
 * 8 bytes. The file is mapped by both sides: a test sees at once how far the courier has come, and
 * chooses while it runs what fails.
 */
#ifndef DISK_JOURNAL_H
#define DISK_JOURNAL_H

#include <stdint.h>

#define DISK_NAME_MAX 40 /* bytes of a name below the directory with its NUL */

enum disk_kind {
    DISK_WRITE,    /* data at offset */
    DISK_TRUNCATE, /* to the size in offset */
    DISK_SYNC,     /* fsync or fdatasync of a file */
    DISK_SYNC_DIR, /* of the directory */
    DISK_CREATE,   /* an open that made the file */
    DISK_UNLINK,
    DISK_RENAME, /* data: the new name */
    DISK_KINDS
};

/* Numbers of calls are those of the calls that fail_kinds and fail_files choose, from 0. */
struct disk_head {
    uint64_t capacity; /* bytes for records behind the head; 0: nothing is recorded */
    uint64_t size;     /* bytes of the records there are */
    uint64_t count;    /* how many */
    uint64_t lost;     /* records for which there was no room */
    uint64_t calls;
    uint64_t fail_from; /* the first call that fails */
    uint64_t fail_to;   /* the first one behind it that does not */
    uint64_t fail_errno;
    uint64_t fail_kinds; /* bits 1 << enum disk_kind */
    uint64_t fail_files; /* 0: all; 1: spool.db alone */
    uint64_t failed;     /* calls that have failed */
};

struct disk_record {
    uint32_t kind;
    uint32_t len; /* bytes of data behind the record, without the padding */
    uint64_t inode;
    uint64_t offset;
    char name[DISK_NAME_MAX];
};

#endif
