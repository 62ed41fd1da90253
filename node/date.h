/*
 * date.h - days and times for people, in UTC: 2028-01-01, 2028-01-01 12:30. Pure.
 */
#ifndef ILEA_NODE_DATE_H
#define ILEA_NODE_DATE_H

#include <stdbool.h>
#include <stdint.h>

enum { ILEA_DATE_SIZE = 11, ILEA_TIME_SIZE = 17 };

/* The first ms of a day from 1970 to 9999; false if `text` is no day. */
bool ilea_date_parse(const char *text, uint64_t *ms);
void ilea_date_format(uint64_t ms, char text[ILEA_DATE_SIZE]);
void ilea_time_format(uint64_t ms, char text[ILEA_TIME_SIZE]);

#endif
