/* `proxy.listen.tls`: which certificates a listener shows and what it asks of clients. A pair can
 * stand there by itself or pairs in a list; both at once would leave open which is the default. */
#include <stdio.h>

#include "base/check.h"
#include "policies/config_read.h"
#include "policies/named_file.h"
#include "policies/schema.h"

#define LISTEN_TLS "proxy.listen.tls"

static const char how[] = "tls: {certificate: tls.crt, key: tls.key}";

static struct source_pos keep(const struct config_reader *r, struct source_pos at)
{
    return (struct source_pos){r->config->file, at.line, at.column};
}

/* Adds a pair that is whole. */
static void add_pair(struct config_reader *r, struct named_file_reader *files, const char *parent,
                     const struct yaml_node *map, struct config_certificate *items, size_t *count)
{
    struct config_certificate c = {.at = keep(r, map->at)};

    named_file_read_pair(files, parent, map, &c.certificate, &c.key);
    if (c.certificate == NULL || c.key == NULL)
        return;
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(items[i].certificate, c.certificate) != 0)
            continue;
        diagnostics_addf(r->errors, yaml_get(map, STR("certificate"))->at, "keep one of the two",
                         "the certificate %s is listed twice", c.certificate);
        return;
    }
    items[(*count)++] = c;
}

static void read_certificates(struct config_reader *r, struct named_file_reader *files,
                              const struct yaml_node *map, struct config_tls *tls)
{
    const struct yaml_node *list = yaml_get(map, STR("certificates"));
    const struct yaml_node *single = yaml_get(map, STR("certificate"));
    size_t most = list != NULL && list->kind == YAML_LIST ? list->count : 1;
    struct config_certificate *items = arena_alloc(r->config->arena, (most + 1) * sizeof(*items));

    tls->certificates = items;
    if (single == NULL)
        single = yaml_get(map, STR("key"));
    if (list != NULL && single != NULL) {
        diagnostics_addf(r->errors, single->key_at,
                         "move it into the list: the first is the default, others go by their "
                         "names",
                         "\"" STR_FMT "\" and \"certificates\" cannot stand together",
                         STR_ARG(single->key));
    } else if (list == NULL && single != NULL) {
        add_pair(r, files, LISTEN_TLS, map, items, &tls->count);
    } else if (list == NULL) {
        if (!r->cut && !yaml_has_bad(map))
            diagnostics_addf(r->errors, map->at, how, "\"tls\" names no certificate");
    } else if (!list->bad && list->kind == YAML_LIST) {
        if (list->count == 0)
            diagnostics_addf(r->errors, list->at, how, "\"certificates\" is empty");
        for (const struct yaml_node *n = list->first; n != NULL; n = n->next)
            if (n->kind == YAML_MAP && !n->bad)
                add_pair(r, files, LISTEN_TLS ".certificates", n, items, &tls->count);
    }
}

static void read_clients(struct config_reader *r, struct named_file_reader *files,
                         struct yaml_node *map, struct config_tls *tls)
{
    const struct schema_binding binding =
        SCHEMA_BIND(LISTEN_TLS ".client_auth", struct config_tls, client_auth);
    const struct yaml_node *auth = yaml_get(map, STR("client_auth"));
    const struct yaml_node *ca = yaml_get(map, STR("client_ca"));

    tls->client_auth = ca != NULL ? CLIENT_AUTH_REQUIRED : CLIENT_AUTH_NONE;
    schema_fill(&schema_config, LISTEN_TLS, map, &binding, 1, r->config->arena, tls);
    tls->client_ca = named_file_read(files, LISTEN_TLS, map, "client_ca");
    if (tls->client_auth == CLIENT_AUTH_NONE)
        tls->client_ca = NULL; /* turned off without taking the file's name away */
    else if (ca == NULL && !r->cut && !yaml_has_bad(map))
        diagnostics_addf(
            r->errors, auth->at, "add client_ca: FILE, who signs clients' certificates",
            "\"client_auth\" is " STR_FMT ", but there is no \"client_ca\"", STR_ARG(auth->text));
}

const struct config_tls *config_read_tls(struct config_reader *r, struct yaml_node *map)
{
    struct config *c = r->config;
    struct named_file_reader files = {
        .arena = c->arena, .errors = r->errors, .file = c->file, .cut = r->cut, .list = &c->files};

    if (map == NULL || map->bad || map->kind != YAML_MAP)
        return NULL;
    struct config_tls *tls = arena_alloc(c->arena, sizeof(*tls));
    tls->at = keep(r, map->key_at);
    read_certificates(r, &files, map, tls);
    read_clients(r, &files, map, tls);
    return tls;
}
