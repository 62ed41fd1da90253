/*
 * error.h - what can go wrong, and whose fault it is.
 *
 * Every fallible call returns enum ilea_error and, unless it says otherwise,
 * writes no output parameter on failure. The numbers are ABI: append only.
 */
#ifndef ILEA_ERROR_H
#define ILEA_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ILEA_API __attribute__((visibility("default")))
#define ILEA_MUST_USE __attribute__((warn_unused_result))

/* name, is it the peer's fault?, text */
#define ILEA_ERROR_TABLE(X)                                                  \
    X(NONE,          false, "success")                                       \
    X(NO_MEMORY,     false, "out of memory")                                 \
    X(NOT_FOUND,     false, "not found")                                     \
    X(EXISTS,        false, "exists already")                                \
    X(BUSY,          false, "in use or at a limit; try again later")         \
    X(PERMISSION,    false, "permission denied")                             \
    X(VERSION,       false, "written in another format version")             \
    X(CORRUPT,       false, "stored data is damaged")                        \
    X(IO,            false, "input or output failed")                        \
    X(FULL,          false, "no space left on the disk")                     \
    X(KEY_MISSING,   false, "the key for this is not held")                  \
    X(PASSPHRASE,    false, "wrong passphrase")                              \
    X(INVALID,       false, "invalid argument or value")                     \
    X(NOT_OWNER,     false, "the record belongs to another agency")          \
    X(MALFORMED,     true,  "bytes do not decode")                           \
    X(LIMIT,         true,  "a limit is exceeded")                           \
    X(UNEXPECTED,    true,  "message not allowed in this state")             \
    X(BAD_SIGNATURE, true,  "signature does not verify")                     \
    X(BAD_HASH,      true,  "hash does not match")                           \
    X(SILENT,        true,  "peer did not answer in time")                   \
    X(DIVERGED,      true,  "another history of the same feed")              \
    X(UNKNOWN,       true,  "unknown version, suite or critical feature")

enum ilea_error {
#define X(name, peer, text) ILEA_ERROR_##name,
    ILEA_ERROR_TABLE(X)
#undef X
};

/* One short English phrase, static storage, never NULL. */
ILEA_API const char *ilea_error_text(enum ilea_error error);

/* True: drop the bytes or the peer and carry on. False: our own trouble; report it. */
ILEA_API bool ilea_error_is_peer_fault(enum ilea_error error);

#ifdef __cplusplus
}
#endif

#endif
