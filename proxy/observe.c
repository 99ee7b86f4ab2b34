/* Lines become events, and events are judged by the protocol they belong to. */
#include "proxy/observe.h"

#include <stdlib.h>

#include "base/arena.h"

struct observe {
    bool said;
};

struct observe *observe_new(enum stream_protocol protocol, const struct head *response,
                            bool *ret_unseen)
{
    (void)protocol;
    (void)response;
    *ret_unseen = false;
    return NULL;
}

void observe_free(struct observe *o)
{
    free(o);
}

unsigned observe_bytes(struct observe *o, struct str run)
{
    o->said = o->said || run.len > 0;
    return 0;
}

enum outcome_kind observe_end(const struct observe *o, bool whole)
{
    (void)o;
    return whole ? OUTCOME_OK : OUTCOME_TRUNCATED;
}
