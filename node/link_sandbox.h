/*
 * link_sandbox.h - what ilea-link gives up before it hears from anybody.
 *
 * It holds the transport key and parses what strangers send with a library
 * that was not written for that. So it is left with little: no core dumps and
 * no debugger, a bound on memory and file descriptors, no new privileges, and
 * only the system calls that ZeroMQ was seen to need. It can open no file,
 * start no program, make no other kind of socket and map nothing executable;
 * such a call fails with EPERM.
 *
 * Sanitizers need more than that: with ILEA_SANITIZED there is no memory limit
 * and no filter of system calls.
 */
#ifndef ILEA_NODE_LINK_SANDBOX_H
#define ILEA_NODE_LINK_SANDBOX_H

#include "include/ilea/error.h"

/*
 * Call once, while there is one thread: later ones inherit everything.
 *   ILEA_ERROR_PERMISSION  the system refuses part of it: do not run
 */
ILEA_MUST_USE enum ilea_error ilea_link_sandbox_enter(void);

#endif
