/* cli/status_page.h — what the parts of the status page share. Internal to cli/status_*.c. */
#ifndef CLI_STATUS_PAGE_H
#define CLI_STATUS_PAGE_H

#include <jansson.h>

#include <stdbool.h>

#include "base/strbuf.h"
#include "base/units.h"
#include "cli/output.h"

struct status_page {
    const json_t *doc;
    struct strbuf *out;
    bool colours;
};

/* "-" for nothing. */
const char *status_or_dash(const char *text);
/* All return `to`. Milliseconds as people write them; three digits of a share: more would claim
 * what nobody measured. */
char *status_ms_text(double ms, char to[static UNITS_TEXT_MAX]);
char *status_share_text(double share, char to[static UNITS_TEXT_MAX]);
/* Decided: nothing more is asked of the canary, and nothing more threatens it. */
bool status_is_over(const struct status_page *);

/* The table of criteria; nothing without a canary. */
void status_criteria(struct status_page *);

#endif
