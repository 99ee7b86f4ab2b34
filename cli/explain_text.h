/* cli/explain_text.h — a decision with everything it rested on, as a page for a person. Pure. */
#ifndef CLI_EXPLAIN_TEXT_H
#define CLI_EXPLAIN_TEXT_H

#include <jansson.h>

#include <stdbool.h>

#include "base/strbuf.h"

/* `decision` as of /v1/decisions/ID; `document`: the rollout as it is now, NULL: not known. */
void explain_render(const json_t *decision, const json_t *document, bool colours, struct strbuf *);
/* `decisions`: an array as of /v1/decisions, newest first. */
void history_render(const json_t *decisions, bool colours, struct strbuf *);

#endif
