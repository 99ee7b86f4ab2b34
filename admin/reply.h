/* admin/reply.h — how the admin API answers: JSON, text, and RFC 9457 problem documents, all with
 * the headers that keep browsers from guessing, framing or storing. Ends the request.
 */
#ifndef ADMIN_REPLY_H
#define ADMIN_REPLY_H

#include <jansson.h>

#include "base/str.h"
#include "base/strbuf.h"
#include "net/serve.h"

/* For streams, before serve_stream_start; the functions below do it themselves. */
void reply_headers(struct serve_request *);

/* Appends it as answers have it: one line, without the end of it. Takes the reference. False: it
 * cannot be written, or there was no room; then a part of it may stand there. */
bool reply_add_json(struct strbuf *, json_t *value);
/* Takes the reference. */
void reply_json(struct serve_request *, int status, json_t *body);
void reply_text(struct serve_request *, int status, struct str content_type, struct str body);

/* {"type": "urn:sluice:problem:KIND", title, status, detail, instance}. `kind` is a slug that
 * programs may compare; the detail names the way out. */
void reply_problem(struct serve_request *, int status, const char *kind, const char *title,
                   const char *detail_fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
