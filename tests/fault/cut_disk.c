#include "cut_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void give_up(const char *why)
{
    fprintf(stderr, "powercut: %s\n", why);
    exit(2);
}

uint64_t cut_random(uint64_t *state, uint64_t below)
{
    *state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t mixed = *state;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return (mixed ^ mixed >> 31) % below;
}

const struct disk_record *cut_next(const struct disk_record *record)
{
    const size_t padded = ((size_t)record->len + 7) & ~(size_t)7;
    return (const struct disk_record *)(const void *)((const uint8_t *)(record + 1) + padded);
}

/* ---- contents ---- */

static void resize(struct cut_bytes *bytes, size_t size)
{
    if (size > bytes->room) {
        bytes->room = size * 2;
        bytes->data = realloc(bytes->data, bytes->room);
        if (bytes->data == NULL) {
            give_up("no memory");
        }
    }
    if (size > bytes->size) {
        memset(bytes->data + bytes->size, 0, size - bytes->size);
    }
    bytes->size = size;
}

static void copy(const struct cut_bytes *from, struct cut_bytes *to)
{
    to->size = 0;
    resize(to, from->size);
    if (from->size > 0) {
        memcpy(to->data, from->data, from->size);
    }
}

static void change(struct cut_bytes *bytes, const struct disk_record *record)
{
    const size_t end = (size_t)record->offset + record->len;
    if (record->kind == DISK_TRUNCATE) {
        resize(bytes, (size_t)record->offset);
        return;
    }
    if (end > bytes->size) {
        resize(bytes, end);
    }
    memcpy(bytes->data + record->offset, record + 1, record->len);
}

void cut_contents(const struct cut_file *file, size_t changes, struct cut_bytes *out)
{
    copy(&file->durable, out);
    for (size_t i = 0; i < changes; i++) {
        change(out, file->pending[i]);
    }
}

void cut_torn(const struct cut_file *file, uint64_t at, bool tail, struct cut_bytes *out)
{
    struct cut_bytes whole = {0};
    cut_contents(file, file->pending_count, &whole);
    cut_contents(file, file->pending_count - 1, out);
    if (tail) {
        resize(out, whole.size);
        memcpy(out->data + at, whole.data + at, whole.size - at);
    } else {
        if (out->size < at) {
            resize(out, at);
        }
        memcpy(out->data, whole.data, at);
    }
    free(whole.data);
}

static void take_page(const struct cut_bytes *from, size_t at, struct cut_bytes *out)
{
    const size_t end = at + CUT_PAGE < out->size ? at + CUT_PAGE : out->size;
    const size_t there = from->size <= at ? 0 : (from->size < end ? from->size : end) - at;
    memset(out->data + at, 0, end - at);
    if (there > 0) {
        memcpy(out->data + at, from->data + at, there);
    }
}

void cut_pages(const struct cut_file *file, uint64_t *random, struct cut_bytes *out)
{
    enum { VERSIONS = 4 };
    struct cut_bytes versions[VERSIONS];
    memset(versions, 0, sizeof(versions));
    for (size_t i = 0; i < VERSIONS; i++) {
        const size_t some = (size_t)cut_random(random, file->pending_count + 1);
        cut_contents(file, i == 0 ? 0 : i == 1 ? file->pending_count : some, &versions[i]);
    }
    out->size = 0;
    resize(out, versions[cut_random(random, VERSIONS)].size);
    for (size_t at = 0; at < out->size; at += CUT_PAGE) {
        take_page(&versions[cut_random(random, VERSIONS)], at, out);
    }
    for (size_t i = 0; i < VERSIONS; i++) {
        free(versions[i].data);
    }
}

/* ---- names ---- */

static void set_name(struct cut_names *names, const char *name, struct cut_file *file)
{
    size_t empty = CUT_NAMES_MAX;
    for (size_t i = 0; i < CUT_NAMES_MAX; i++) {
        if (names->entries[i].file == NULL) {
            empty = i;
        } else if (strcmp(names->entries[i].name, name) == 0) {
            names->entries[i].file = file;
            return;
        }
    }
    if (file == NULL) {
        return;
    }
    if (empty == CUT_NAMES_MAX) {
        give_up("too many names");
    }
    snprintf(names->entries[empty].name, DISK_NAME_MAX, "%s", name);
    names->entries[empty].file = file;
}

static struct cut_file *file_named(const struct cut_names *names, const char *name)
{
    for (size_t i = 0; i < CUT_NAMES_MAX; i++) {
        if (names->entries[i].file != NULL && strcmp(names->entries[i].name, name) == 0) {
            return names->entries[i].file;
        }
    }
    return NULL;
}

void cut_names(const struct cut_disk *disk, size_t changes, struct cut_names *names)
{
    *names = disk->durable;
    for (size_t i = 0; i < changes; i++) {
        const struct disk_record *record = disk->names_pending[i].record;
        struct cut_file *file = disk->names_pending[i].file;
        if (record->kind == DISK_RENAME) {
            file = file_named(names, record->name);
            set_name(names, (const char *)(record + 1), file);
        }
        set_name(names, record->name, record->kind == DISK_CREATE ? file : NULL);
    }
}

/* ---- the journal, record by record ---- */

/* An inode number comes again for a new file: the newest one counts. */
static struct cut_file *file_of(struct cut_disk *disk, uint64_t inode)
{
    for (size_t i = disk->file_count; i > 0; i--) {
        if (disk->files[i - 1].inode == inode) {
            return &disk->files[i - 1];
        }
    }
    give_up("a file whose making is not in the journal");
    return NULL;
}

static void change_name(struct cut_disk *disk, const struct disk_record *record)
{
    const size_t at = disk->names_pending_count++;
    if (disk->file_count == CUT_FILES_MAX || at == CUT_FILES_MAX) {
        give_up("too many files");
    }
    disk->names_pending[at].record = record;
    disk->names_pending[at].file = NULL;
    if (record->kind == DISK_CREATE) {
        struct cut_file *file = &disk->files[disk->file_count++];
        file->inode = record->inode;
        disk->names_pending[at].file = file;
    }
}

static void change_contents(struct cut_file *file, const struct disk_record *record)
{
    if (file->pending_count == file->pending_room) {
        file->pending_room = file->pending_room * 2 + 64;
        file->pending = realloc(file->pending, file->pending_room * sizeof(file->pending[0]));
        if (file->pending == NULL) {
            give_up("no memory");
        }
    }
    file->pending[file->pending_count++] = record;
}

static void sync_file(struct cut_file *file)
{
    for (size_t i = 0; i < file->pending_count; i++) {
        change(&file->durable, file->pending[i]);
    }
    file->pending_count = 0;
}

void cut_play(struct cut_disk *disk, const struct disk_record *record)
{
    switch ((enum disk_kind)record->kind) {
    case DISK_CREATE:
    case DISK_UNLINK:
    case DISK_RENAME: change_name(disk, record); break;
    case DISK_WRITE:
    case DISK_TRUNCATE: change_contents(file_of(disk, record->inode), record); break;
    case DISK_SYNC: sync_file(file_of(disk, record->inode)); break;
    case DISK_SYNC_DIR: {
        struct cut_names names;
        cut_names(disk, disk->names_pending_count, &names);
        disk->durable = names;
        disk->names_pending_count = 0;
        break;
    }
    case DISK_KINDS: give_up("a record of no kind");
    }
}
