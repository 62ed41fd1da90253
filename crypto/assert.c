#include <stdio.h>
#include <stdlib.h>

#include "crypto/assert.h"

void
ilea_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}
