/* One policy document becomes a struct policy: the schema checks each value for itself, the
 * sections are read, and what is left here are the checks between values. All errors of a document
 * are reported; a value that is wrong by itself is not judged again together with others. */
#include "policies/policy.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/units.h"
#include "policies/policy_read.h"
#include "policies/policy_text.h"
#include "policies/schema.h"
#include "policies/yaml.h"
#include "policies/yaml_text.h"

const char *const variant_names[VARIANT_COUNT] = {
    [VARIANT_STABLE] = "stable",
    [VARIANT_CANARY] = "canary",
};

static const struct schema_binding bindings[] = {
    SCHEMA_BIND("analysis.mode", struct policy, analysis.mode),
    SCHEMA_BIND("analysis.max_false_revert", struct policy, analysis.max_false_revert),
    SCHEMA_BIND("analysis.max_bad_promotion", struct policy, analysis.max_bad_promotion),
    SCHEMA_BIND("analysis.burst_guard.slot", struct policy, analysis.slot_ns),
    SCHEMA_BIND("analysis.on_undecided", struct policy, analysis.on_undecided),
    SCHEMA_BIND("analysis.max_hold", struct policy, analysis.max_hold_ns),
    SCHEMA_BIND("protocol", struct policy, protocol),
    SCHEMA_BIND("shield", struct policy, shield),
    SCHEMA_BIND("on_rollback.drain", struct policy, rollback_drain_ns),
};

static void read_name(struct policy_reader *r, const struct yaml_node *n, struct policy *p)
{
    char shown[YAML_SHOWN_MAX];

    if (n == NULL || n->bad || n->kind != YAML_TEXT)
        return;
    bool ok = n->text.ptr[0] != '-';
    for (size_t i = 0; i < n->text.len; i++) {
        char c = n->text.ptr[i];
        ok = ok && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
    }
    if (!ok)
        diagnostics_addf(r->errors, n->at,
                         "use lower case letters, digits and -, and begin with no -",
                         "\"%s\" is not a rollout name", yaml_shown(n->text, shown));
    else if (n->text.len > ROLLOUT_NAME_MAX)
        diagnostics_addf(r->errors, n->at, NULL,
                         "the rollout's name is %zu characters long; %d is the most", n->text.len,
                         ROLLOUT_NAME_MAX);
    p->name = arena_strdup(r->arena, n->text);
    p->at = policy_reader_keep(r, n->key_at);
}

static void read_start(struct yaml_node *root, struct policy *p)
{
    enum { AUTO, MANUAL };
    struct start {
        uint32_t choice;
    } start = {AUTO};
    const struct schema_binding b = SCHEMA_BIND("start", struct start, choice);

    schema_fill(&schema_policy, "", root, &b, 1, p->arena, &start);
    p->start_auto = start.choice == AUTO;
}

/* --- checks between values --- */

static const struct policy_endpoint *same_endpoint(const struct policy_version *v,
                                                   const struct policy_endpoint *e)
{
    for (size_t i = 0; i < v->endpoint_count; i++)
        if (v->endpoints[i].port == e->port &&
            str_ieq(str_from(v->endpoints[i].host), str_from(e->host)))
            return &v->endpoints[i];
    return NULL;
}

static size_t shared_endpoints(const struct policy *p)
{
    const struct policy_version *canary = &p->versions[VARIANT_CANARY];
    size_t shared = 0;

    for (size_t i = 0; i < canary->endpoint_count; i++)
        shared += same_endpoint(&p->versions[VARIANT_STABLE], &canary->endpoints[i]) != NULL;
    return shared;
}

/* A canary that is what serves is what a file looks like right after a promotion: nothing to do.
 * The same label at other endpoints is a mistake, since decisions are remembered by label. */
static void check_versions(struct policy_reader *r, const struct yaml_node *canary_node,
                           const struct policy *p)
{
    const struct policy_version *stable = &p->versions[VARIANT_STABLE];
    const struct policy_version *canary = &p->versions[VARIANT_CANARY];
    size_t shared = shared_endpoints(p);

    if (stable->version == NULL || canary->version == NULL || stable->endpoint_count == 0 ||
        canary->endpoint_count == 0)
        return;
    const struct yaml_node *version = yaml_get(canary_node, STR("version"));
    if (strcmp(stable->version, canary->version) == 0) {
        if (shared == canary->endpoint_count && shared == stable->endpoint_count)
            diagnostics_warnf(r->errors, version->at, "leave \"canary\" out until the next release",
                              "the canary is the stable version: there is nothing to roll out");
        else
            diagnostics_addf(r->errors, version->at,
                             "give the canary its own version: what is decided about it is "
                             "remembered by that name",
                             "canary and stable are both version \"%s\", at different endpoints",
                             stable->version);
        return;
    }
    for (size_t i = 0; i < canary->endpoint_count; i++) {
        const struct policy_endpoint *e = same_endpoint(stable, &canary->endpoints[i]);
        struct source_pos at = canary->endpoints[i].at;
        at.file = canary_node->at.file;
        if (e != NULL)
            diagnostics_warnf(r->errors, at, "give each version its own endpoints",
                              "%s serves stable, too (line %u): the two cannot be told apart there",
                              e->authority, e->at.line);
    }
}

static void check_max_hold(struct policy_reader *r, struct yaml_node *root, const struct policy *p)
{
    struct yaml_node *max_hold = yaml_find(root, "analysis.max_hold");
    struct yaml_node *steps = yaml_get(root, STR("steps"));
    char hold[UNITS_TEXT_MAX], max[UNITS_TEXT_MAX];
    int64_t longest_ns = 0;

    if ((max_hold != NULL && max_hold->bad) || (steps != NULL && steps->kind != YAML_LIST))
        return;
    for (size_t i = 0; i < p->step_count; i++)
        longest_ns = p->steps[i].hold_ns > longest_ns ? p->steps[i].hold_ns : longest_ns;
    if (longest_ns <= p->analysis.max_hold_ns)
        return;
    CHECK(max_hold != NULL || steps != NULL);
    diagnostics_addf(r->errors, max_hold != NULL ? max_hold->at : steps->key_at,
                     "raise analysis.max_hold, or shorten the hold",
                     "a step is held for %s, longer than max_hold (%s)",
                     units_duration_text(longest_ns, hold),
                     units_duration_text(p->analysis.max_hold_ns, max));
}

static void read_all(struct policy_reader *r, struct yaml_node *root, struct policy *p)
{
    struct yaml_node *canary = yaml_get(root, STR("canary"));

    read_name(r, yaml_get(root, STR("rollout")), p);
    read_start(root, p);
    policy_read_match(r, yaml_get(root, STR("match")), &p->match);
    policy_read_version(r, VARIANT_STABLE, yaml_get(root, STR("stable")),
                        &p->versions[VARIANT_STABLE]);
    policy_read_version(r, VARIANT_CANARY, canary, &p->versions[VARIANT_CANARY]);
    policy_read_steps(r, yaml_get(root, STR("steps")), p);
    schema_fill(&schema_policy, "", root, bindings, ARRAY_LEN(bindings), p->arena, p);
    policy_read_upstream(r, root, p);
    policy_read_guard(r, root, p);
    policy_read_bake(r, root, p);
    policy_read_criteria(r, yaml_find(root, "analysis.criteria"), p);
    if (r->cut)
        return; /* what it would be compared with may stand behind the cut */
    if (canary != NULL)
        check_versions(r, canary, p);
    check_max_hold(r, root, p);
    policy_check_timeouts(r, root, p);
}

int policy_from_yaml(const char *path, struct yaml_node *root, struct policy **ret,
                     struct diagnostics *reterr)
{
    size_t before = reterr->count + reterr->dropped - reterr->warnings;
    struct policy *p = xcalloc(1, sizeof(*p));
    struct arena scratch;

    p->arena = xmalloc(sizeof(*p->arena));
    arena_init(p->arena);
    arena_init(&scratch);
    p->file = arena_strdup(p->arena, str_from(path));
    p->at = (struct source_pos){p->file, root->at.line, root->at.column};
    struct policy_reader reader = {.arena = p->arena,
                                   .scratch = &scratch,
                                   .errors = reterr,
                                   .file = p->file,
                                   .path = root->at.file,
                                   .cut = root->cut};
    p->text = policy_text(p->arena, root);
    schema_check(&schema_policy, root, &scratch, reterr);
    yaml_prune_cut(root);
    if (root->kind == YAML_MAP)
        read_all(&reader, root, p);
    arena_deinit(&scratch);
    if (root->cut || reterr->count + reterr->dropped - reterr->warnings != before) {
        policy_free(p);
        return -EINVAL;
    }
    *ret = p;
    return 0;
}

int policy_parse(struct str path, struct str text, struct policy **ret, struct diagnostics *reterr)
{
    struct yaml_node *root = NULL;
    struct arena arena;
    struct policy *p = NULL;
    size_t before = reterr->count + reterr->dropped - reterr->warnings;

    arena_init(&arena);
    int rc = yaml_parse(path.ptr, text, &arena, &root, reterr);
    if (rc == 0 && root == NULL) {
        diagnostics_addf(reterr, (struct source_pos){path.ptr, 1, 1},
                         "a policy begins with rollout: NAME", "there is no policy here");
        rc = -EINVAL;
    } else if (root != NULL && root->next != NULL) {
        diagnostics_addf(reterr, root->next->at, NULL, "only one document is expected here");
        rc = -EINVAL;
    } else if (root != NULL && policy_from_yaml(path.ptr, root, &p, reterr) != 0) {
        rc = -EINVAL;
    }
    arena_deinit(&arena);
    diagnostics_sort(reterr);
    if (rc != 0 || reterr->count + reterr->dropped - reterr->warnings != before) {
        policy_free(p);
        return -EINVAL;
    }
    *ret = p;
    return 0;
}

void policy_free(struct policy *p)
{
    if (p == NULL)
        return;
    arena_deinit(p->arena);
    free(p->arena);
    free(p);
}
