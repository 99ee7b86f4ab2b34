/* proxy/access_entry.h — one line of the access log: JSON, what the client chose escaped.
 * Internal to proxy/.
 */
#ifndef PROXY_ACCESS_ENTRY_H
#define PROXY_ACCESS_ENTRY_H

#include <stdint.h>

#include "proxy/worker.h"

struct access_entry {
    struct str request_id, client;
    struct str method, path;                            /* ptr NULL: the head was not read */
    const char *rollout, *variant, *version, *endpoint; /* NULL: no rollout took it */
    int status;
    const char *result;
    unsigned attempts;
    const char *error; /* why it was refused, or why an attempt failed; NULL: nothing to say */
    const char *first_variant, *first_outcome; /* when the answer is a later attempt's */
    uint64_t bytes_in, bytes_out, tokens;
    int64_t queue_ns;                      /* 0: did not wait */
    int64_t connect_ns;                    /* of the last attempt; -1: a kept connection */
    int64_t first_byte_ns, first_token_ns; /* since the request's head; -1: none came */
    int64_t total_ns;
};

/* The worker's thread; the log must be on. A line that would be too long is not written. */
void access_entry_write(const struct access_entry *, struct worker *);

#endif
