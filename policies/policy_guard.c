/* What surrounds the criteria: `burst_guard`, `hard_down`, `evidence`, `warm_up`, `on_no_data`,
 * `count_as_error`. Whether a crossing condemns or is asked about again (`confirm`) decides what
 * two other keys default to: a retreat is cheap, so that it may come early. */
#include <stdio.h>

#include "base/check.h"
#include "base/units.h"
#include "policies/policy_read.h"
#include "policies/schema.h"
#include "policies/yaml_text.h"

static const struct schema_binding bindings[] = {
    SCHEMA_BIND("analysis.burst_guard.slot", struct policy, analysis.slot_ns),
    SCHEMA_BIND("analysis.hard_down.failures", struct policy, analysis.hard_down_failures),
    SCHEMA_BIND("analysis.evidence.before", struct policy, analysis.evidence),
    SCHEMA_BIND("analysis.on_no_data.after", struct policy, analysis.no_data_after_ns),
    SCHEMA_BIND("analysis.on_no_data.do", struct policy, analysis.on_no_data),
    SCHEMA_BIND("analysis.on_stable_degraded", struct policy, analysis.on_stable_degraded),
    SCHEMA_BIND("analysis.warm_up.requests", struct policy, analysis.warm_up_requests),
    SCHEMA_BIND("analysis.warm_up.for", struct policy, analysis.warm_up_ns),
};

/* The list of the file, or the default. */
static const struct yaml_node *list_of(const struct policy_reader *r, struct yaml_node *root,
                                       const char *path)
{
    const struct yaml_node *list = yaml_find(root, path);

    return list != NULL && list->kind == YAML_LIST && !list->bad
               ? list
               : schema_default(&schema_policy, path, r->scratch);
}

static void read_confirm(struct policy_reader *r, struct yaml_node *root, struct policy_analysis *a)
{
    const struct schema_row *row = schema_row(&schema_policy, "analysis.burst_guard.confirm");
    const struct yaml_node *list = list_of(r, root, row->path);
    char pause[UNITS_TEXT_MAX], slot[UNITS_TEXT_MAX];
    struct schema_value v;

    for (const struct yaml_node *n = list->first; n != NULL; n = n->next) {
        if (n->bad)
            continue;
        CHECK(a->confirm_count < CONFIRM_MAX);
        CHECK(schema_read(row, n->text, &v));
        a->confirm_ns[a->confirm_count++] = v.ns;
        if (v.ns < a->slot_ns)
            diagnostics_addf(r->errors, n->at, "make the pause longer, or burst_guard.slot shorter",
                             "the pause %s is shorter than a slot (%s)",
                             units_duration_text(v.ns, pause),
                             units_duration_text(a->slot_ns, slot));
    }
}

/* What is written, or the default for this kind of confirm. */
static struct str text_of(const struct policy_reader *r, struct yaml_node *root, const char *path,
                          bool asks_again)
{
    const struct schema_row *row = schema_row(&schema_policy, path);
    const struct yaml_node *n = yaml_find(root, path);
    bool usual =
        schema_default(&schema_policy, "analysis.burst_guard.confirm", r->scratch)->count > 0;

    if (n != NULL && !n->bad && n->kind == YAML_TEXT)
        return n->text;
    return str_from(asks_again == usual ? row->default_text : row->default_other);
}

static void read_dependent(struct policy_reader *r, struct yaml_node *root,
                           struct policy_analysis *a)
{
    static const char slots[] = "analysis.burst_guard.min_bad_slots";
    static const char over[] = "analysis.hard_down.over";
    bool asks_again = a->confirm_count > 0;
    struct schema_value v;

    CHECK(schema_read(schema_row(&schema_policy, slots), text_of(r, root, slots, asks_again), &v));
    a->min_bad_slots = (uint32_t)v.n;
    CHECK(schema_read(schema_row(&schema_policy, over), text_of(r, root, over, asks_again), &v));
    a->hard_down_over_ns = v.ns;
}

static void read_error_kinds(struct policy_reader *r, struct yaml_node *root,
                             struct policy_analysis *a)
{
    const struct yaml_node *list = list_of(r, root, "analysis.count_as_error");

    if (list->count == 0)
        diagnostics_addf(r->errors, list->at, "leave the key out for the defaults",
                         "\"count_as_error\" is empty: nothing would be an error");
    a->error_kinds = policy_read_kinds(r, list);
}

uint32_t policy_read_kinds(struct policy_reader *r, const struct yaml_node *list)
{
    uint32_t kinds = 0;

    for (const struct yaml_node *n = list->first; n != NULL; n = n->next) {
        char shown[YAML_SHOWN_MAX];
        uint32_t bit = 0;
        for (enum outcome_kind k = OUTCOME_OK; !n->bad && k < OUTCOME_KIND_COUNT; k++)
            if (str_eq(n->text, str_from(outcome_names[k])))
                bit = outcome_bit(k);
        if ((kinds & bit) != 0)
            diagnostics_addf(r->errors, n->at, "keep one of the two", "\"%s\" is listed twice",
                             yaml_shown(n->text, shown));
        kinds |= bit;
    }
    return kinds;
}

void policy_read_guard(struct policy_reader *r, struct yaml_node *root, struct policy *p)
{
    schema_fill(&schema_policy, "", root, bindings, ARRAY_LEN(bindings), r->arena, p);
    read_confirm(r, root, &p->analysis);
    read_dependent(r, root, &p->analysis);
    read_error_kinds(r, root, &p->analysis);
}
