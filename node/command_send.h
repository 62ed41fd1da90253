/*
 * command_send.h - how the command line writes records: straight through, or, with four eyes, so that what would leave
 * the agency is gathered and asked for. A new record becomes a draft that the request publishes; a change of what is
 * shared already waits in the request.
 *
 *   begin -> put ... put -> end -> report it
 */
#ifndef ILEA_NODE_COMMAND_SEND_H
#define ILEA_NODE_COMMAND_SEND_H

#include "node/command_act.h"
#include "node/command_place.h"
#include "replication/record/release.h"

enum { ILEA_COMMAND_REQUESTS_MAX = 64 };

struct ilea_command_send {
    const struct ilea_command *command;
    struct ilea_command_place *place;  /* borrowed; NULL: records stay where they are */
    bool four_eyes;
    struct ilea_command_act act;       /* with four eyes: who asks */
    bool act_begun;
    struct ilea_writer *writer;
    ilea_writer_answer *answer;        /* the command's */
    void *context;
    /* With four eyes: puts without an answer yet, in order; drafts to be published; what is to be asked for. */
    struct ilea_command_kept *first, *last;
    struct ilea_command_draft { uint32_t type; struct ilea_record_id id; char ref[48]; } *drafts;
    uint32_t draft_count, draft_capacity, draft_at;
    struct ilea_command_item {
        struct ilea_release_item item; /* first; its put is heap */
        char ref[48];
        enum ilea_scope scope;         /* for whom */
        struct ilea_audience_id audience;
        bool waits;                    /* in an earlier release */
    } *items;
    uint32_t item_count, item_capacity;
    enum ilea_error failure;           /* on the way; it was said */
    /* That were made, and those that were made before and hold some of the same. */
    struct ilea_command_request { uint32_t number, records; bool is_new; } requests[ILEA_COMMAND_REQUESTS_MAX];
    uint32_t request_count;
};

/* For whom all puts are: `place`, NULL if records stay where they are. Exit code, after a message; end it in any
 * case. */
int ilea_command_send_begin(struct ilea_command_send *send, const struct ilea_command *command,
                            struct ilea_command_place *place, ilea_writer_answer *answer, void *context);
/* As ilea_writer_put() and ilea_writer_flush(). put->scope and audience are set: with four eyes what goes to others is
 * a draft first. Answers come to the command; one that says REVIEW is of a change that waits. */
ILEA_MUST_USE enum ilea_error ilea_command_send_put(struct ilea_command_send *send, uint64_t tag,
                                                    struct ilea_put *put);
ILEA_MUST_USE enum ilea_error ilea_command_send_flush(struct ilea_command_send *send);
/* After flush: ask for what has to be approved. Exit code, after a message; then send->requests says what waits. */
int ilea_command_send_ask(struct ilea_command_send *send);
void ilea_command_send_end(struct ilea_command_send *send);

/* One put, and what became of it. */
struct ilea_command_written {
    struct ilea_command_send send;
    struct ilea_put_result result;
    bool is_written;                   /* though the code may not be 0: what was to be asked for was not */
};
/* Exit code, after a message; end written->send in any case. */
int ilea_command_write(const struct ilea_command *command, struct ilea_command_place *place, struct ilea_put *put,
                       struct ilea_command_written *written);

/* What waits, in words on stdout; as JSON (new reference; NULL: nothing). */
void ilea_command_send_print(const struct ilea_command_send *send);
json_t *ilea_command_send_json(const struct ilea_command_send *send);

#endif
