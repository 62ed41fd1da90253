/*
 * bundle_file.h - files of bundles (record/bundle.h): reading one chunk by chunk, and writing one or several parts.
 * Memory does not grow with the file.
 */
#ifndef ILEA_NODE_BUNDLE_FILE_H
#define ILEA_NODE_BUNDLE_FILE_H

#include <stdio.h>

#include "node/home.h"
#include "replication/record/bundle.h"

enum { ILEA_BUNDLE_PATH_SIZE = ILEA_PATH_SIZE + 32 };

struct ilea_bundle_reader {
    FILE *file;
    struct ilea_bundle_header header;
    uint8_t header_bytes[ILEA_BUNDLE_HEADER_MAX];
    size_t header_size;
    bool has_next;              /* next_size: of the chunk that comes next */
    uint32_t next_size;
    struct ilea_span chunk;     /* the one read last */
    bool last;
    uint64_t size;              /* bytes read since the start */
    uint8_t bytes[ILEA_BUNDLE_CHUNK_MAX];
};

/* NOT_FOUND, PERMISSION, IO; INVALID: no plain file; MALFORMED: no bundle, or a header that is damaged; UNKNOWN: of a
 * newer version. Close it also after a failure. */
ILEA_MUST_USE enum ilea_error ilea_bundle_reader_open(struct ilea_bundle_reader *reader, const char *path);
/* The next chunk. NOT_FOUND: there is none; MALFORMED: cut off or damaged; IO. */
ILEA_MUST_USE enum ilea_error ilea_bundle_reader_next(struct ilea_bundle_reader *reader);
/* Before the first chunk again. MALFORMED: there is none; IO. */
ILEA_MUST_USE enum ilea_error ilea_bundle_reader_rewind(struct ilea_bundle_reader *reader);
void ilea_bundle_reader_close(struct ilea_bundle_reader *reader);

/* Who it is from and for; all borrowed. */
struct ilea_bundle_maker {
    struct ilea_network_id network;
    struct ilea_agency_id from, to;
    uint64_t manifest, made_ms;
    const struct ilea_sign_secret *node;
    struct ilea_reading_public reading; /* of `to` */
};

struct ilea_bundle_writer {
    struct ilea_bundle_maker maker;
    char path[ILEA_PATH_SIZE];
    uint64_t split;             /* bytes of a part; 0: there is one */
    bool has_totals;            /* each part begins with them */
    struct ilea_bundle_totals totals;
    struct ilea_bundle_header header; /* of the part that is being written */
    struct ilea_keyring *ring;
    FILE *file;
    uint32_t part;              /* the last one begun; 0: none */
    uint64_t number, size;      /* of it: chunks and bytes written */
    uint64_t size_total;        /* of the parts before */
    size_t pending;             /* bytes of the chunk that waits in plain: it may be the last one */
    uint8_t plain[ILEA_BUNDLE_PLAIN_MAX];
    uint8_t chunk[ILEA_BUNDLE_CHUNK_MAX];
};

/*
 * Begin PATH; parts after the first are PATH.2, PATH.3, ... All are written to names with ".partial" behind and
 * renamed by keep(). `totals` NULL: without. EXISTS: writer->path or a part of it; LIMIT: the path is too long, or
 * too many parts; INVALID: the reader's key; others.
 */
ILEA_MUST_USE enum ilea_error ilea_bundle_writer_begin(struct ilea_bundle_writer *writer,
                                                       const struct ilea_bundle_maker *maker, const char *path,
                                                       uint64_t split, const struct ilea_bundle_totals *totals);
/* `agency`, `last`: of COMMITS the last commit, else NULL. */
ILEA_MUST_USE enum ilea_error ilea_bundle_writer_add(struct ilea_bundle_writer *writer, enum ilea_bundle_type type,
                                                     struct ilea_span body, const struct ilea_agency_id *agency,
                                                     const struct ilea_position *last);
/* Write what waits, and make all of it durable under its temporary names. */
ILEA_MUST_USE enum ilea_error ilea_bundle_writer_finish(struct ilea_bundle_writer *writer);
/* Give the parts their names. */
ILEA_MUST_USE enum ilea_error ilea_bundle_writer_keep(const struct ilea_bundle_writer *writer);
/* End it; what was not kept is removed. */
void ilea_bundle_writer_end(struct ilea_bundle_writer *writer);
/* The name of a part. */
void ilea_bundle_part_path(const char *path, uint32_t part, char name[ILEA_BUNDLE_PATH_SIZE]);

#endif
