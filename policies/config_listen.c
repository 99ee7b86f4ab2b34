/* Where the proxy and the admin API listen. The addresses are taken apart here, since a listener
 * needs numbers and a message needs the text. */
#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "policies/address.h"
#include "policies/config_read.h"
#include "policies/schema.h"
#include "policies/yaml_text.h"

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

void config_read_listen(struct config_reader *r, struct yaml_node *root)
{
    struct config *c = r->config;
    const struct yaml_node *list = yaml_find(root, "proxy.listen");

    if (list == NULL)
        list = schema_default(&schema_config, "proxy.listen", r->scratch);
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
        const struct config_tls *tls = config_read_tls(r, yaml_get(n, STR("tls")));
        if (!read_address(r, address, &a))
            continue;
        a.tls = tls;
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
void config_read_admin(struct config_reader *r, struct yaml_node *root)
{
    struct config *c = r->config;
    const struct yaml_node *n = yaml_find(root, "controller.admin");
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
