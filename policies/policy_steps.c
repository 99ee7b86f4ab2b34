/* `steps`: the canary's way up. */
#include "base/check.h"
#include "base/units.h"
#include "policies/policy_read.h"
#include "policies/schema.h"
#include "policies/yaml_text.h"

static const struct schema_binding bindings[] = {
    SCHEMA_BIND("steps.weight", struct policy_step, weight_bp),
    SCHEMA_BIND("steps.hold", struct policy_step, hold_ns),
    SCHEMA_BIND("steps.min_requests", struct policy_step, min_requests),
    SCHEMA_BIND("steps.approval", struct policy_step, approval),
};

static bool check_rising(struct policy_reader *r, const struct yaml_node *weight, uint32_t now_bp,
                         uint32_t last_bp)
{
    char now[UNITS_TEXT_MAX], last[UNITS_TEXT_MAX];

    if (now_bp > last_bp)
        return true;
    units_share_text((double)now_bp / WEIGHT_FULL_BP, now);
    units_share_text((double)last_bp / WEIGHT_FULL_BP, last);
    diagnostics_addf(r->errors, weight->at, "each step sends the canary more than the one before",
                     "the weight %s is not above the step before (%s)", now, last);
    return false;
}

static void check_last(struct policy_reader *r, const struct yaml_node *item, uint32_t weight_bp)
{
    char text[UNITS_TEXT_MAX];

    if (weight_bp == WEIGHT_FULL_BP)
        return;
    units_share_text((double)weight_bp / WEIGHT_FULL_BP, text);
    diagnostics_warnf(r->errors, item->at, "add a last step {weight: 100}",
                      "the last step sends %s: a canary that passes it is promoted straight to all "
                      "requests",
                      text);
}

void policy_read_steps(struct policy_reader *r, struct yaml_node *list, struct policy *p)
{
    const struct yaml_node *last_item = NULL;
    uint32_t last_bp = 0;

    if (list == NULL)
        list = schema_default(&schema_policy, "steps", r->scratch);
    if (list->bad || list->kind != YAML_LIST)
        return;
    if (list->count == 0) {
        diagnostics_addf(r->errors, list->at, "leave the key out for 10, 25, 50, 100",
                         "\"steps\" is empty: the canary would get no requests");
        return;
    }
    CHECK(list->count <= STEPS_MAX);
    struct policy_step *steps = arena_alloc(r->arena, sizeof(*steps) * list->count);
    for (struct yaml_node *n = list->first; n != NULL; n = n->next) {
        const struct yaml_node *weight = yaml_get(n, STR("weight"));
        last_item = NULL;
        if (weight == NULL || weight->bad || weight->kind != YAML_TEXT)
            continue;
        struct policy_step *s = &steps[p->step_count++];
        schema_fill(&schema_policy, "steps", n, bindings, ARRAY_LEN(bindings), r->arena, s);
        s->at = policy_reader_keep(r, n->at);
        last_item = check_rising(r, weight, s->weight_bp, last_bp) ? weight : NULL;
        last_bp = s->weight_bp;
    }
    p->steps = steps;
    if (last_item != NULL && !r->cut)
        check_last(r, last_item, last_bp);
}
