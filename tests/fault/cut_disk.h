/*
 * cut_disk: a directory as the disk has it while a journal of diskshim is played, and what a power
 * cut may leave of it.
 *
 * A file has what was there at its last fsync, and the changes since, which may each be on the disk
 * or not. A name is there for good only when the directory was fsynced after it: an fsync of the
 * file does not count, though ext4 would keep the name then. Changes of names reach the disk in
 * their order, as any journaling file system has it; those of contents in any.
 */
#ifndef CUT_DISK_H
#define CUT_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "disk_journal.h"

#define CUT_SECTOR 512 /* bytes that a disk writes whole */
#define CUT_PAGE 4096  /* bytes that the kernel writes in any order */
#define CUT_FILES_MAX 64
#define CUT_NAMES_MAX 16

struct cut_bytes {
    uint8_t *data;
    size_t size;
    size_t room;
};

struct cut_file {
    uint64_t inode;
    struct cut_bytes durable;
    const struct disk_record **pending;
    size_t pending_count;
    size_t pending_room;
};

struct cut_names {
    struct {
        char name[DISK_NAME_MAX];
        struct cut_file *file; /* NULL: no entry */
    } entries[CUT_NAMES_MAX];
};

struct cut_disk {
    struct cut_file files[CUT_FILES_MAX];
    size_t file_count;
    struct cut_names durable;
    struct {
        const struct disk_record *record;
        struct cut_file *file; /* of a new name */
    } names_pending[CUT_FILES_MAX];
    size_t names_pending_count;
};

/* The record behind this one. */
const struct disk_record *cut_next(const struct disk_record *record);

/* Plays one record. */
void cut_play(struct cut_disk *disk, const struct disk_record *record);

/* The names after the first `changes` of those that are not durable. */
void cut_names(const struct cut_disk *disk, size_t changes, struct cut_names *names);

/* What is in a file after the first `changes` of its pending ones. */
void cut_contents(const struct cut_file *file, size_t changes, struct cut_bytes *out);

/* All of it, but of the last change only the sectors before (or, `tail`, from) offset `at` of the
 * file. */
void cut_torn(const struct cut_file *file, uint64_t at, bool tail, struct cut_bytes *out);

/* Each page as it was after some number of the changes, chosen by `random`; so is the size. */
void cut_pages(const struct cut_file *file, uint64_t *random, struct cut_bytes *out);

/* The next random number below `below`, which is not 0. */
uint64_t cut_random(uint64_t *state, uint64_t below);

#endif
