/* Any bytes as a policy and as a configuration. The oracle: what is accepted keeps the promises of
 * policy.h; what is refused says why, at a place that is in the text.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "policies/config.h"
#include "policies/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_endpoints(const struct policy_version *v)
{
    CHECK(v->endpoint_count >= 1 && v->endpoint_count <= ENDPOINTS_MAX);
    CHECK(strlen(v->version) >= 1 && strlen(v->version) <= VERSION_MAX);
    for (size_t i = 0; i < v->endpoint_count; i++) {
        CHECK(v->endpoints[i].port != 0);
        CHECK(v->endpoints[i].weight >= 1);
        CHECK(v->endpoints[i].host[0] != '\0');
        CHECK(str_starts_with(str_from(v->endpoints[i].url),
                              v->endpoints[i].tls ? STR("https://") : STR("http://")));
    }
}

static void check_where(const struct policy_where *w)
{
    CHECK(w->path_count <= WHERE_ITEMS_MAX && w->method_count <= WHERE_ITEMS_MAX);
    for (size_t i = 0; i < w->path_count; i++)
        CHECK(w->paths[i][0] == '/');
    for (size_t i = 0; i < w->method_count; i++)
        CHECK(w->methods[i][0] != '\0');
    CHECK(w->stream <= WHERE_NO_STREAM);
}

static void check_criterion(const struct policy_criterion *k)
{
    bool share = k->metric<METRIC_LATENCY, shift = k->metric> METRIC_TIME_PER_OUTPUT_TOKEN;

    CHECK(k->metric < METRIC_COUNT && k->test < TEST_COUNT && k->limit > 0);
    CHECK(share == (k->kinds != 0) && shift == (k->test == TEST_SHIFT));
    CHECK((k->test == TEST_MAX) == (k->p0 > 0) && k->p0 < 0.5);
    CHECK(k->test != TEST_MAX_INCREASE || (share && k->ratio == 1 && k->delta == k->limit));
    CHECK(k->test != TEST_MAX_RATIO || (k->limit >= 1 && k->ratio == (share ? k->limit : 1)));
    CHECK(criterion_is_relative(k) == (k->delta > 0) && k->delta < 0.5);
    CHECK(criterion_is_time(k) == (k->quantile >= 0.5) && k->quantile < 1);
    CHECK((k->limit_ns > 0) == (criterion_is_time(k) && k->test == TEST_MAX));
    CHECK((k->metric == METRIC_DRIFT) == (k->field != NULL));
    CHECK(k->field == NULL || (k->field[0] == '/' && strlen(k->field) <= FIELD_BYTES_MAX));
    CHECK((k->method == METHOD_WINDOW) == (k->window_ns > 0));
    CHECK(k->method != METHOD_WINDOW || (k->test == TEST_MAX && k->window_consecutive > 0));
    CHECK(!k->require_no_harm || (k->test == TEST_MAX && k->on_fail != ON_FAIL_REPORT));
    CHECK(k->frozen_on_fail == k->on_fail || criterion_is_relative(k));
    check_where(&k->where);
}

/* Groups are numbered in order, and each kind of on_fail has shared out all of its evidence. */
static void check_criteria(const struct policy_analysis *a)
{
    double judged = 0, reported = 0;

    CHECK(a->criteria_count >= 1 && a->criteria_count <= CRITERIA_MAX);
    for (size_t i = 0; i < a->criteria_count; i++) {
        const struct policy_criterion *k = &a->criteria[i];
        check_criterion(k);
        CHECK(i == 0 ? k->group == 0 : k->group - k[-1].group <= 1);
        CHECK(k->weight > 0);
        *(k->on_fail == ON_FAIL_REPORT ? &reported : &judged) += k->weight;
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(a->criteria[j].name, k->name) != 0);
    }
    CHECK(judged < 1e-9 || (judged > 1 - 1e-9 && judged < 1 + 1e-9));
    CHECK(reported < 1e-9 || (reported > 1 - 1e-9 && reported < 1 + 1e-9));
}

static void check_guard(const struct policy_analysis *a)
{
    CHECK(a->error_kinds != 0);
    CHECK((a->error_kinds & (outcome_bit(OUTCOME_OK) | outcome_bit(OUTCOME_CLIENT_ABORT))) == 0);
    CHECK(a->confirm_count <= CONFIRM_MAX);
    for (size_t i = 0; i < a->confirm_count; i++)
        CHECK(a->confirm_ns[i] >= a->slot_ns);
    CHECK(a->hard_down_over_ns >= 0 && a->no_data_after_ns > 0 && a->warm_up_ns >= 0);
}

/* What is written into a request's head can neither end a line nor frame the message. */
static void check_field(const char *name, const char *value)
{
    static const char *const refused[] = {
        "host", "content-length", "transfer-encoding", "connection",
        "te",   "trailer",        "upgrade",           "expect"};

    CHECK(name[0] != '\0');
    for (const char *c = name; *c != '\0'; c++)
        CHECK(*c > ' ' && *c < 0x7f && *c != ':' && !(*c >= 'A' && *c <= 'Z'));
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        CHECK(strcmp(name, refused[i]) != 0);
    for (const char *c = value; *c != '\0'; c++)
        CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_upstream(const struct policy_upstream *u)
{
    CHECK(u->connect_timeout_ns > 0);
    CHECK(u->first_byte_timeout_ns <= u->total_timeout_ns);
    CHECK(u->queue_timeout_ns > 0 && u->queue_timeout_ns <= u->total_timeout_ns);
    CHECK(u->retries_max <= 5 && u->retries_budget >= 0 && u->retries_budget <= 1);
    CHECK(u->max_requests > 0);
    CHECK((u->host == UPSTREAM_HOST_NAME) == (u->host_name != NULL));
    CHECK((u->tls.certificate == NULL) == (u->tls.key == NULL));
    CHECK(u->set_header_count <= REQUEST_HEADERS_MAX);
    CHECK(u->remove_header_count <= REQUEST_HEADERS_MAX);
    for (size_t i = 0; i < u->set_header_count; i++)
        check_field(u->set_headers[i].name, u->set_headers[i].value);
    for (size_t i = 0; i < u->remove_header_count; i++)
        check_field(u->remove_headers[i], "");
}

static void check_policy(const struct policy *p)
{
    uint32_t last_bp = 0;

    CHECK(strlen(p->name) >= 1 && strlen(p->name) <= ROLLOUT_NAME_MAX);
    check_endpoints(&p->versions[VARIANT_STABLE]);
    if (policy_has_canary(p))
        check_endpoints(&p->versions[VARIANT_CANARY]);
    CHECK(p->step_count >= 1 && p->step_count <= STEPS_MAX);
    for (size_t i = 0; i < p->step_count; i++) {
        CHECK(p->steps[i].weight_bp > last_bp && p->steps[i].weight_bp <= WEIGHT_FULL_BP);
        CHECK(p->steps[i].hold_ns >= 0 && p->steps[i].hold_ns <= p->analysis.max_hold_ns);
        CHECK(p->steps[i].approval < APPROVAL_COUNT);
        last_bp = p->steps[i].weight_bp;
    }
    CHECK(p->analysis.max_false_revert > 0 && p->analysis.max_false_revert < 0.5);
    CHECK(p->analysis.max_bad_promotion > 0 && p->analysis.max_bad_promotion < 0.5);
    CHECK(p->analysis.slot_ns > 0);
    check_guard(&p->analysis);
    check_criteria(&p->analysis);
    CHECK(p->bake.for_ns >= 0 && p->bake.control_bp <= WEIGHT_FULL_BP / 2);
    CHECK(p->protocol < PROTOCOL_COUNT);
    CHECK(p->shield <= SHIELD_ALL);
    CHECK(p->rollback_drain_ns >= 0);
    check_upstream(&p->upstream);
}

static void check_tls(const struct config_tls *tls)
{
    CHECK(tls->count >= 1 && tls->count <= CERTIFICATES_MAX);
    for (size_t i = 0; i < tls->count; i++)
        CHECK(tls->certificates[i].certificate != NULL && tls->certificates[i].key != NULL);
    CHECK((tls->client_ca == NULL) == (tls->client_auth == CLIENT_AUTH_NONE));
}

static void check_networks(const struct config *c)
{
    CHECK(c->trusted_proxy_count <= NETWORKS_MAX);
    for (size_t i = 0; i < c->trusted_proxy_count; i++) {
        const struct config_network *n = &c->trusted_proxies[i];
        CHECK(n->bits <= (n->ipv6 ? 128 : 32));
        for (unsigned bit = n->bits; bit < 128; bit++)
            CHECK((n->address[bit / 8] & (0x80u >> (bit % 8))) == 0);
    }
}

static void check_config(const struct config *c)
{
    for (size_t i = 0; i < c->listen_count; i++)
        if (c->listen[i].tls != NULL)
            check_tls(c->listen[i].tls);
    check_networks(c);
    CHECK(c->limits.headers >= 1 && c->limits.headers <= 128);
    CHECK(c->limits.replay_bytes <= c->limits.replay_total_bytes);
    CHECK(c->health_path == NULL || c->health_path[0] == '/');
    CHECK(c->listen_count >= 1 && c->listen_count <= LISTEN_MAX);
    CHECK(c->workers <= WORKERS_MAX);
    CHECK(c->limits.connections > 0 && c->limits.head_bytes > 0);
    CHECK(c->access_log.sample >= 0 && c->access_log.sample <= 1);
    CHECK(c->access_log.to[0] != '\0');
    CHECK(c->admin.host[0] != '\0');
}

/* Every error prints, and stands on a line that exists. */
static void check_errors(const struct diagnostics *d, struct str text, bool ok)
{
    uint32_t lines = 1;
    struct strbuf out;

    CHECK(diagnostics_ok(d) == ok);
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    strbuf_init(&out, 1024 * 1024);
    for (size_t i = 0; i < d->count; i++) {
        CHECK(d->items[i].at.file != NULL);
        CHECK(d->items[i].at.line <= lines);
        CHECK(d->items[i].message[0] != '\0');
        diagnostics_print(&d->items[i], text, &out);
        for (const char *m = d->items[i].message; *m != '\0'; m++)
            CHECK((unsigned char)*m >= 0x20); /* one line, whatever was quoted */
    }
    for (size_t i = 0; i < out.len; i++) { /* no escapes, no overrides of direction */
        struct str rest = {strbuf_cstr(&out) + i, out.len - i};
        CHECK((unsigned char)rest.ptr[0] >= 0x20 || rest.ptr[0] == '\n' || rest.ptr[0] == '\t');
        CHECK(rest.ptr[0] != 0x7f && !str_starts_with(rest, STR("\xe2\x80\xae")));
    }
    strbuf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct policy *p = NULL;
    struct config *c = NULL;
    struct diagnostics d;

    diagnostics_init(&d);
    bool ok = policy_parse(STR("fuzz.yaml"), text, &p, &d) == 0;
    CHECK(ok == (p != NULL));
    check_errors(&d, text, ok);
    if (ok)
        check_policy(p);
    policy_free(p);
    diagnostics_deinit(&d);

    diagnostics_init(&d);
    ok = config_parse(STR("fuzz.yaml"), text, &c, &d) == 0;
    CHECK(ok == (c != NULL));
    check_errors(&d, text, ok);
    if (ok)
        check_config(c);
    config_free(c);
    diagnostics_deinit(&d);
    return 0;
}
