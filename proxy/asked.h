/* proxy/asked.h — whether a request asks for a streamed answer, as far as it says so itself: by the
 * member `stream` of its JSON body, or by accepting nothing but an event stream. What fails before
 * it is answered can then be held against the streams alone, or against the others. Pure; one
 * allocation per request with a body, in rollouts that need to know.
 */
#ifndef PROXY_ASKED_H
#define PROXY_ASKED_H

#include <stdbool.h>

#include "analysis/outcome.h"
#include "base/str.h"
#include "net/head.h"
#include "policies/policy.h"

struct asked;

/* Whether a criterion of the policy tells streams from other answers before they have ended. */
bool asked_matters(const struct policy_analysis *);

/* What the head alone says. */
enum outcome_stream asked_by_head(const struct head *request);

struct asked *asked_new(void);
void asked_free(struct asked *); /* NULL is fine */
/* The next bytes of the body, without any transfer coding. False: the rest need not be read. */
bool asked_bytes(struct asked *, struct str run);
/* Once asked_bytes was false, or the body is whole. Where no `stream` is in it: STREAM_NO if that
 * is what the protocol makes of it, STREAM_UNKNOWN where nobody said which protocol it is. */
enum outcome_stream asked_end(struct asked *, enum stream_protocol);

#endif
