/*
 * verify.h - the memory of one `ilea verify`, shared by command_verify.c and verify_*.c.
 */
#ifndef ILEA_NODE_VERIFY_H
#define ILEA_NODE_VERIFY_H

#include "node/command.h"

struct ilea_verify {
    const struct ilea_command *command;
    struct ilea_log *log;
    struct ilea_transaction *txn;
    uint64_t commits, faults, erased;
    uint64_t documents, chunks, document_faults; /* documents: that are whole */
    json_t *list; /* of faults, for --json */
    struct ilea_progress progress;
};

/* Count and report one fault. */
void ilea_verify_fault(struct ilea_verify *verify, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Everything in the log, inside verify->txn. */
void ilea_verify_log(struct ilea_verify *verify);

/* Of the log: closed audiences, what is stated about them, and epochs. */
void ilea_verify_audiences(struct ilea_verify *verify);

/* Every document that records of the view name and that is here. */
ILEA_MUST_USE enum ilea_error ilea_verify_documents(struct ilea_verify *verify, struct ilea_transaction *view);

#endif
