/* cli/successor.h — the start of a process that replaces another: takes over its sockets, follows
 * the protocol of cli/handover.h to its end. Blocking; before the loop runs.
 */
#ifndef CLI_SUCCESSOR_H
#define CLI_SUCCESSOR_H

#include <jansson.h>

#include "base/error.h"
#include "cli/handover.h"
#include "net/inherited.h"
#include "proxy/proxy.h"

struct successor {
    int socket; /* -1: this process replaces nobody */
    int weights[PROXY_PREDECESSORS_MAX];
    size_t weight_count;
};

/* Reads the environment (and clears it). Without a predecessor: 0 and socket -1. The sockets are
 * added to `inherited`, the descriptors in `weights` are the caller's. */
int successor_begin(struct successor *, struct inherited *inherited, struct error *reterr);
/* Tells the predecessor that nothing can fail any more, and waits for what its rollouts stand at:
 * an object {name: state} (controller/state_json.h), new reference. */
int successor_states(struct successor *, json_t **ret, struct error *reterr);
/* This process serves: the predecessor drains from here on. */
int successor_ready(struct successor *, struct error *reterr);
void successor_end(struct successor *);

#endif
