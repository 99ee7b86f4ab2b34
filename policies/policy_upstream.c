/* `upstream`: how endpoints are spoken to, and the checks of its values against each other. Header
 * fields that frame a message or belong to one connection are not a policy's to write: one that
 * could would make two parsers read one request differently. */
#include <stdio.h>

#include "base/check.h"
#include "base/units.h"
#include "policies/address.h"
#include "policies/named_file.h"
#include "policies/policy_fields.h"
#include "policies/schema.h"
#include "policies/yaml_text.h"

static const struct schema_binding bindings[] = {
    SCHEMA_BIND("upstream.tls.verify", struct policy_upstream, tls.verify),
    SCHEMA_BIND("upstream.connect_timeout", struct policy_upstream, connect_timeout_ns),
    SCHEMA_BIND("upstream.first_byte_timeout", struct policy_upstream, first_byte_timeout_ns),
    SCHEMA_BIND("upstream.idle_timeout", struct policy_upstream, idle_timeout_ns),
    SCHEMA_BIND("upstream.total_timeout", struct policy_upstream, total_timeout_ns),
    SCHEMA_BIND("upstream.tunnel_timeout", struct policy_upstream, tunnel_timeout_ns),
    SCHEMA_BIND("upstream.retries.max", struct policy_upstream, retries_max),
    SCHEMA_BIND("upstream.retries.budget", struct policy_upstream, retries_budget),
    SCHEMA_BIND("upstream.max_requests", struct policy_upstream, max_requests),
    SCHEMA_BIND("upstream.queue.max", struct policy_upstream, queue_max),
    SCHEMA_BIND("upstream.queue.timeout", struct policy_upstream, queue_timeout_ns),
};

/* --- host --- */

/* A NAME may be anything, so a slip in one of the two words would silently be one. */
static void warn_near_word(struct policy_reader *r, const struct yaml_node *n)
{
    struct str near = schema_nearest(n->text, "preserve|endpoint");
    char shown[YAML_SHOWN_MAX], hint[96];

    if (near.len == 0)
        return;
    snprintf(hint, sizeof(hint), "did you mean \"" STR_FMT "\"?", STR_ARG(near));
    diagnostics_warnf(r->errors, n->at, hint, "\"%s\" is taken as a host name",
                      yaml_shown(n->text, shown));
}

static void read_host(struct policy_reader *r, const struct yaml_node *n, struct policy_upstream *u)
{
    char shown[YAML_SHOWN_MAX];
    struct address a;

    if (n == NULL || n->bad || str_eq(n->text, STR("preserve")))
        return;
    if (str_eq(n->text, STR("endpoint"))) {
        u->host = UPSTREAM_HOST_ENDPOINT;
        return;
    }
    yaml_shown(n->text, shown);
    if (memchr(n->text.ptr, '/', n->text.len) != NULL) {
        diagnostics_addf(r->errors, n->at, "write the host name alone, like api.internal",
                         "\"%s\" is a URL, not a host name", shown);
        return;
    }
    enum address_error error = address_parse(n->text, &a);
    if (error == ADDRESS_OK && a.has_port && a.port == 0)
        error = ADDRESS_BAD_PORT;
    if (error != ADDRESS_OK) {
        diagnostics_addf(r->errors, n->at, address_error_hint(error), "the host \"%s\" %s", shown,
                         address_error_text(error));
        return;
    }
    warn_near_word(r, n);
    u->host = UPSTREAM_HOST_NAME;
    u->host_name = arena_strdup(r->arena, n->text);
}

/* --- tls --- */

static void read_server_name(struct policy_reader *r, const struct yaml_node *n,
                             struct policy_upstream_tls *tls)
{
    char shown[YAML_SHOWN_MAX];

    if (n == NULL || n->bad)
        return;
    if (address_is_name(n->text))
        tls->server_name = arena_strdup(r->arena, n->text);
    else
        diagnostics_addf(r->errors, n->at,
                         "write a name as the certificate has it, without port: model.internal",
                         "the server name \"%s\" is not a host name", yaml_shown(n->text, shown));
}

/* Every endpoint that is written could be read, and none of them speaks TLS. */
static bool is_all_plain(const struct yaml_node *root, const struct policy *p)
{
    size_t seen = 0;

    for (enum variant v = VARIANT_STABLE; v < VARIANT_COUNT; v++) {
        const struct yaml_node *version = yaml_get(root, str_from(variant_names[v]));
        const struct yaml_node *list = yaml_get(version, STR("endpoints"));
        if (version != NULL && (list == NULL || list->count != p->versions[v].endpoint_count))
            return false;
        for (size_t i = 0; i < p->versions[v].endpoint_count; i++, seen++)
            if (p->versions[v].endpoints[i].tls)
                return false;
    }
    return seen > 0;
}

static void read_tls(struct policy_reader *r, const struct yaml_node *root,
                     const struct yaml_node *n, struct policy *p)
{
    struct policy_upstream_tls *tls = &p->upstream.tls;
    struct named_file_reader files = {
        .arena = r->arena, .errors = r->errors, .file = r->file, .cut = r->cut, .list = &p->files};

    if (n == NULL || n->kind != YAML_MAP)
        return;
    tls->at = policy_reader_keep(r, n->key_at);
    tls->ca = named_file_read(&files, "upstream.tls", n, "ca");
    named_file_read_pair(&files, "upstream.tls", n, &tls->certificate, &tls->key);
    read_server_name(r, yaml_get(n, STR("server_name")), tls);
    if (!tls->verify)
        diagnostics_warnf(r->errors, yaml_get(n, STR("verify"))->at,
                          "name who signed the certificates: ca: FILE",
                          "the endpoints' certificates are not verified: anyone on the path can "
                          "answer");
    if (!r->cut && is_all_plain(root, p))
        diagnostics_addf(r->errors, n->key_at,
                         "write https:// in the endpoints' URLs, or remove \"tls\"",
                         "\"upstream.tls\" is written, but no endpoint is an https:// URL");
}

/* --- header fields --- */

static bool check_request_field(struct policy_reader *r, struct str name, struct source_pos at)
{
    static const char frames[] = "the proxy writes it, so that every message ends where it should";
    static const char hop[] = "it belongs to one connection, and the proxy writes its own";
    static const struct {
        const char *name, *hint;
    } refused[] = {
        {"host", "use upstream.host"},
        {"content-length", frames},
        {"transfer-encoding", frames},
        {"trailer", frames},
        {"connection", hop},
        {"keep-alive", hop},
        {"proxy-connection", hop},
        {"te", hop},
        {"upgrade", hop},
        {"expect", hop},
        {"via", "the proxy writes it, so that loops are seen"},
        {"x-request-id", "the proxy writes it, so that a request has one name in every log"},
    };

    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (!str_ieq(name, str_from(refused[i].name)))
            continue;
        diagnostics_addf(r->errors, at, refused[i].hint,
                         "\"%s\" is not a policy's to set or remove", refused[i].name);
        return false;
    }
    return true;
}

static bool check_removed(struct policy_reader *r, const struct yaml_node *n)
{
    return policy_check_field_name(r, n->text, n->at) && check_request_field(r, n->text, n->at);
}

static void check_both(struct policy_reader *r, const struct yaml_node *remove,
                       const struct policy_upstream *u)
{
    for (size_t i = 0; i < u->set_header_count; i++)
        for (const struct yaml_node *n = remove->first; n != NULL; n = n->next)
            if (!n->bad && str_ieq(n->text, str_from(u->set_headers[i].name)))
                diagnostics_addf(r->errors, n->at, "to set it is enough: the client's is replaced",
                                 "\"%s\" is in \"set\", too", u->set_headers[i].name);
}

static void read_request_headers(struct policy_reader *r, const struct yaml_node *map,
                                 struct policy_upstream *u)
{
    const struct yaml_node *set = yaml_get(map, STR("set"));
    const struct yaml_node *remove = yaml_get(map, STR("remove"));
    size_t bytes = 0;

    u->set_header_count =
        policy_read_fields(r, set, check_request_field, REQUEST_HEADERS_MAX, &u->set_headers);
    u->remove_header_count = policy_read_texts(r, remove, check_removed, true, &u->remove_headers);
    for (size_t i = 0; i < u->set_header_count; i++)
        bytes += strlen(u->set_headers[i].name) + strlen(u->set_headers[i].value);
    if (bytes > REQUEST_HEADERS_BYTES_MAX)
        diagnostics_addf(r->errors, set->at, NULL, "\"set\" adds %zu bytes; %d is the most", bytes,
                         REQUEST_HEADERS_BYTES_MAX);
    if (remove != NULL && remove->kind == YAML_LIST)
        check_both(r, remove, u);
}

/* --- timeouts --- */

/* A timeout is never longer than the whole: written so it is a mistake, by default it is cut. */
static void check_part(struct policy_reader *r, struct yaml_node *root, const char *part,
                       int64_t *part_ns, int64_t total_ns)
{
    const struct yaml_node *n = yaml_find(root, part);
    char part_text[UNITS_TEXT_MAX], total_text[UNITS_TEXT_MAX], hint[160];

    if (*part_ns <= total_ns || (n != NULL && n->bad))
        return;
    if (n == NULL) {
        *part_ns = total_ns;
        return;
    }
    snprintf(hint, sizeof(hint), "raise upstream.total_timeout, or lower %s", part);
    diagnostics_addf(r->errors, n->at, hint, "%s (%s) is longer than total_timeout (%s)",
                     part + strlen("upstream."), units_duration_text(*part_ns, part_text),
                     units_duration_text(total_ns, total_text));
}

void policy_check_timeouts(struct policy_reader *r, struct yaml_node *root, struct policy *p)
{
    struct policy_upstream *u = &p->upstream;
    const struct yaml_node *total = yaml_find(root, "upstream.total_timeout");

    if (total != NULL && total->bad)
        return;
    check_part(r, root, "upstream.connect_timeout", &u->connect_timeout_ns, u->total_timeout_ns);
    check_part(r, root, "upstream.first_byte_timeout", &u->first_byte_timeout_ns,
               u->total_timeout_ns);
    check_part(r, root, "upstream.idle_timeout", &u->idle_timeout_ns, u->total_timeout_ns);
    check_part(r, root, "upstream.queue.timeout", &u->queue_timeout_ns, u->total_timeout_ns);
    for (size_t i = 0; i < p->analysis.criteria_count; i++) {
        const struct policy_criterion *k = &p->analysis.criteria[i];
        struct source_pos at = {root->at.file, k->at.line, k->at.column};
        char text[UNITS_TEXT_MAX];
        if (k->metric == METRIC_LATENCY && k->limit_ns >= u->total_timeout_ns)
            diagnostics_warnf(r->errors, at, "lower the limit, or raise upstream.total_timeout",
                              "\"%s\" can never be broken: total_timeout is %s", k->name,
                              units_duration_text(u->total_timeout_ns, text));
    }
}

void policy_read_upstream(struct policy_reader *r, struct yaml_node *root, struct policy *p)
{
    struct yaml_node *node = yaml_get(root, STR("upstream"));

    schema_fill(&schema_policy, "upstream", node, bindings, ARRAY_LEN(bindings), r->arena,
                &p->upstream);
    read_host(r, yaml_get(node, STR("host")), &p->upstream);
    read_tls(r, root, yaml_get(node, STR("tls")), p);
    read_request_headers(r, yaml_get(node, STR("request_headers")), &p->upstream);
}
