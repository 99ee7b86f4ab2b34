/* The configuration document. What defaults there are stands in the schema; the addresses are taken
 * apart here, since a listener needs numbers and a message needs the text. */
#include "policies/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "policies/address.h"
#include "policies/schema.h"
#include "policies/yaml.h"
#include "policies/yaml_text.h"

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

struct config_reader {
    struct config *config;
    struct diagnostics *errors;
    const char *path; /* for errors: they outlive the configuration */
};

static struct config_address make_address(struct config *c, struct str text,
                                          const struct address *a, struct source_pos at)
{
    return (struct config_address){.text = arena_strdup(c->arena, text),
                                   .host = arena_strdup(c->arena, a->host),
                                   .port = a->port,
                                   .at = {c->file, at.line, at.column}};
}

/* An address to listen on: a number, with a port. */
static bool read_address(struct config_reader *r, const struct yaml_node *n,
                         struct config_address *ret)
{
    char shown[YAML_SHOWN_MAX], hint[128];
    struct address a = {0};
    uint64_t port;

    if (n == NULL || n->bad || n->kind != YAML_TEXT)
        return false;
    struct str s = n->text;
    yaml_shown(s, shown);
    if (str_to_u64(s, &port) && port <= 65535) {
        snprintf(hint, sizeof(hint),
                 "write 127.0.0.1:%" PRIu64 ", or 0.0.0.0:%" PRIu64 " for every interface", port,
                 port);
        diagnostics_addf(r->errors, n->at, hint, "\"%s\" is a port without an address", shown);
        return false;
    }
    if ((s.ptr[0] == ':' && !str_starts_with(s, STR("::"))) || str_starts_with(s, STR("*:"))) {
        diagnostics_addf(r->errors, n->at,
                         "write 0.0.0.0:PORT for every IPv4 interface, [::]:PORT "
                         "for IPv6",
                         "\"%s\" names no address", shown);
        return false;
    }
    enum address_error e = address_parse(s, &a);
    if (e != ADDRESS_OK) {
        diagnostics_addf(r->errors, n->at, address_error_hint(e), "\"%s\" %s", shown,
                         address_error_text(e));
        return false;
    }
    if (!a.ipv4 && !a.ipv6) {
        diagnostics_addf(r->errors, n->at,
                         str_ieq(a.host, STR("localhost")) ? "write 127.0.0.1 in place of localhost"
                                                           : "write the IP address",
                         "\"%s\" is a name, not an address", shown);
        return false;
    }
    if (!a.has_port) {
        diagnostics_addf(r->errors, n->at, "write ADDRESS:PORT", "\"%s\" has no port", shown);
        return false;
    }
    *ret = make_address(r->config, s, &a, n->at);
    return true;
}

static bool same_address(const struct config_address *a, const struct config_address *b)
{
    return a->port != 0 && a->port == b->port && strcmp(a->host, b->host) == 0;
}

static void read_listen(struct config_reader *r, const struct yaml_node *list)
{
    struct config *c = r->config;
    size_t count = list->kind != YAML_LIST ? 0 : list->count;
    struct config_address *items = arena_alloc(c->arena, (count + 1) * sizeof(*items));

    c->listen = items;
    if (list->bad || list->kind != YAML_LIST)
        return;
    if (count == 0)
        diagnostics_addf(r->errors, list->at, "leave the key out for 127.0.0.1:8080",
                         "\"listen\" is empty: nobody could connect");
    for (const struct yaml_node *n = list->first; n != NULL; n = n->next) {
        const struct yaml_node *address = yaml_get(n, STR("address"));
        struct config_address a;
        if (!read_address(r, address, &a))
            continue;
        bool twice = false;
        for (size_t i = 0; i < c->listen_count; i++)
            twice |= same_address(&items[i], &a);
        if (twice)
            diagnostics_addf(r->errors, address->at, "keep one of the two", "%s is listed twice",
                             a.text);
        else
            items[c->listen_count++] = a;
    }
}

/* The admin API has no tokens yet, so only this machine may reach it. */
static void read_admin(struct config_reader *r, const struct yaml_node *n)
{
    struct config *c = r->config;
    const char *text = schema_row(&schema_config, "controller.admin")->default_text;
    struct address a;

    CHECK(address_parse(str_from(text), &a) == ADDRESS_OK);
    c->admin = make_address(c, str_from(text), &a, (struct source_pos){0});
    if (n != NULL) {
        if (!read_address(r, n, &c->admin))
            return;
        CHECK(address_parse(n->text, &a) == ADDRESS_OK);
        if (!address_is_loopback(&a))
            diagnostics_addf(r->errors, n->at,
                             "write 127.0.0.1:PORT and reach it through a tunnel: access tokens "
                             "are not supported yet",
                             "the admin API only listens on a loopback address, not on %s",
                             c->admin.host);
    }
    for (size_t i = 0; i < c->listen_count; i++) {
        if (!same_address(&c->listen[i], &c->admin))
            continue;
        struct source_pos at = n != NULL ? n->at : c->listen[i].at;
        at.file = r->path;
        diagnostics_addf(r->errors, at, "give them different ports",
                         "proxy.listen and controller.admin are both %s", c->admin.text);
    }
}

static struct config *new_config(const char *path)
{
    struct config *c = xcalloc(1, sizeof(*c));

    c->arena = xmalloc(sizeof(*c->arena));
    arena_init(c->arena);
    c->file = path == NULL ? NULL : arena_strdup(c->arena, str_from(path));
    return c;
}

static void fill(struct config_reader *r, struct yaml_node *root, struct arena *scratch)
{
    struct config *c = r->config;
    const struct yaml_node *listen = yaml_find(root, "proxy.listen");

    schema_fill(&schema_config, "", root, bindings, ARRAY_LEN(bindings), c->arena, c);
    read_listen(r,
                listen != NULL ? listen : schema_default(&schema_config, "proxy.listen", scratch));
    read_admin(r, yaml_find(root, "controller.admin"));
    const struct yaml_node *policies = yaml_get(root, STR("policies"));
    if (policies != NULL)
        c->policies_at = (struct source_pos){c->file, policies->at.line, policies->at.column};
}

int config_from_yaml(const char *path, struct yaml_node *root, struct config **ret,
                     struct diagnostics *reterr)
{
    size_t before = reterr->count + reterr->dropped - reterr->warnings;
    struct config_reader reader = {.config = new_config(path), .errors = reterr, .path = path};
    struct arena scratch;

    arena_init(&scratch);
    schema_check(&schema_config, root, &scratch, reterr);
    yaml_prune_cut(root);
    fill(&reader, root, &scratch);
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
    struct config_reader reader = {.config = new_config(NULL), .errors = &none};

    struct arena scratch;

    diagnostics_init(&none);
    arena_init(&scratch);
    fill(&reader, NULL, &scratch);
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
