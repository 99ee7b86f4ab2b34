/* proxy/observe.h — watches a streamed answer as it passes: its pieces of content, and how it ends.
 *
 * A 200 is no success when the answer is a stream: the model may fail within it, stop halfway or
 * say nothing, and only the events tell. The bytes are read where they lie and never changed, held
 * or delayed. Pure; one allocation per stream, whatever the stream holds. docs/streams.md has what
 * each protocol's content, end and error are.
 */
#ifndef PROXY_OBSERVE_H
#define PROXY_OBSERVE_H

#include <stdbool.h>

#include "analysis/outcome.h"
#include "base/str.h"
#include "net/head.h"
#include "policies/policy.h"

enum { OBSERVE_BYTES_MAX = 1024 }; /* of one stream's state */

struct observe;
struct observe_shapes;

/* What streams have in common: it makes the next ones cheaper, and changes nothing of what is said
 * of them. One per thread, for all its streams. */
struct observe_shapes *observe_shapes_new(void);
void observe_shapes_free(struct observe_shapes *);

/* NULL: the answer is not a stream of events (by its status, framing and Content-Type), or it is
 * one that cannot be read, being compressed: then *ret_unseen is true. The head is not kept; the
 * shapes outlive the stream. */
struct observe *observe_new(enum stream_protocol, const struct head *response,
                            struct observe_shapes *, bool *ret_unseen);
void observe_free(struct observe *); /* NULL is fine */

/* The next bytes of the content, without any transfer coding. How many pieces of content (tokens,
 * or what the backend put into one event) became complete in them; the sum over a stream does not
 * depend on how it was cut. */
unsigned observe_bytes(struct observe *, struct str run);

/* How the stream ended: OUTCOME_OK, OUTCOME_STREAM_ERROR, OUTCOME_EMPTY or OUTCOME_TRUNCATED.
 * `whole`: the HTTP framing ended well; if not, it is one of STREAM_ERROR and TRUNCATED. */
enum outcome_kind observe_end(const struct observe *, bool whole);

#endif
