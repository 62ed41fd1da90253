/*
 * notify.h - tell systemd how we are (sd_notify(3)'s protocol: a datagram to $NOTIFY_SOCKET).
 */
#ifndef ILEA_NODE_NOTIFY_H
#define ILEA_NODE_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1"; nothing happens where nobody listens. */
void ilea_notify(const char *state);
/* How often WATCHDOG=1 is due, in ms; 0: not at all. */
uint64_t ilea_notify_watchdog_ms(void);

#endif
