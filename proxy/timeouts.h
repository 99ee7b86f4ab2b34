/* proxy/timeouts.h — who is waited for, and therefore who is to blame when time is up. Pure. */
#ifndef PROXY_TIMEOUTS_H
#define PROXY_TIMEOUTS_H

#include <stdbool.h>

enum awaited { AWAITED_CLIENT, AWAITED_ENDPOINT };

struct waiting {
    bool request_done;  /* the whole request was read */
    bool upload_full;   /* the endpoint does not take what the client sent */
    bool download_full; /* the client does not take what the endpoint sent */
};

/* A client that does not read, or does not send the rest of its request, is waited for; in all
 * other cases it is the endpoint. A client's slowness must never be held against a version. */
static inline enum awaited timeouts_awaited(const struct waiting *w)
{
    if (w->download_full)
        return AWAITED_CLIENT;
    return !w->request_done && !w->upload_full ? AWAITED_CLIENT : AWAITED_ENDPOINT;
}

#endif
