/* `stable` and `canary`: a label and the endpoints behind it. */
#include <ctype.h>
#include <stdio.h>

#include "base/check.h"
#include "policies/address.h"
#include "policies/policy_read.h"
#include "policies/schema.h"
#include "policies/yaml_text.h"

static const char *read_label(struct policy_reader *r, const struct yaml_node *n)
{
    char shown[YAML_SHOWN_MAX];

    if (n == NULL || n->bad || n->kind != YAML_TEXT)
        return NULL;
    if (n->text.len > VERSION_MAX) {
        diagnostics_addf(r->errors, n->at, NULL, "the version is %zu bytes long; %d is the most",
                         n->text.len, VERSION_MAX);
        return NULL;
    }
    for (size_t i = 0; i < n->text.len; i++) {
        if (!isspace((unsigned char)n->text.ptr[i]))
            continue;
        diagnostics_addf(r->errors, n->at, "write a label like 2.1.0 or 2024-11-blue",
                         "the version \"%s\" contains a space", yaml_shown(n->text, shown));
        return NULL;
    }
    return arena_strdup(r->arena, n->text);
}

static const struct scheme {
    const char *text;
    uint16_t port;
    bool tls;
} schemes[] = {{"http://", 80, false}, {"https://", 443, true}};

static const struct scheme *find_scheme(struct str url)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_starts_with(url, str_from(schemes[i].text)))
            return &schemes[i];
    return NULL;
}

static void report_scheme(struct policy_reader *r, const struct yaml_node *n)
{
    char shown[YAML_SHOWN_MAX], hint[160];
    struct address a;

    yaml_shown(n->text, shown);
    if (address_parse(n->text, &a) == ADDRESS_OK) {
        snprintf(hint, sizeof(hint), "write http://%s", shown);
        diagnostics_addf(r->errors, n->at, hint, "\"%s\" is not a URL", shown);
    } else {
        diagnostics_addf(r->errors, n->at, "write http://HOST:PORT or https://HOST:PORT",
                         "\"%s\" is not an http:// or https:// URL", shown);
    }
}

/* Takes the scheme and one trailing "/" away. NULL when an error was added. */
static const struct scheme *strip_url(struct policy_reader *r, const struct yaml_node *n,
                                      struct str *ret)
{
    char shown[YAML_SHOWN_MAX], hint[160];
    const struct scheme *scheme = find_scheme(n->text);

    if (scheme == NULL) {
        report_scheme(r, n);
        return NULL;
    }
    size_t skip = strlen(scheme->text);
    struct str s = {n->text.ptr + skip, n->text.len - skip};
    if (s.len > 1 && s.ptr[s.len - 1] == '/')
        s.len--;
    yaml_shown(n->text, shown);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '/' || s.ptr[i] == '?' || s.ptr[i] == '#') {
            snprintf(hint, sizeof(hint), "write %s%.*s; the request's own path is kept",
                     scheme->text, (int)(i < 100 ? i : 100), s.ptr);
            diagnostics_addf(r->errors, n->at, hint, "an endpoint has no path: \"%s\"", shown);
            return NULL;
        }
        if (s.ptr[i] == '@') {
            diagnostics_addf(r->errors, n->at, "leave out what stands before the @",
                             "an endpoint has no user name: \"%s\"", shown);
            return NULL;
        }
    }
    *ret = s;
    return scheme;
}

static bool read_url(struct policy_reader *r, const struct yaml_node *n, struct policy_endpoint *e)
{
    char shown[YAML_SHOWN_MAX];
    struct address a;
    struct str authority;

    if (n == NULL || n->bad || n->kind != YAML_TEXT)
        return false;
    const struct scheme *scheme = strip_url(r, n, &authority);
    if (scheme == NULL)
        return false;
    enum address_error error = address_parse(authority, &a);
    if (error == ADDRESS_OK && a.has_port && a.port == 0)
        error = ADDRESS_BAD_PORT;
    if (error != ADDRESS_OK) {
        diagnostics_addf(r->errors, n->at, address_error_hint(error), "\"%s\" %s",
                         yaml_shown(n->text, shown), address_error_text(error));
        return false;
    }
    e->url = arena_strdup(r->arena, n->text);
    e->host = arena_strdup(r->arena, a.host);
    e->authority = arena_strdup(r->arena, authority);
    e->port = a.has_port ? a.port : scheme->port;
    e->tls = scheme->tls;
    e->at = policy_reader_keep(r, n->at);
    return true;
}

static bool same_place(const struct policy_endpoint *a, const struct policy_endpoint *b)
{
    return a->port == b->port && str_ieq(str_from(a->host), str_from(b->host));
}

static void read_endpoints(struct policy_reader *r, const char *prefix, struct yaml_node *list,
                           struct policy_version *v)
{
    char path[64];

    if (list == NULL || list->bad || list->kind != YAML_LIST)
        return;
    if (list->count == 0) {
        diagnostics_addf(r->errors, list->at, "endpoints: [http://127.0.0.1:9001]",
                         "\"endpoints\" is empty: there is nowhere to send requests to");
        return;
    }
    snprintf(path, sizeof(path), "%s.weight", prefix);
    struct policy_endpoint *items = arena_alloc(r->arena, list->count * sizeof(*items));
    for (struct yaml_node *n = list->first; n != NULL; n = n->next) {
        struct policy_endpoint e = {0};
        const struct schema_binding weight = SCHEMA_BIND(path, struct policy_endpoint, weight);
        if (n->kind != YAML_MAP || !read_url(r, yaml_get(n, STR("url")), &e))
            continue;
        schema_fill(&schema_policy, prefix, n, &weight, 1, r->arena, &e);
        bool twice = false;
        for (size_t i = 0; i < v->endpoint_count; i++)
            twice |= same_place(&items[i], &e);
        if (twice)
            diagnostics_addf(r->errors, yaml_get(n, STR("url"))->at,
                             "to give it more requests write {url: ..., weight: 2}",
                             "the endpoint %s is listed twice", e.authority);
        else
            items[v->endpoint_count++] = e;
    }
    v->endpoints = items;
}

void policy_read_version(struct policy_reader *r, enum variant variant, struct yaml_node *node,
                         struct policy_version *v)
{
    if (node == NULL || node->kind != YAML_MAP)
        return;
    v->version = read_label(r, yaml_get(node, STR("version")));
    v->at = policy_reader_keep(r, node->key_at);
    read_endpoints(r, variant == VARIANT_STABLE ? "stable.endpoints" : "canary.endpoints",
                   yaml_get(node, STR("endpoints")), v);
}
