/* cli/status_text.h — a rollout's document (docs/api.md) as text for a person. Pure. */
#ifndef CLI_STATUS_TEXT_H
#define CLI_STATUS_TEXT_H

#include <jansson.h>

#include "base/strbuf.h"

/* The whole of it: header, plan, what is missing, criteria, traffic, problems, last decision. */
enum { STATUS_HEADER_LINES = 2 }; /* which rollout, phase, weight, versions */
void status_render(const json_t *document, bool colours, struct strbuf *out);
/* One line per rollout, with headings. `documents` is a JSON array. */
void status_render_list(const json_t *documents, bool colours, struct strbuf *out);

#endif
