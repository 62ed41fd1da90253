/*
 * view_worker.h - the process that builds the view, so that a damaged or stuck view costs a process and
 * nothing else. ilea-node starts itself again for it:
 *
 *   ilea-node --view-worker HOME GENERATION     descriptor 3: a stream to the daemon
 *
 *   daemon -> worker   uint16 size of the passphrase, its bytes (once); then any byte: the log has grown
 *   worker -> daemon   uint64 position, most significant byte first: the view has come so far
 *
 * It ends when the stream closes. Exit codes: EX_OK; EX_DATAERR: this generation is damaged, make another;
 * EX_IOERR: disk full, start it again later; others: start it again.
 */
#ifndef ILEA_NODE_VIEW_WORKER_H
#define ILEA_NODE_VIEW_WORKER_H

/* The worker's main; returns an exit code. */
int ilea_view_worker_main(const char *home, unsigned generation);

#endif
