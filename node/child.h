/*
 * child.h - starting our own helper processes: a program, and one end of a socketpair as its descriptor 3.
 */
#ifndef ILEA_NODE_CHILD_H
#define ILEA_NODE_CHILD_H

#include <sys/types.h>

#include "include/ilea/error.h"

enum { ILEA_CHILD_FD = 3 };

struct ilea_child {
    pid_t pid; /* 0: none */
    int fd;    /* our end, non-blocking */
};

/* Start argv[0] (a path) with its signal mask empty. ILEA_ERROR_NOT_FOUND: no such program. */
ILEA_MUST_USE enum ilea_error ilea_child_start(const char *const argv[], struct ilea_child *child);
/* Kill it if it still runs, reap it, close our end. */
void ilea_child_end(struct ilea_child *child);
/* Has it ended? Its exit code in *code, 128 + signal if one killed it. Reaps it. */
bool ilea_child_has_ended(struct ilea_child *child, int *code);

/* Path of a program of ours: beside the running one, else where it was installed. */
void ilea_child_path(const char *name, char *path, size_t size);

#endif
