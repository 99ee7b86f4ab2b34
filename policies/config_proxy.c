/* What of `proxy` needs more than its row: who is trusted, where probes ask, and what is held for a
 * second try against what is held in all. */
#include <stdio.h>

#include "base/check.h"
#include "base/units.h"
#include "policies/config_read.h"
#include "policies/network.h"
#include "policies/yaml_text.h"

/* --- trusted_proxies --- */

static void report_network(struct config_reader *r, const struct yaml_node *n,
                           enum network_error error, const struct config_network *meant)
{
    char shown[YAML_SHOWN_MAX], text[NETWORK_TEXT_MAX], hint[192];
    struct str rest = n->text, address;

    yaml_shown(n->text, shown);
    switch (error) {
    case NETWORK_NOT_AN_ADDRESS:
        diagnostics_addf(r->errors, n->at, "write a network like 10.0.0.0/8 or an address",
                         "\"%s\" is not a network", shown);
        break;
    case NETWORK_BAD_PREFIX:
        diagnostics_addf(r->errors, n->at,
                         "a prefix is a number of bits: to 32 for IPv4, to 128 for IPv6",
                         "\"%s\" has a bad prefix", shown);
        break;
    case NETWORK_HOST_BITS:
        str_split(&rest, '/', &address);
        snprintf(hint, sizeof(hint), "write %s for the network, or " STR_FMT " for one address",
                 network_text(meant, text), STR_ARG(address));
        diagnostics_addf(r->errors, n->at, hint, "\"%s\" has bits set beyond its prefix", shown);
        break;
    case NETWORK_MAPPED:
        snprintf(hint, sizeof(hint), "write %s", network_text(meant, text));
        diagnostics_addf(r->errors, n->at, hint, "\"%s\" is an IPv4 network written as IPv6",
                         shown);
        break;
    case NETWORK_OK:
        UNREACHABLE();
    }
}

static bool same_network(const struct config_network *a, const struct config_network *b)
{
    return a->ipv6 == b->ipv6 && a->bits == b->bits &&
           memcmp(a->address, b->address, sizeof(a->address)) == 0;
}

static void read_trusted(struct config_reader *r, const struct yaml_node *list)
{
    struct config *c = r->config;

    if (list == NULL || list->bad || list->kind != YAML_LIST)
        return;
    struct config_network *items = arena_alloc(c->arena, list->count * sizeof(*items));
    for (const struct yaml_node *n = list->first; n != NULL; n = n->next) {
        char shown[YAML_SHOWN_MAX];
        struct config_network network;
        bool twice = false;
        if (n->bad || n->kind != YAML_TEXT)
            continue;
        enum network_error error = network_parse(n->text, &network);
        if (error != NETWORK_OK) {
            report_network(r, n, error, &network);
            continue;
        }
        for (size_t i = 0; i < c->trusted_proxy_count; i++)
            twice |= same_network(&items[i], &network);
        if (twice)
            diagnostics_addf(r->errors, n->at, "keep one of the two", "\"%s\" is listed twice",
                             yaml_shown(n->text, shown));
        else
            items[c->trusted_proxy_count++] = network;
        if (network.bits == 0)
            diagnostics_warnf(r->errors, n->at, "name the networks that your proxies are in",
                              "\"%s\" trusts every client to say who it is",
                              yaml_shown(n->text, shown));
    }
    c->trusted_proxies = items;
}

/* --- the rest --- */

static void check_health_path(struct config_reader *r, const struct yaml_node *n)
{
    char shown[YAML_SHOWN_MAX];

    if (n == NULL || n->bad || n->kind != YAML_TEXT)
        return;
    if (n->text.ptr[0] != '/') {
        diagnostics_addf(r->errors, n->at, "begin it with \"/\", like /-/ready",
                         "the path \"%s\" does not begin with \"/\"", yaml_shown(n->text, shown));
        return;
    }
    for (size_t i = 0; i < n->text.len; i++) {
        char c = n->text.ptr[i];
        if (c != '?' && c != '#' && c != ' ' && (unsigned char)c < 0x80)
            continue;
        diagnostics_addf(r->errors, n->at,
                         "it is compared byte by byte with what a probe asks for: a path without "
                         "query",
                         "\"%s\" is not a plain path", yaml_shown(n->text, shown));
        return;
    }
}

/* One request holds no more than all: written so it is a mistake, by default it is cut. */
static void check_replay(struct config_reader *r, struct yaml_node *root)
{
    struct config *c = r->config;
    const struct yaml_node *one = yaml_find(root, "proxy.limits.replay");
    const struct yaml_node *all = yaml_find(root, "proxy.limits.replay_total");
    char one_text[UNITS_TEXT_MAX], all_text[UNITS_TEXT_MAX];

    if (c->limits.replay_bytes <= c->limits.replay_total_bytes || (one != NULL && one->bad) ||
        (all != NULL && all->bad))
        return;
    if (one == NULL)
        c->limits.replay_bytes = c->limits.replay_total_bytes;
    else if (!r->cut)
        diagnostics_addf(r->errors, one->at,
                         "raise proxy.limits.replay_total, or lower proxy.limits.replay",
                         "replay (%s) is more than replay_total (%s)",
                         units_size_text(c->limits.replay_bytes, one_text),
                         units_size_text(c->limits.replay_total_bytes, all_text));
}

void config_read_proxy(struct config_reader *r, struct yaml_node *root)
{
    read_trusted(r, yaml_find(root, "proxy.trusted_proxies"));
    check_health_path(r, yaml_find(root, "proxy.health_path"));
    check_replay(r, root);
}
