/* Pointers become a tree. A token that reads as a number is a key and a position both: which of
 * them it means, only the answer tells (RFC 6901, 4).
 */
#include "proxy/fields_plan.h"

#include <string.h>

#include "base/check.h"

/* Where model servers say how many tokens they made. */
static const char *const usage_pointers[] = {
    "/usage/completion_tokens",      /* OpenAI: chat and text completions, their last chunk */
    "/usage/output_tokens",          /* OpenAI Responses, Anthropic, its message_delta */
    "/response/usage/output_tokens", /* OpenAI Responses: response.completed */
    "/eval_count",                   /* Ollama */
    "/details/generated_tokens",     /* Text Generation Inference */
    "/0/details/generated_tokens",
};

/* "~1" is a slash and "~0" a tilde, read in this order. */
static struct str unescape(struct arena *arena, struct str token)
{
    char *to = arena_alloc(arena, token.len + 1);
    size_t n = 0;

    for (size_t i = 0; i < token.len; i++) {
        char c = token.ptr[i];
        if (c == '~' && i + 1 < token.len && (token.ptr[i + 1] == '0' || token.ptr[i + 1] == '1'))
            c = token.ptr[++i] == '1' ? '/' : '~';
        to[n++] = c;
    }
    return (struct str){to, n};
}

/* Digits without leading zeros. */
static uint32_t index_of(struct str token)
{
    uint64_t n;

    if (token.len == 0 || token.len > 9 || (token.ptr[0] == '0' && token.len > 1))
        return FIELDS_NO_INDEX;
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] < '0' || token.ptr[i] > '9')
            return FIELDS_NO_INDEX;
    return str_to_u64(token, &n) ? (uint32_t)n : FIELDS_NO_INDEX;
}

static struct fields_node *child(struct fields_plan *plan, struct arena *arena,
                                 struct fields_node *of, struct str token)
{
    struct fields_node **at = &of->child;

    while (*at != NULL && !str_eq((*at)->token, token))
        at = &(*at)->next;
    if (*at == NULL) {
        *at = arena_alloc(arena, sizeof(**at));
        **at = (struct fields_node){.token = token, .index = index_of(token)};
        if (token.len > plan->key_max)
            plan->key_max = token.len;
    }
    return *at;
}

static void add(struct fields_plan *plan, struct arena *arena, struct str pointer, uint32_t slot)
{
    struct fields_node *node = plan->root;
    struct str rest = pointer, token;
    size_t depth = 0;

    CHECK(pointer.len == 0 || pointer.ptr[0] == '/'); /* as policies are checked */
    plan->slots |= slot;
    node->within |= slot;
    while (rest.len > 0) {
        rest = (struct str){rest.ptr + 1, rest.len - 1};
        const char *slash = memchr(rest.ptr, '/', rest.len);
        token = (struct str){rest.ptr, slash == NULL ? rest.len : (size_t)(slash - rest.ptr)};
        rest = (struct str){rest.ptr + token.len, rest.len - token.len};
        node = child(plan, arena, node, unescape(arena, token));
        node->within |= slot;
        depth++;
    }
    node->slots |= slot;
    if (depth > plan->depth)
        plan->depth = depth;
}

static void add_usage(struct fields_plan *plan, struct arena *arena, uint8_t slot)
{
    plan->usage_slot = UINT32_C(1) << slot;
    for (size_t i = 0; i < ARRAY_LEN(usage_pointers); i++)
        add(plan, arena, str_from(usage_pointers[i]), plan->usage_slot);
}

/* Criteria of the same member share its slot. */
static const struct policy_criterion *same_field(const struct policy_analysis *a, size_t criterion)
{
    for (size_t i = 0; i < criterion; i++)
        if (a->criteria[i].metric == METRIC_DRIFT &&
            strcmp(a->criteria[i].field, a->criteria[criterion].field) == 0)
            return &a->criteria[i];
    return NULL;
}

const struct fields_plan *fields_plan_new(const struct policy *policy, struct arena *arena)
{
    const struct policy_analysis *a = &policy->analysis;
    struct fields_plan plan = {.root = NULL}, *kept;
    uint8_t slots = 0, usage_slot = UINT8_MAX;

    plan.root = arena_alloc(arena, sizeof(*plan.root));
    *plan.root = (struct fields_node){.index = FIELDS_NO_INDEX};
    for (size_t i = 0; i < a->criteria_count; i++) {
        const struct policy_criterion *c = &a->criteria[i], *same;
        uint32_t bit = UINT32_C(1) << i;
        if (c->metric == METRIC_RESPONSE_SIZE) {
            plan.sizes |= bit;
        } else if (c->metric == METRIC_TOKEN_USAGE) {
            if (plan.usage == 0)
                add_usage(&plan, arena, usage_slot = slots++);
            plan.usage |= bit;
            plan.slot_of[i] = usage_slot;
        } else if (c->metric == METRIC_DRIFT) {
            same = same_field(a, i);
            plan.fields |= bit;
            plan.slot_of[i] = same != NULL ? plan.slot_of[same - a->criteria] : slots++;
            add(&plan, arena, str_from(c->field), UINT32_C(1) << plan.slot_of[i]);
        } else {
            continue;
        }
        plan.criteria |= bit;
    }
    if (plan.criteria == 0)
        return NULL;
    kept = arena_alloc(arena, sizeof(*kept));
    *kept = plan;
    return kept;
}
