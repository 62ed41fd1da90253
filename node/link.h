/*
 * link.h - the loop of ilea-link: ilea-node's socketpair on one side, ZeroMQ on
 * the other. One thread, which owns every socket and never blocks.
 *
 * A peer can be reached in two ways, and both may exist at once:
 *
 *   the way out   a DEALER of its own, if we dial it; the far end is who we mean, because CURVE
 *                 pins its key. Preferred for sending.
 *   the way in    our one ROUTER, if it dials us. Who it is says the "User-Id" that our ZAP handler
 *                 gave to the connection, read from the message itself. Never the routing id: that
 *                 is chosen by the peer. We remember as the route for answers the one that brought
 *                 the last valid message, and only if libzmq made it up: a peer that names itself
 *                 could take the name of another that has just left, and get what is meant for it.
 *
 * A message is one part. An empty one is a sign of life between two ilea-link and goes no further:
 * each sends one on every connection on which it has sent nothing for 5 seconds. So silence for
 * three of these means that a connection is dead, whatever ilea-node does. libzmq does not see to
 * that itself: after a protocol error (one flipped bit) or a refusal it never connects again.
 * A dialled connection that ended, stays silent or does not come up is therefore closed and made
 * anew after a while between 1 and 30 seconds.
 *
 * Nothing here is delivery: whatever is queued may be dropped, with DOWN to say so. A second DOWN
 * is not sent until something has come from the peer, or ilea-node has changed or reset it.
 */
#ifndef ILEA_NODE_LINK_H
#define ILEA_NODE_LINK_H

/*
 * Serve the socketpair's end `fd` until it closes or `signal_fd` (a signalfd for SIGTERM and
 * SIGINT) has something to say. Borrows both. Returns the exit status: 0, or 1 after one line
 * about the reason on stderr.
 */
int ilea_link_run(int fd, int signal_fd);

#endif
