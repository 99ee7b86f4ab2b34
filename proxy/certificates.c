/* One tls_server for each listener with `tls`, and one tls_client for each different
 * `upstream.tls`: policies that say the same share it, for an authority's file may be large.
 */
#include "proxy/certificates.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

struct certificates {
    _Atomic uint32_t references;
    struct tls_server *servers[LISTEN_MAX];
    struct tls_client **clients; /* by rollout */
    size_t client_count;
};

static enum tls_client_auth auth_of(enum client_auth auth)
{
    return auth == CLIENT_AUTH_REQUIRED   ? TLS_CLIENT_AUTH_REQUIRED
           : auth == CLIENT_AUTH_OPTIONAL ? TLS_CLIENT_AUTH_OPTIONAL
                                          : TLS_CLIENT_AUTH_NONE;
}

static struct tls_server *load_server(const struct config_tls *tls, const struct clock *clock,
                                      const struct tls_server *before, struct diagnostics *reterr)
{
    struct tls_pair pairs[CERTIFICATES_MAX];
    struct tls_server_options o = {.pairs = pairs,
                                   .count = tls->count,
                                   .client_ca = tls->client_ca,
                                   .client_auth = auth_of(tls->client_auth),
                                   .at = tls->at,
                                   .clock = clock};

    CHECK(tls->count > 0 && tls->count <= CERTIFICATES_MAX);
    for (size_t i = 0; i < tls->count; i++) {
        const struct config_certificate *c = &tls->certificates[i];
        pairs[i] = (struct tls_pair){.certificate = c->certificate, .key = c->key, .at = c->at};
    }
    return tls_server_new(&o, before, reterr);
}

static bool has_tls(const struct policy *p)
{
    for (size_t v = 0; v < VARIANT_COUNT; v++)
        for (size_t i = 0; i < p->versions[v].endpoint_count; i++)
            if (p->versions[v].endpoints[i].tls)
                return true;
    return false;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_client(const struct policy_upstream_tls *a, const struct policy_upstream_tls *b)
{
    return a->verify == b->verify && same_text(a->ca, b->ca) &&
           same_text(a->certificate, b->certificate) && same_text(a->key, b->key);
}

static bool load_client(struct certificates *c, const struct policy_set *set, size_t rollout,
                        const struct clock *clock, struct diagnostics *reterr)
{
    const struct policy_upstream_tls *tls = &set->policies[rollout]->upstream.tls;

    for (size_t i = 0; i < rollout; i++) {
        if (c->clients[i] == NULL || !same_client(tls, &set->policies[i]->upstream.tls))
            continue;
        c->clients[rollout] = tls_client_ref(c->clients[i]);
        return true;
    }
    const struct tls_client_options o = {.ca = tls->ca,
                                         .certificate = tls->certificate,
                                         .key = tls->key,
                                         .verify = tls->verify,
                                         .at = tls->at,
                                         .clock = clock};
    c->clients[rollout] = tls_client_new(&o, reterr);
    return c->clients[rollout] != NULL;
}

struct certificates *certificates_load(const struct policy_set *set, const struct clock *clock,
                                       const struct certificates *before,
                                       struct diagnostics *reterr)
{
    struct certificates *c = xcalloc(1, sizeof(*c));
    bool good = true;

    c->references = 1;
    c->client_count = set->count;
    c->clients = xcalloc(set->count + 1, sizeof(struct tls_client *));
    for (size_t i = 0; i < set->config->listen_count; i++) {
        const struct config_tls *tls = set->config->listen[i].tls;
        if (tls == NULL)
            continue;
        c->servers[i] = load_server(tls, clock, before == NULL ? NULL : before->servers[i], reterr);
        good &= c->servers[i] != NULL;
    }
    for (size_t i = 0; i < set->count; i++)
        if (has_tls(set->policies[i]))
            good &= load_client(c, set, i, clock, reterr);
    diagnostics_sort(reterr);
    if (good)
        return c;
    certificates_unref(c);
    return NULL;
}

struct certificates *certificates_ref(struct certificates *c)
{
    if (c != NULL)
        atomic_fetch_add(&c->references, 1);
    return c;
}

void certificates_unref(struct certificates *c)
{
    if (c == NULL || atomic_fetch_sub(&c->references, 1) > 1)
        return;
    for (size_t i = 0; i < LISTEN_MAX; i++)
        tls_server_unref(c->servers[i]);
    for (size_t i = 0; i < c->client_count; i++)
        tls_client_unref(c->clients[i]);
    free(c->clients);
    free(c);
}

struct tls_server *certificates_server(const struct certificates *c, size_t listener)
{
    return c == NULL ? NULL : c->servers[listener];
}

struct tls_client *certificates_client(const struct certificates *c, size_t rollout)
{
    return c == NULL ? NULL : c->clients[rollout];
}
