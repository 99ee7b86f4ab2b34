/* The owner takes all at once, so that it has the lock once per wake-up. */
#include "proxy/inbox.h"

#include <string.h>
#include <unistd.h>

#include "base/check.h"

void inbox_init(struct inbox *i)
{
    memset(i, 0, sizeof(*i));
    CHECK(pthread_mutex_init(&i->lock, NULL) == 0);
}

void inbox_deinit(struct inbox *i)
{
    struct inbox_connection left[INBOX_MAX];
    size_t count = inbox_close(i, left);

    for (size_t k = 0; k < count; k++)
        close(left[k].fd);
    pthread_mutex_destroy(&i->lock);
}

bool inbox_put(struct inbox *i, struct inbox_connection c)
{
    bool taken = false;

    pthread_mutex_lock(&i->lock);
    uint32_t count = inbox_count(i);
    if (!i->closed && count < INBOX_MAX) {
        i->connections[count] = c;
        atomic_store_explicit(&i->count, count + 1, memory_order_relaxed);
        taken = true;
    }
    pthread_mutex_unlock(&i->lock);
    return taken;
}

static size_t take(struct inbox *i, bool closes, struct inbox_connection ret[static INBOX_MAX])
{
    pthread_mutex_lock(&i->lock);
    size_t count = inbox_count(i);
    memcpy(ret, i->connections, count * sizeof(*ret));
    atomic_store_explicit(&i->count, 0, memory_order_relaxed);
    i->closed = i->closed || closes;
    pthread_mutex_unlock(&i->lock);
    return count;
}

size_t inbox_take(struct inbox *i, struct inbox_connection ret[static INBOX_MAX])
{
    return inbox_count(i) == 0 ? 0 : take(i, false, ret);
}

size_t inbox_close(struct inbox *i, struct inbox_connection ret[static INBOX_MAX])
{
    return take(i, true, ret);
}
