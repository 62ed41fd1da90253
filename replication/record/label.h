/*
 * label.h - labels of TLP 2.0 and where what bears one may go. Pure.
 *
 * Label and audience are two things that must agree: the label says what a reader may do, the audience where
 * our software sends it. RED never leaves the node; AMBER and AMBER+STRICT go to agencies that are listed one
 * by one; GREEN and CLEAR to all that the author approved.
 */
#ifndef ILEA_RECORD_LABEL_H
#define ILEA_RECORD_LABEL_H

#include "replication/record/change.h"
#include "replication/record/put.h"

/* The label (enum ilea_label) that a code of field tlp names; 0: none. */
uint32_t ilea_label_of_code(struct ilea_span code);
/* The code of a label: "amber+strict". */
const char *ilea_label_name(uint32_t label);

/* The label that an encoded value of field tlp stands for. Empty: the one that is usual in the scope. One that
 * is not known, as of a newer version, counts as the most restrictive. */
uint32_t ilea_label_of_value(struct ilea_span value, enum ilea_scope scope);

/* How an audience is called: "all-peers". */
const char *ilea_scope_name(enum ilea_scope scope);

#endif
