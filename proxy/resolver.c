/* The surprising part is who frees: getaddrinfo may sit in a time-out for half a minute, so the
 * thread holds a reference of its own and nobody joins it.
 */
#include "proxy/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

enum { RETRY_S = 5 };

struct resolver_name {
    struct resolver_name *next;
    struct sockaddr_storage address;
    atomic_bool ready; /* then `address` is constant */
    uint16_t port;
    char host[];
};

struct resolver {
    struct resolver_name *names;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool first_pass_done, stop;
    int references;
};

struct resolver *resolver_new(void)
{
    struct resolver *r = xcalloc(1, sizeof(*r));
    pthread_condattr_t monotonic;

    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r->references = 1;
    return r;
}

const struct resolver_name *resolver_add(struct resolver *r, const char *host, uint16_t port)
{
    struct resolver_name *n = xcalloc(1, sizeof(*n) + strlen(host) + 1);

    strcpy(n->host, host);
    n->port = port;
    n->next = r->names;
    r->names = n;
    return n;
}

const struct sockaddr *resolver_address(const struct resolver_name *n)
{
    return atomic_load_explicit(&n->ready, memory_order_acquire)
               ? (const struct sockaddr *)&n->address
               : NULL;
}

static void unref(struct resolver *r)
{
    pthread_mutex_lock(&r->lock);
    bool last = --r->references == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last)
        return;
    while (r->names != NULL) {
        struct resolver_name *n = r->names;
        r->names = n->next;
        free(n);
    }
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* One address per name: of several the first IPv4 one, since a server that listens on 127.0.0.1
 * only is still called localhost. */
static const struct addrinfo *choose(const struct addrinfo *found)
{
    for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
        if (a->ai_family == AF_INET)
            return a;
    return found;
}

static void resolve(struct resolver_name *n, bool first)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    char port[8];

    snprintf(port, sizeof(port), "%u", n->port);
    int status = getaddrinfo(n->host, port, &hints, &found);
    if (status != 0 || found == NULL) {
        if (first)
            log_warn("endpoint.unresolved", F("host", LOG_STR(n->host)),
                     F("error", LOG_STR(gai_strerror(status))),
                     F("note", LOG_STR("its requests fail as connect; tried again every 5s")));
        return;
    }
    const struct addrinfo *use = choose(found);
    memcpy(&n->address, use->ai_addr, use->ai_addrlen);
    freeaddrinfo(found);
    atomic_store_explicit(&n->ready, true, memory_order_release);
    if (!first)
        log_info("endpoint.resolved", F("host", LOG_STR(n->host)));
}

/* False: stop. */
static bool pause_between(struct resolver *r)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RETRY_S;
    pthread_mutex_lock(&r->lock);
    while (!r->stop && pthread_cond_timedwait(&r->changed, &r->lock, &until) != ETIMEDOUT) {
    }
    bool go_on = !r->stop;
    pthread_mutex_unlock(&r->lock);
    return go_on;
}

static void *run(void *arg)
{
    struct resolver *r = arg;
    bool first = true, open;

    do {
        open = false;
        for (struct resolver_name *n = r->names; n != NULL; n = n->next) {
            if (!atomic_load(&n->ready))
                resolve(n, first);
            open = open || !atomic_load(&n->ready);
        }
        pthread_mutex_lock(&r->lock);
        r->first_pass_done = true;
        pthread_cond_broadcast(&r->changed);
        pthread_mutex_unlock(&r->lock);
        first = false;
    } while (open && pause_between(r));
    unref(r);
    return NULL;
}

void resolver_start(struct resolver *r, int wait_ms)
{
    struct timespec until;
    pthread_t thread;

    if (r->names == NULL)
        return;
    r->references++;
    CHECK(pthread_create(&thread, NULL, run, r) == 0);
    pthread_detach(thread);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * NS_PER_MS;
    if (until.tv_nsec >= NS_PER_SEC) {
        until.tv_sec++;
        until.tv_nsec -= NS_PER_SEC;
    }
    pthread_mutex_lock(&r->lock);
    while (!r->first_pass_done &&
           pthread_cond_timedwait(&r->changed, &r->lock, &until) != ETIMEDOUT) {
    }
    pthread_mutex_unlock(&r->lock);
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    unref(r);
}
