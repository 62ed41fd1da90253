/*
 * reason.h - the one printable line (ILEA_REASON_SIZE bytes) that says what is wrong with an input.
 */
#ifndef ILEA_NODE_REASON_H
#define ILEA_NODE_REASON_H

/* Format `reason`; control characters of quoted input are replaced, a cut character dropped. */
void ilea_reason(char *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
