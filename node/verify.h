/*
 * verify.h - the memory of one `ilea verify`, shared by command_verify.c and verify_log.c.
 */
#ifndef ILEA_NODE_VERIFY_H
#define ILEA_NODE_VERIFY_H

#include "node/command.h"

struct ilea_verify {
    const struct ilea_command *command;
    struct ilea_log *log;
    struct ilea_transaction *txn;
    uint64_t commits, faults, erased;
    json_t *list; /* of faults, for --json */
    struct ilea_progress progress;
};

/* Count and report one fault. */
void ilea_verify_fault(struct ilea_verify *verify, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Everything in the log, inside verify->txn. */
void ilea_verify_log(struct ilea_verify *verify);

#endif
