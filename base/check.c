/* A broken promise of our own: say where, then abort so that a core shows the rest. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *file, int line, const char *function, const char *condition)
{
    fprintf(stderr, "bug: %s:%d: %s: %s\n", file, line, function, condition);
    abort();
}
