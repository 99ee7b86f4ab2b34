/* `match`: which requests a rollout takes. Host names are compared without case, so they are kept
 * in lower case; methods and paths are compared as they are. */
#include <ctype.h>

#include "policies/address.h"
#include "policies/policy_fields.h"
#include "policies/yaml_text.h"

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

bool policy_check_path(struct policy_reader *r, const struct yaml_node *n)
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

bool policy_check_method(struct policy_reader *r, const struct yaml_node *n)
{
    char shown[YAML_SHOWN_MAX];
    bool has_lower = false;

    for (size_t i = 0; i < n->text.len; i++)
        has_lower |= islower((unsigned char)n->text.ptr[i]) != 0;
    if (policy_is_token(n->text) && !has_lower)
        return true;
    diagnostics_addf(r->errors, n->at, "methods are written in capitals: GET, POST",
                     "\"%s\" is not a method", yaml_shown(n->text, shown));
    return false;
}

static bool check_field(struct policy_reader *r, struct str name, struct source_pos at)
{
    if (!str_ieq(name, STR("host")))
        return true;
    diagnostics_addf(r->errors, at, "write it in \"hosts\"",
                     "the Host field is not matched in \"headers\"");
    return false;
}

/* A list of what is matched; one of nothing would match nothing. */
size_t policy_read_any_of(struct policy_reader *r, const struct yaml_node *list,
                          policy_text_fn *check, bool lower_case, const char *const **ret)
{
    if (list != NULL && !list->bad && list->kind == YAML_LIST && list->count == 0)
        diagnostics_addf(r->errors, list->at, "leave the key out to match any",
                         "an empty list would match nothing");
    return policy_read_texts(r, list, check, lower_case, ret);
}

void policy_read_match(struct policy_reader *r, struct yaml_node *node, struct policy_match *m)
{
    if (node == NULL || node->kind != YAML_MAP)
        return;
    m->host_count =
        policy_read_any_of(r, yaml_get(node, STR("hosts")), check_host, true, &m->hosts);
    m->path_count =
        policy_read_any_of(r, yaml_get(node, STR("paths")), policy_check_path, false, &m->paths);
    m->method_count = policy_read_any_of(r, yaml_get(node, STR("methods")), policy_check_method,
                                         false, &m->methods);
    m->header_count = policy_read_fields(r, yaml_get(node, STR("headers")), check_field,
                                         MATCH_ITEMS_MAX, &m->headers);
}
