/* Most connections never hold a byte: the memory comes and goes with the need. */
#include "net/held.h"

#include <stdlib.h>

#include "base/arena.h"

void held_keep(struct held *h, struct str bytes)
{
    if (h->ptr != NULL && bytes.ptr >= h->ptr && bytes.ptr <= h->ptr + h->len) {
        memmove(h->ptr, bytes.ptr, bytes.len);
        h->len = bytes.len;
        return;
    }
    if (bytes.len == 0)
        return;
    h->ptr = xrealloc(h->ptr, h->len + bytes.len);
    memcpy(h->ptr + h->len, bytes.ptr, bytes.len);
    h->len += bytes.len;
}

void held_drop(struct held *h)
{
    free(h->ptr);
    *h = (struct held){0};
}
