/* net/held.h — bytes that came too early: the beginning of a head, or what was pipelined.
 *
 * The owner bounds them (limits.head, one read). Embedded; zeroed is empty.
 */
#ifndef NET_HELD_H
#define NET_HELD_H

#include "base/str.h"

struct held {
    char *ptr; /* heap, NULL when empty */
    size_t len;
};

/* Keeps `bytes`: appended, or, when they are a part of what is held already, as all that is held.
 */
void held_keep(struct held *, struct str bytes);
void held_drop(struct held *);

static inline struct str held_str(const struct held *h)
{
    return (struct str){h->ptr, h->len};
}

#endif
