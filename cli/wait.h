/* cli/wait.h — what `sluice wait` waits for, as a pure question to a document. */
#ifndef CLI_WAIT_H
#define CLI_WAIT_H

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>

struct wait_goal {
    enum { WAIT_PROMOTED, WAIT_ROLLED_BACK, WAIT_STEP } kind;
    uint32_t step; /* WAIT_STEP: this step or a later one, or promoted */
};

enum wait_answer {
    WAIT_ON,
    WAIT_REACHED,
    WAIT_LOST,      /* it can no longer be reached by itself */
    WAIT_NO_CANARY, /* there is nothing to wait for */
    WAIT_BEYOND     /* the plan has fewer steps than step:N */
};

/* "promoted", "rolled_back", "step:N". */
bool wait_parse_goal(const char *text, struct wait_goal *ret);
enum wait_answer wait_check(const struct wait_goal *, const json_t *document);

#endif
