/*
 * view.h - the folder view/ of a home: which generation of the view is current, and making the next one
 * when it is damaged. A generation is abandoned, never repaired.
 */
#ifndef ILEA_NODE_VIEW_H
#define ILEA_NODE_VIEW_H

#include "node/home.h"
#include "replication/store/view_store.h"

/* Path of generation N. */
void ilea_view_generation_path(const char *home, uint32_t generation, char path[ILEA_PATH_SIZE]);
/* The current generation; the first one is made if there is none. */
ILEA_MUST_USE enum ilea_error ilea_view_current(const char *home, uint32_t *generation);
/* Make an empty generation beside the current one, not yet current. */
ILEA_MUST_USE enum ilea_error ilea_view_make(const char *home, uint32_t generation);
/* Remove a generation's files. */
void ilea_view_remove(const char *home, uint32_t generation);
/* From now on readers open this one; the files of `before` are removed (0: none). */
ILEA_MUST_USE enum ilea_error ilea_view_switch(const char *home, uint32_t generation, uint32_t before);

#endif
