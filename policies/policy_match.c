/* `match`: which requests a rollout takes. Host names are compared without case, so they are kept
 * in lower case; methods and paths are compared as they are. */
#include <ctype.h>

#include "base/check.h"
#include "policies/address.h"
#include "policies/policy_read.h"
#include "policies/yaml_text.h"

static const char *lower(struct arena *arena, struct str s)
{
    char *copy = arena_strdup(arena, s);

    for (char *p = copy; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    return copy;
}

/* RFC 9110, 5.6.2 */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!isalnum((unsigned char)c) && strchr("!#$%&'*+-.^_`|~", c) == NULL)
            return false;
    }
    return s.len > 0;
}

static bool check_host(struct policy_reader *r, const struct yaml_node *n)
{
    char shown[YAML_SHOWN_MAX];
    struct address a;
    struct str s = n->text;

    if (str_starts_with(s, STR("http://")) || str_starts_with(s, STR("https://"))) {
        diagnostics_addf(r->errors, n->at, "write the host name alone, like api.example.com",
                         "\"%s\" is a URL, not a host name", yaml_shown(s, shown));
        return false;
    }
    if (str_starts_with(s, STR("*.")))
        s = (struct str){s.ptr + 2, s.len - 2};
    if (address_parse(s, &a) == ADDRESS_OK && !a.ipv6) {
        if (!a.has_port)
            return true;
        diagnostics_addf(r->errors, n->at, "leave the port out; it is not compared",
                         "\"%s\" has a port", yaml_shown(n->text, shown));
        return false;
    }
    diagnostics_addf(r->errors, n->at,
                     "write a name, or \"*.example.com\" for every name beneath one",
                     "\"%s\" is not a host name", yaml_shown(n->text, shown));
    return false;
}

static bool check_path(struct policy_reader *r, const struct yaml_node *n)
{
    char shown[YAML_SHOWN_MAX];

    if (n->text.ptr[0] != '/') {
        diagnostics_addf(r->errors, n->at, "begin it with \"/\"",
                         "the path \"%s\" does not begin with \"/\"", yaml_shown(n->text, shown));
        return false;
    }
    for (size_t i = 0; i < n->text.len; i++) {
        char c = n->text.ptr[i];
        if (c != '?' && c != '#' && c != ' ' && c != '*')
            continue;
        diagnostics_addf(r->errors, n->at,
                         "paths are plain prefixes: no wildcards, queries or spaces",
                         "the path \"%s\" contains \"%c\"", yaml_shown(n->text, shown), c);
        return false;
    }
    return true;
}

static bool check_method(struct policy_reader *r, const struct yaml_node *n)
{
    char shown[YAML_SHOWN_MAX];
    bool has_lower = false;

    for (size_t i = 0; i < n->text.len; i++)
        has_lower |= islower((unsigned char)n->text.ptr[i]) != 0;
    if (is_token(n->text) && !has_lower)
        return true;
    diagnostics_addf(r->errors, n->at, "methods are written in capitals: GET, POST",
                     "\"%s\" is not a method", yaml_shown(n->text, shown));
    return false;
}

typedef bool check_fn(struct policy_reader *, const struct yaml_node *);

/* Checks and copies a list of texts; the same text twice is a mistake. */
static size_t read_texts(struct policy_reader *r, const struct yaml_node *list, check_fn *check,
                         bool lower_case, const char *const **ret)
{
    if (list == NULL || list->bad || list->kind != YAML_LIST)
        return 0;
    if (list->count == 0)
        diagnostics_addf(r->errors, list->at, "leave the key out to match any",
                         "an empty list would match nothing");

    const char **items = arena_alloc(r->arena, list->count * sizeof(*items));
    size_t count = 0;
    for (const struct yaml_node *n = list->first; n != NULL; n = n->next) {
        char shown[YAML_SHOWN_MAX];
        if (n->bad || !check(r, n))
            continue;
        const char *text = lower_case ? lower(r->arena, n->text) : arena_strdup(r->arena, n->text);
        bool twice = false;
        for (size_t i = 0; i < count; i++)
            twice |= strcmp(items[i], text) == 0;
        if (twice)
            diagnostics_addf(r->errors, n->at, "keep one of the two", "\"%s\" is listed twice",
                             yaml_shown(n->text, shown));
        else
            items[count++] = text;
    }
    *ret = items;
    return count;
}

static void read_headers(struct policy_reader *r, const struct yaml_node *map,
                         struct policy_match *m)
{
    if (map == NULL || map->bad || map->kind != YAML_MAP)
        return;
    if (map->count > MATCH_ITEMS_MAX) {
        diagnostics_addf(r->errors, map->at, NULL, "\"headers\" has %zu fields; %d is the most",
                         map->count, MATCH_ITEMS_MAX);
        return;
    }

    struct policy_header *headers = arena_alloc(r->arena, map->count * sizeof(*headers));
    for (const struct yaml_node *n = map->first; n != NULL; n = n->next) {
        char shown[YAML_SHOWN_MAX];
        struct policy_header h = {.name = lower(r->arena, n->key),
                                  .value = arena_strdup(r->arena, str_trim(n->text))};
        bool twice = false;
        if (n->bad)
            continue;
        if (!is_token(n->key)) {
            diagnostics_addf(r->errors, n->key_at, NULL, "\"%s\" is not a header field name",
                             yaml_shown(n->key, shown));
            continue;
        }
        if (strcmp(h.name, "host") == 0) {
            diagnostics_addf(r->errors, n->key_at, "write it in \"hosts\"",
                             "the Host field is not matched in \"headers\"");
            continue;
        }
        for (size_t i = 0; i < m->header_count; i++)
            twice |= strcmp(headers[i].name, h.name) == 0;
        if (twice)
            diagnostics_addf(r->errors, n->key_at, "field names are compared without case",
                             "the field \"%s\" is listed twice", yaml_shown(n->key, shown));
        else
            headers[m->header_count++] = h;
    }
    m->headers = headers;
}

void policy_read_match(struct policy_reader *r, struct yaml_node *node, struct policy_match *m)
{
    if (node == NULL || node->kind != YAML_MAP)
        return;
    m->host_count = read_texts(r, yaml_get(node, STR("hosts")), check_host, true, &m->hosts);
    m->path_count = read_texts(r, yaml_get(node, STR("paths")), check_path, false, &m->paths);
    m->method_count =
        read_texts(r, yaml_get(node, STR("methods")), check_method, false, &m->methods);
    read_headers(r, yaml_get(node, STR("headers")), m);
}
