/*
 * audience.h - what stands in the feeds of a closed audience, beside its items: who is a member, who is suspended,
 * and which of these statements the items behind it were written by the light of. In clear, for members alone:
 * nobody else has the feed.
 *
 *   head      = [ id: bin 32, agency: bin 32 ]      a commit with an AUDIENCE or SUSPEND in its first slot (its
 *                                                   second, behind an opening), and in whose feed it is
 *   AUDIENCE  [ 4, audience: bin 16, number, aek_commit: bin 32, [ head ... ], [ wrapped: bin 140 ... ], time_ms,
 *               [ [ act, agency: bin 32, level, reading: bin 0|32, code: str ] ... ], info ]
 *             Of the owner alone: it starts an epoch. act 1 add (level 1 read, 2 write, 3 admin; reading key; code for
 *             people), 2 remove, 3 lift (both: level 0, the rest empty). info is [] where there are heads, else
 *             [ name: str, tlp 1..4, history_ms, list 0|1 ]. history_ms: 0: who joins reads what is written from
 *             then on; 2^63-1: everything; else what was written since that time.
 *   SUSPEND   [ 5, audience: bin 16, [ head ... ], subject: bin 32, reason: str ]
 *   USE       [ 6, audience: bin 16, [ head ... ] ]       its writer knew these when it wrote what follows
 *   WRITER    [ 8, audience: bin 16, restricted 0|1, aek_commit: bin 32, [ head ... ], [ wrapped ... ] ]
 *             An epoch of a writer's own, where none of the owner's fits. restricted: it was sealed to fewer than
 *             the members that the writer knew.
 *
 * Heads ascend by id, wrapped keys by their bytes, acts by agency (one an agency).
 */
#ifndef ILEA_RECORD_AUDIENCE_H
#define ILEA_RECORD_AUDIENCE_H

#include "replication/record/commit.h"
#include "replication/record/statement.h"

enum {
    ILEA_MEMBER_ACTS_MAX = 512,    /* of one statement; a larger change takes several */
    ILEA_AUDIENCE_NAME_MAX = 100,  /* bytes, one line */
    ILEA_SUSPEND_REASON_MAX = 200
};

#define ILEA_HISTORY_ALL ((uint64_t)INT64_MAX)

enum ilea_member_act_kind { ILEA_MEMBER_ADD = 1, ILEA_MEMBER_REMOVE = 2, ILEA_MEMBER_LIFT = 3 };

enum ilea_access { ILEA_ACCESS_NONE = 0, ILEA_ACCESS_READ = 1, ILEA_ACCESS_WRITE = 2, ILEA_ACCESS_ADMIN = 3 };

struct ilea_head {
    struct ilea_commit_id id;
    struct ilea_agency_id agency;
};

struct ilea_member_act {
    enum ilea_member_act_kind kind;
    struct ilea_agency_id agency;
    enum ilea_access level;                /* ADD alone; NONE else */
    struct ilea_reading_public reading;   /* ADD alone; zeros else */
    struct ilea_span code;                /* ADD alone: 1 to ILEA_CODE_SIZE_MAX bytes, for people */
};

/* Spans are encoded lists; walk them with the functions below. */
struct ilea_audience_statement {
    struct ilea_audience_id audience;
    uint64_t number;
    uint8_t aek_commit[ILEA_HASH_SIZE];
    uint32_t head_count, wrapped_count, act_count;
    struct ilea_span heads, wrapped, acts;
    uint64_t time_ms;                     /* wall clock of its author */
    bool has_info;                        /* exactly if head_count is 0 */
    struct ilea_span name;
    uint32_t tlp;                         /* the widest label it takes: 1 clear to 4 amber+strict (label.h) */
    uint64_t history_ms;
    bool list;
};

struct ilea_suspend_statement {
    struct ilea_audience_id audience;
    uint32_t head_count;
    struct ilea_span heads;
    struct ilea_agency_id subject;
    struct ilea_span reason;
};

struct ilea_use_statement {
    struct ilea_audience_id audience;
    uint32_t head_count;
    struct ilea_span heads;
};

struct ilea_writer_epoch {
    struct ilea_audience_id audience;
    bool restricted;
    uint8_t aek_commit[ILEA_HASH_SIZE];
    uint32_t head_count, wrapped_count;
    struct ilea_span heads, wrapped;
};

/* Each: ILEA_ERROR_MALFORMED. Spans borrow `input`. */
ILEA_MUST_USE enum ilea_error
ilea_audience_statement_decode(struct ilea_span input, struct ilea_audience_statement *statement);
ILEA_MUST_USE enum ilea_error ilea_suspend_decode(struct ilea_span input,
                                                  struct ilea_suspend_statement *suspend);
ILEA_MUST_USE enum ilea_error ilea_use_decode(struct ilea_span input, struct ilea_use_statement *use);
ILEA_MUST_USE enum ilea_error ilea_writer_epoch_decode(struct ilea_span input,
                                                 struct ilea_writer_epoch *statement);

/* Walk a decoded list: init a reader over the span, call count times. */
void ilea_head_get(struct ilea_msgpack_reader *reader, struct ilea_head *head);
void ilea_member_act_get(struct ilea_msgpack_reader *reader, struct ilea_member_act *act);

/* Encode. The counts and plain fields are the statement's; its spans of lists are not looked at. heads and acts are
 * sorted here, in place; wrapped (keys of ILEA_WRAPPED_KEY_SIZE bytes in a row) too. What decode would refuse: the
 * writer fails or the caller's input was wrong. */
void ilea_audience_statement_put(struct ilea_msgpack_writer *writer,
                                 const struct ilea_audience_statement *statement,
                                 struct ilea_head *heads, uint8_t *wrapped,
                                 struct ilea_member_act *acts);
void ilea_suspend_put(struct ilea_msgpack_writer *writer,
                      const struct ilea_suspend_statement *suspend, struct ilea_head *heads);
void ilea_use_put(struct ilea_msgpack_writer *writer, const struct ilea_use_statement *use,
                  struct ilea_head *heads);
void ilea_writer_epoch_put(struct ilea_msgpack_writer *writer,
                     const struct ilea_writer_epoch *statement, struct ilea_head *heads,
                     uint8_t *wrapped);

/*
 * What a statement of an audience names: all that carries it on needs to know. Inits the reader over *count heads.
 * 0: it is no such statement, names nothing, or does not decode (nobody reads it then). */
void ilea_statement_heads(struct ilea_span content, uint32_t *count,
                          struct ilea_msgpack_reader *heads);

/* Where such a statement may stand in a commit: first, or behind the opening. */
uint32_t ilea_naming_slot(const struct ilea_commit *commit);
/* The statement that stands there, of whatever kind; empty: none does. */
struct ilea_span ilea_naming_statement(const struct ilea_commit *commit);

#endif
