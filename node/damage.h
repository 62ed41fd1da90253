/*
 * damage.h - what becomes of a view that is damaged: whoever comes upon it leaves a mark, and whoever
 * writes to this home builds it anew.
 *
 * LMDB checks no page of its own: reading a damaged one can end the process with a signal. So that leaves
 * the mark too, and a daemon that is started again does not meet the same page. DIR/view/damaged is empty.
 */
#ifndef ILEA_NODE_DAMAGE_H
#define ILEA_NODE_DAMAGE_H

#include <stdbool.h>

/* SIGSEGV, SIGBUS and SIGABRT from here on: say so in one line, leave the mark, exit with EX_SOFTWARE. */
void ilea_damage_watch(const char *program, const char *home);

void ilea_damage_mark(const char *home);
bool ilea_damage_is_marked(const char *home);
/* The view was replaced. */
void ilea_damage_unmark(const char *home);

#endif
