/* `bake`: how long a canary is watched at 100 %, and what stays on stable meanwhile. The share that
 * stays is taken off every step of 100 %, which must still be a step up then. */
#include "base/check.h"
#include "base/units.h"
#include "policies/policy_read.h"
#include "policies/schema.h"

static const struct schema_binding bindings[] = {
    SCHEMA_BIND("bake.for", struct policy, bake.for_ns),
    SCHEMA_BIND("bake.control", struct policy, bake.control_bp),
};

static void check_last_step(struct policy_reader *r, struct yaml_node *root, const struct policy *p)
{
    const struct yaml_node *control = yaml_find(root, "bake.control");
    char text[UNITS_TEXT_MAX], left[UNITS_TEXT_MAX], before[UNITS_TEXT_MAX];

    if (control == NULL || control->bad || p->step_count < 2)
        return;
    const struct policy_step *last = &p->steps[p->step_count - 1];
    uint32_t left_bp = WEIGHT_FULL_BP - p->bake.control_bp;
    if (last->weight_bp != WEIGHT_FULL_BP || left_bp > last[-1].weight_bp)
        return;
    diagnostics_addf(r->errors, control->at, "make the control share smaller",
                     "with %s on stable the last step sends %s, not more than the one before (%s)",
                     units_share_text((double)p->bake.control_bp / WEIGHT_FULL_BP, text),
                     units_share_text((double)left_bp / WEIGHT_FULL_BP, left),
                     units_share_text((double)last[-1].weight_bp / WEIGHT_FULL_BP, before));
}

void policy_read_bake(struct policy_reader *r, struct yaml_node *root, struct policy *p)
{
    schema_fill(&schema_policy, "", root, bindings, ARRAY_LEN(bindings), r->arena, p);
    if (!r->cut)
        check_last_step(r, root, p);
}
