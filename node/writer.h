/*
 * writer.h - how the command line writes: through the daemon if one runs, else straight to the store
 * under the home's lock. Same author, same result.
 *
 * Puts are gathered into batches; what the batch says comes back to a callback, in order, once it is
 * durable. Threads: one.
 */
#ifndef ILEA_NODE_WRITER_H
#define ILEA_NODE_WRITER_H

#include "node/control_audience.h"
#include "node/control_bundle.h"
#include "node/control_erase.h"
#include "node/control_lobby.h"
#include "node/node.h"

struct ilea_writer;

/*
 * Called once for each put, in order, after it is durable (error NONE) or refused. `tag` is the caller's
 * number of the put. It must not call the writer.
 */
typedef void ilea_writer_answer(void *context, uint64_t tag, enum ilea_error error,
                                const struct ilea_put_result *result);

/* Gives *writer. `passphrase` may be NULL; it is needed only for protected keys, and only when no daemon
 * runs (ILEA_ERROR_PASSPHRASE: ask and open again). Errors and `reason` as ilea_node_open(). */
ILEA_MUST_USE enum ilea_error ilea_writer_open(const char *home, const struct ilea_span *passphrase,
                                               ilea_writer_answer *answer, void *context,
                                               struct ilea_writer **writer, char *reason);
/* What was not flushed is not written. */
void ilea_writer_close(struct ilea_writer *writer);

/* Queue one put; batches go out as they fill.
 *   ILEA_ERROR_LIMIT  this put is too large; others are not affected
 *   others: the writer is of no more use; puts without an answer may or may not be written */
ILEA_MUST_USE enum ilea_error ilea_writer_put(struct ilea_writer *writer, uint64_t tag,
                                              const struct ilea_put *put);
/* Wait until every put so far has its answer. */
ILEA_MUST_USE enum ilea_error ilea_writer_flush(struct ilea_writer *writer);

/* A peer's card: *agency.error says how it went, with a reason. */
ILEA_MUST_USE enum ilea_error ilea_writer_card(struct ilea_writer *writer, struct ilea_span text,
                                               struct ilea_control_agency *agency);
/* A decision that admins signed: *answer.error says how it went, with a reason. */
ILEA_MUST_USE enum ilea_error ilea_writer_decide(struct ilea_writer *writer, const struct ilea_trust_request *request,
                                                 struct ilea_control_decision *answer);

/* Erase records: erased->error says how it went, with a reason. */
ILEA_MUST_USE enum ilea_error ilea_writer_erase(struct ilea_writer *writer, const struct ilea_control_erase *erase,
                                                struct ilea_control_erased *erased);

/* Change a closed audience: answer->error says how it went, with a reason. */
ILEA_MUST_USE enum ilea_error ilea_writer_audience(struct ilea_writer *writer,
                                                   const struct ilea_audience_request *request,
                                                   struct ilea_control_audience *answer);

/* A request of ours for another agency's lobby: sealed->error says how it went, with a reason. */
ILEA_MUST_USE enum ilea_error ilea_writer_seal(struct ilea_writer *writer, const struct ilea_control_seal *seal,
                                               struct ilea_control_sealed *sealed);

/* Compact log and view (compact.h); *compacted says how it went. The writer is of no more use but to be closed. */
ILEA_MUST_USE enum ilea_error ilea_writer_compact(struct ilea_writer *writer,
                                                  struct ilea_control_compacted *compacted);
/*
 * A bundle's header, or one of its chunks. Several are on their way to the daemon at a time: answers come to
 * `answer`, in order, which must not call the writer. flush() waits for all of them, and until all is durable.
 */
typedef void ilea_writer_bundle_answer(void *context, const struct ilea_control_bundle *answer);
ILEA_MUST_USE enum ilea_error ilea_writer_bundle(struct ilea_writer *writer, const struct ilea_control_chunk *chunk,
                                                 ilea_writer_bundle_answer *answer, void *context);
ILEA_MUST_USE enum ilea_error ilea_writer_bundle_flush(struct ilea_writer *writer, ilea_writer_bundle_answer *answer,
                                                       void *context);

/* Wait until the view shows everything written so far; gives up after wait_ms (BUSY). */
ILEA_MUST_USE enum ilea_error ilea_writer_settle(struct ilea_writer *writer, int wait_ms);

#endif
