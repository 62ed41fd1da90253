/*
 * statement.h - decode a statement of any kind and put it again: what decodes gives the same bytes.
 */
#ifndef ILEA_TESTS_SUPPORT_STATEMENT_H
#define ILEA_TESTS_SUPPORT_STATEMENT_H

#include "replication/record/audience.h"
#include "replication/record/erase.h"

extern const struct ilea_network_id ilea_test_statement_network;

/* The error of the decoder of its kind; where it accepts, the statement put again is in `writer`. That no other
 * kind's decoder accepts the input is asserted. */
enum ilea_error ilea_test_statement_again(struct ilea_span input, struct ilea_msgpack_writer *writer);

#endif
