/* The configuration document: most of it is the schema's, with its defaults; what needs a reader of
 * its own is in config_listen.c, config_tls.c and config_proxy.c. */
#include "policies/config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "policies/config_read.h"
#include "policies/schema.h"
#include "policies/yaml.h"

static const struct schema_binding bindings[] = {
    SCHEMA_BIND("proxy.workers", struct config, workers),
    SCHEMA_BIND("proxy.limits.connections", struct config, limits.connections),
    SCHEMA_BIND("proxy.limits.head", struct config, limits.head_bytes),
    SCHEMA_BIND("proxy.limits.body", struct config, limits.body_bytes),
    SCHEMA_BIND("proxy.limits.header_timeout", struct config, limits.header_timeout_ns),
    SCHEMA_BIND("proxy.limits.idle_timeout", struct config, limits.idle_timeout_ns),
    SCHEMA_BIND("proxy.limits.handshake_timeout", struct config, limits.handshake_timeout_ns),
    SCHEMA_BIND("proxy.limits.body_timeout", struct config, limits.body_timeout_ns),
    SCHEMA_BIND("proxy.limits.headers", struct config, limits.headers),
    SCHEMA_BIND("proxy.limits.requests", struct config, limits.requests),
    SCHEMA_BIND("proxy.limits.replay", struct config, limits.replay_bytes),
    SCHEMA_BIND("proxy.limits.replay_total", struct config, limits.replay_total_bytes),
    SCHEMA_BIND("proxy.client_eof", struct config, client_eof),
    SCHEMA_BIND("proxy.health_path", struct config, health_path),
    SCHEMA_BIND("proxy.drain_delay", struct config, drain_delay_ns),
    SCHEMA_BIND("proxy.drain_timeout", struct config, drain_timeout_ns),
    SCHEMA_BIND("proxy.access_log.to", struct config, access_log.to),
    SCHEMA_BIND("proxy.access_log.sample", struct config, access_log.sample),
    SCHEMA_BIND("proxy.access_log.errors", struct config, access_log.errors),
    SCHEMA_BIND("policies", struct config, policies),
};

static struct config *new_config(const char *path)
{
    struct config *c = xcalloc(1, sizeof(*c));

    c->arena = xmalloc(sizeof(*c->arena));
    arena_init(c->arena);
    c->file = path == NULL ? NULL : arena_strdup(c->arena, str_from(path));
    return c;
}

static void fill(struct config_reader *r, struct yaml_node *root)
{
    struct config *c = r->config;

    schema_fill(&schema_config, "", root, bindings, ARRAY_LEN(bindings), c->arena, c);
    config_read_listen(r, root);
    config_read_admin(r, root);
    config_read_proxy(r, root);
    const struct yaml_node *policies = yaml_get(root, STR("policies"));
    if (policies != NULL)
        c->policies_at = (struct source_pos){c->file, policies->at.line, policies->at.column};
}

int config_from_yaml(const char *path, struct yaml_node *root, struct config **ret,
                     struct diagnostics *reterr)
{
    size_t before = reterr->count + reterr->dropped - reterr->warnings;
    struct arena scratch;
    struct config_reader reader = {.config = new_config(path),
                                   .errors = reterr,
                                   .scratch = &scratch,
                                   .path = path,
                                   .cut = root->cut};

    arena_init(&scratch);
    schema_check(&schema_config, root, &scratch, reterr);
    yaml_prune_cut(root);
    fill(&reader, root);
    arena_deinit(&scratch);
    if (root->cut || reterr->count + reterr->dropped - reterr->warnings != before) {
        config_free(reader.config);
        return -EINVAL;
    }
    *ret = reader.config;
    return 0;
}

int config_parse(struct str path, struct str text, struct config **ret, struct diagnostics *reterr)
{
    size_t before = reterr->count + reterr->dropped - reterr->warnings;
    struct yaml_node *root = NULL;
    struct config *c = NULL;
    struct arena arena;

    arena_init(&arena);
    int rc = yaml_parse(path.ptr, text, &arena, &root, reterr);
    if (rc == 0 && root == NULL) {
        diagnostics_addf(reterr, (struct source_pos){path.ptr, 1, 1},
                         "a configuration has proxy:, controller: or policies:",
                         "there is no configuration here");
        rc = -EINVAL;
    } else if (root != NULL && root->next != NULL) {
        diagnostics_addf(reterr, root->next->at, NULL, "only one document is expected here");
        rc = -EINVAL;
    } else if (root != NULL && config_from_yaml(path.ptr, root, &c, reterr) != 0) {
        rc = -EINVAL;
    }
    arena_deinit(&arena);
    diagnostics_sort(reterr);
    if (rc != 0 || reterr->count + reterr->dropped - reterr->warnings != before) {
        config_free(c);
        return -EINVAL;
    }
    *ret = c;
    return 0;
}

struct config *config_default(void)
{
    struct diagnostics none;
    struct arena scratch;
    struct config_reader reader = {
        .config = new_config(NULL), .errors = &none, .scratch = &scratch};

    diagnostics_init(&none);
    arena_init(&scratch);
    fill(&reader, NULL);
    arena_deinit(&scratch);
    CHECK(none.count == 0);
    diagnostics_deinit(&none);
    return reader.config;
}

void config_free(struct config *c)
{
    if (c == NULL)
        return;
    arena_deinit(c->arena);
    free(c->arena);
    free(c);
}
