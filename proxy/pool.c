/* The stream's events go to the exchange that has the connection; without one they close it. What
 * is idle is in two lists: of its pool, to be taken, and of the worker, to expire, so that the cost
 * of looking for what expires does not grow with the number of pools.
 */
#include "proxy/pool.h"

#include <stdlib.h>

#include "base/arena.h"
#include "proxy/exchange.h"

static struct upstream *upstream_of(struct stream *s)
{
    return CONTAINER_OF(s, struct upstream, stream);
}

static void on_connect(struct stream *s, int status)
{
    struct upstream *up = upstream_of(s);

    if (up->exchange != NULL)
        exchange_connected(up->exchange, status);
    else
        pool_drop(up);
}

static void on_bytes(struct stream *s, struct str bytes)
{
    struct upstream *up = upstream_of(s);

    if (up->exchange != NULL)
        exchange_response(up->exchange, bytes);
    else
        pool_drop(up); /* nobody asked: never the next client's answer */
}

static void on_end(struct stream *s, int status)
{
    struct upstream *up = upstream_of(s);

    if (up->exchange != NULL)
        exchange_upstream_end(up->exchange, status);
    else
        pool_drop(up);
}

static void on_drain(struct stream *s)
{
    struct upstream *up = upstream_of(s);

    if (up->exchange != NULL)
        exchange_upstream_drained(up->exchange);
}

static void on_closed(struct stream *s)
{
    struct upstream *up = upstream_of(s);

    up->worker->upstreams--;
    atomic_fetch_sub(&up->worker->shared->sockets, 1);
    held_drop(&up->held);
    free(up);
}

static const struct stream_events events = {
    .on_connect = on_connect,
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

static void leave_idle(struct upstream *up)
{
    list_remove(&up->idle);
    list_remove(&up->idle_anyway);
    up->pool->idle_count--;
}

struct upstream *pool_take(struct pool *p, struct exchange *ex)
{
    if (list_empty(&p->idle))
        return NULL;
    /* The one used last: its caches are warm, and the others may expire. */
    struct upstream *up = CONTAINER_OF(p->idle.prev, struct upstream, idle);
    leave_idle(up);
    up->exchange = ex;
    up->reused = true;
    return up;
}

struct upstream *pool_connect(struct worker *w, struct pool *p,
                              const struct route_endpoint *endpoint, struct exchange *ex,
                              int *ret_status)
{
    const struct sockaddr *address = route_endpoint_address(endpoint);
    if (address == NULL) {
        *ret_status = UV_EAI_NONAME;
        return NULL;
    }
    if (atomic_fetch_add(&w->shared->sockets, 1) >= w->shared->sockets_max) {
        atomic_fetch_sub(&w->shared->sockets, 1);
        *ret_status = UV_EMFILE;
        return NULL;
    }
    struct upstream *up = xcalloc(1, sizeof(*up));
    stream_init(&up->stream, &w->loop, &events);
    w->upstreams++;
    up->worker = w;
    up->pool = p;
    list_init(&up->idle);
    list_init(&up->idle_anyway);
    stat_add(&w->stats.upstream_connections, 1);
    *ret_status = 0;
    if (endpoint->tls) {
        struct tls_client *tls = certificates_client(w->certificates, ex->route->rollout);
        CHECK(tls != NULL);
        *ret_status = stream_secure_client(&up->stream, tls, endpoint->server_name);
    }
    if (*ret_status == 0)
        *ret_status = stream_connect(&up->stream, address);
    if (*ret_status < 0) {
        stream_close(&up->stream);
        return NULL;
    }
    up->exchange = ex;
    return up;
}

void pool_give(struct upstream *up)
{
    struct pool *p = up->pool;

    up->exchange = NULL;
    if (p->idle_count == POOL_IDLE_MAX || up->worker->draining || stream_is_ending(&up->stream)) {
        pool_drop(up);
        return;
    }
    up->idle_since_ns = up->worker->loop.now_ns;
    list_push(&p->idle, &up->idle);
    list_push(&up->worker->idle_upstreams, &up->idle_anyway);
    p->idle_count++;
    stream_read(&up->stream);
}

void pool_drop(struct upstream *up)
{
    up->exchange = NULL;
    if (!list_empty(&up->idle))
        leave_idle(up);
    stream_close(&up->stream);
}

static struct upstream *longest_idle(struct worker *w)
{
    return list_empty(&w->idle_upstreams)
               ? NULL
               : CONTAINER_OF(w->idle_upstreams.next, struct upstream, idle_anyway);
}

bool pool_expire(struct worker *w, int64_t now_ns)
{
    for (int i = 0; i < WORKER_CLOSES_MAX; i++) {
        struct upstream *up = longest_idle(w);
        if (up == NULL || now_ns - up->idle_since_ns < POOL_IDLE_S * NS_PER_SEC)
            return false;
        pool_drop(up);
    }
    return true;
}

void pool_close_idle(struct worker *w)
{
    while (!list_empty(&w->idle_upstreams))
        pool_drop(longest_idle(w));
}
