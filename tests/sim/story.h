/*
 * story.h - runs told by hand: what must happen in one plain situation, step by step.
 */
#ifndef ILEA_SIM_STORY_H
#define ILEA_SIM_STORY_H

#include <stdbool.h>

/* One story by name, or all (NULL). False: none has that name. One that fails does not return. */
bool sim_stories_run(const char *name, bool verbose);

#endif
