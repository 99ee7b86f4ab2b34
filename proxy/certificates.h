/* proxy/certificates.h — every certificate, key and authority that listeners and policies name, as
 * one immutable, counted snapshot. Internal to proxy/.
 *
 * Each worker holds one and gets the next on its own thread; connections keep what they were made
 * with.
 */
#ifndef PROXY_CERTIFICATES_H
#define PROXY_CERTIFICATES_H

#include "base/clock.h"
#include "base/error.h"
#include "net/tls.h"
#include "policies/policy_set.h"

struct certificates;

/* Reads all the files; blocks. NULL when anything is wrong: every error, at the key that names the
 * file, is in `reterr`, as are warnings in either case. `before` (may be NULL) hands on what lets
 * clients take up their sessions again. The set outlives it. */
struct certificates *certificates_load(const struct policy_set *, const struct clock *,
                                       const struct certificates *before,
                                       struct diagnostics *reterr);
/* Any thread. NULL is fine, and gives NULL. */
struct certificates *certificates_ref(struct certificates *);
void certificates_unref(struct certificates *);

/* What a listener shows to its clients; NULL: it is plain. */
struct tls_server *certificates_server(const struct certificates *, size_t listener);
/* Whom a rollout's https:// endpoints are believed to be; NULL: it has none. */
struct tls_client *certificates_client(const struct certificates *, size_t rollout);

#endif
