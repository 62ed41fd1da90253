/*
 * put_builder.h - collects the entries of one put, each checked against its field, and keeps the
 * bytes that they point to. What makes the entries from text and JSON is value.h.
 *
 * Errors: ILEA_ERROR_INVALID and ILEA_ERROR_LIMIT are about the input, and then
 * `reason` (ILEA_REASON_SIZE bytes) says in one printable line what is wrong.
 * Threads: a builder belongs to one thread.
 */
#ifndef ILEA_NODE_PUT_BUILDER_H
#define ILEA_NODE_PUT_BUILDER_H

#include "include/ilea/error.h"
#include "include/ilea/span.h"
#include "replication/record/limits.h"
#include "replication/record/msgpack_writer.h"
#include "replication/record/put.h"
#include "replication/record/schema.h"

enum {
    /* A line of JSON is at most 1 MiB, and smaller when encoded. */
    ILEA_BUILDER_ARENA_SIZE = 1280 * 1024,
    ILEA_BUILDER_TEXT_MAX = 256 * 1024 /* longest text taken in, before it is normalised */
};

/* Turns what is not UUID text, as FR-PN-N42, into a record id; must not use the builder. */
typedef enum ilea_error ilea_value_resolve(void *context, struct ilea_span text,
                                           struct ilea_record_id *id);

/* Collects one put at a time. *put and what it points to belong to the builder. */
struct ilea_put_builder {
    struct ilea_put *put;
    uint8_t *arena;
    size_t arena_used;
    uint8_t *text;      /* ILEA_BUILDER_TEXT_MAX bytes of text being normalised */
    int32_t *codepoints;
    ilea_value_resolve *resolve; /* NULL: UUID text only */
    void *resolve_context;
};

/* About 4 MB, little of it touched; to be reused. ILEA_ERROR_NO_MEMORY. */
ILEA_MUST_USE enum ilea_error ilea_put_builder_init(struct ilea_put_builder *builder);
void ilea_put_builder_deinit(struct ilea_put_builder *builder);

/* Begin a new put: what the last one held is gone. Scope 0, no id. */
void ilea_put_builder_begin(struct ilea_put_builder *builder, enum ilea_put_mode mode,
                            uint32_t type);
void ilea_put_builder_set_id(struct ilea_put_builder *builder, const struct ilea_record_id *id);

/*
 * One entry, checked against the field. Key and value are borrowed until the put
 * is used. An element set twice counts once; ILEA_PUT_ONLY counts once a field.
 *   ILEA_ERROR_INVALID  not right for the field, or already given
 */
ILEA_MUST_USE enum ilea_error ilea_put_builder_add(struct ilea_put_builder *builder,
                                                   const struct ilea_field *field,
                                                   const struct ilea_put_entry *entry,
                                                   char *reason);

/* As ilea_put_builder_add for a field that is not in the tables: the encoding alone is known. */
ILEA_MUST_USE enum ilea_error ilea_put_builder_add_unknown(struct ilea_put_builder *builder,
                                                           const struct ilea_put_entry *entry,
                                                           char *reason);

/* Encode into the arena: write with the writer, then keep what it wrote. ILEA_ERROR_LIMIT: it did
 * not fit. */
struct ilea_msgpack_writer ilea_put_builder_writer(struct ilea_put_builder *builder);
ILEA_MUST_USE enum ilea_error ilea_put_builder_keep(struct ilea_put_builder *builder,
                                                    const struct ilea_msgpack_writer *writer,
                                                    struct ilea_span *encoded, char *reason);

/* Say why ilea_field_check() gave this error. */
void ilea_put_builder_explain(const struct ilea_field *field, enum ilea_error error, char *reason);

#endif
