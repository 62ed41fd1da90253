#include "node/date.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const uint64_t last_ms = 253402300799999; /* of the year 9999 */

static bool
parse_number(const char *digits, int count, int *number)
{
    *number = 0;
    for (int i = 0; i < count; i++) {
        if (digits[i] < '0' || digits[i] > '9') return false;
        *number = *number * 10 + (digits[i] - '0');
    }
    return true;
}

bool
ilea_date_parse(const char *text, uint64_t *ms)
{
    int year, month, day;
    if (strlen(text) != 10 || text[4] != '-' || text[7] != '-' || !parse_number(text, 4, &year)
        || !parse_number(text + 5, 2, &month) || !parse_number(text + 8, 2, &day) || year < 1970) {
        return false;
    }
    struct tm time = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };
    time_t seconds = timegm(&time);
    /* A day that is not in the calendar comes out as another. */
    if (seconds < 0 || time.tm_mon != month - 1 || time.tm_mday != day) return false;
    *ms = (uint64_t)seconds * 1000;
    return true;
}

static void
break_down(uint64_t ms, struct tm *time)
{
    time_t seconds = (time_t)((ms < last_ms ? ms : last_ms) / 1000);
    (void)gmtime_r(&seconds, time);
}

void
ilea_date_format(uint64_t ms, char text[ILEA_DATE_SIZE])
{
    struct tm time;
    break_down(ms, &time);
    (void)strftime(text, ILEA_DATE_SIZE, "%Y-%m-%d", &time);
}

void
ilea_time_format(uint64_t ms, char text[ILEA_TIME_SIZE])
{
    struct tm time;
    break_down(ms, &time);
    (void)strftime(text, ILEA_TIME_SIZE, "%Y-%m-%d %H:%M", &time);
}
