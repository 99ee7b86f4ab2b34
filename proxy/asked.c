/* The body is read as answers are (proxy/fields_json.h), with a plan that never changes. */
#include "proxy/asked.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"
#include "proxy/fields_json.h"

enum { KEY_MAX = 6, SLOT = 1 };

static struct fields_node stream_node = {
    .token = {"stream", KEY_MAX}, .index = FIELDS_NO_INDEX, .slots = SLOT, .within = SLOT};
static struct fields_node root = {.index = FIELDS_NO_INDEX, .within = SLOT, .child = &stream_node};
static const struct fields_plan plan = {
    .slots = SLOT, .depth = 1, .key_max = KEY_MAX, .root = &root};

struct asked {
    struct fields_json json;
    struct fields_level level;
    struct field_value value;
    bool object; /* the body begins as one */
    bool begun;
    char key[KEY_MAX];
};

bool asked_matters(const struct policy_analysis *a)
{
    for (size_t i = 0; i < a->criteria_count; i++) {
        const struct policy_criterion *c = &a->criteria[i];
        if (c->where.stream != WHERE_ANY || (criterion_is_time(c) && c->metric != METRIC_LATENCY))
            return true;
    }
    return false;
}

enum outcome_stream asked_by_head(const struct head *request)
{
    const struct head_field *accept = head_get(request, FIELD_ACCEPT);

    return accept != NULL && str_ieq(str_trim(accept->value), STR("text/event-stream"))
               ? STREAM_YES
               : STREAM_UNKNOWN;
}

struct asked *asked_new(void)
{
    struct asked *a = xcalloc(1, sizeof(*a));

    a->json.plan = &plan;
    a->json.levels = &a->level;
    a->json.key = a->key;
    a->json.values = &a->value;
    fields_json_start(&a->json, SLOT);
    return a;
}

void asked_free(struct asked *a)
{
    free(a);
}

bool asked_bytes(struct asked *a, struct str run)
{
    if (!a->begun && run.len > 0) {
        a->begun = true;
        a->object = run.ptr[0] == '{';
    }
    fields_json_bytes(&a->json, run.ptr, run.ptr + run.len);
    return !fields_json_done(&a->json);
}

enum outcome_stream asked_end(struct asked *a, enum stream_protocol protocol)
{
    static const struct str yes = {"\0true", 5}, no = {"\0false", 6};

    fields_json_end(&a->json);
    if (a->value.kind == FIELD_CATEGORY && a->value.category == hash_fnv1a(yes))
        return STREAM_YES;
    if (a->value.kind == FIELD_CATEGORY && a->value.category == hash_fnv1a(no))
        return STREAM_NO;
    /* Ollama streams unless it is told not to. */
    if (a->object && (protocol == PROTOCOL_OPENAI || protocol == PROTOCOL_ANTHROPIC))
        return STREAM_NO;
    return STREAM_UNKNOWN;
}
