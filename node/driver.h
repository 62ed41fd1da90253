/*
 * driver.h - joins everything: one loop that turns what happens (frames from ilea-link, requests on the
 * control socket, the view worker, time, signals) into events for the replicator and puts for the author,
 * performs the effects in order, and makes each turn's writes durable with one group commit.
 *
 * Order in a turn: take in -> one transaction of the log -> durable -> guard -> acknowledge, answer, pass on.
 */
#ifndef ILEA_NODE_DRIVER_H
#define ILEA_NODE_DRIVER_H

#include "node/control_bundle.h"
#include "node/control_server.h"
#include "node/node.h"

/*
 * Run the daemon on an opened node until SIGTERM or SIGINT, which the caller has blocked and given as a
 * signalfd. `listen`: endpoint, "" for none. Returns an exit code of sysexits(3), or ILEA_DRIVER_RELOAD: our own
 * manifest is another now; close the node, open it again and run it again. Meanwhile `control` (which
 * ilea_control_server_init() made) keeps its clients and what they asked; in every other case it is closed.
 */
enum { ILEA_DRIVER_RELOAD = -1 };
int ilea_driver_run(struct ilea_node *node, struct ilea_control_server *control, const char *listen,
                    const struct ilea_span *passphrase, int signals);

/*
 * A driver without links, clients and loop, for a command that takes a bundle in where no daemon runs: the same
 * checks, by the same code. `node` is opened for writing, has its view, and is borrowed. End with
 * ilea_driver_alone_end(); NULL is allowed.
 */
struct driver;
ILEA_MUST_USE enum ilea_error ilea_driver_alone(struct ilea_node *node, struct driver **driver);
/* Make durable what was taken in. IO: nothing since the last time is kept. */
ILEA_MUST_USE enum ilea_error ilea_driver_alone_commit(struct driver *driver);
void ilea_driver_alone_end(struct driver *driver);

/* One request of control_bundle.h. `owner`: whose bundle; one at a time is taken in. */
void ilea_driver_bundle(struct driver *driver, uint64_t owner, const struct ilea_control_chunk *chunk,
                        struct ilea_control_bundle *answer);

#endif
