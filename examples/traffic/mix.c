/* The requests. The built-in kinds speak the protocols of examples/model-server; their texts vary,
 * since a server that caches must not look fast.
 */
#include "examples/traffic/mix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/strbuf.h"

enum { REQUEST_BYTES_MAX = 16 * 1024 * 1024 };

static const char *const texts[] = {
    "When does the tide turn in the bay?",
    "The current is strong off the point today.",
    "How long may a steel bridge go without paint?",
    "A crack was found in the second pier.",
    "My tomatoes wilt at noon, should I water them?",
    "When are the roses pruned?",
    "The canary answers slowly since the last release.",
    "What should a rollback policy say?",
    "Tell me about the moon and the harbour.",
    "Which load can an arch of stone carry?",
    "Where do the carrots go next year?",
    "Explain the error rate of the new version.",
};

static void add_template(struct mix_kind *k, const struct mix_target *t, const char *method,
                         const char *path, const char *content_type, struct str body)
{
    struct strbuf b;
    size_t n = k->template_count++;

    strbuf_init(&b, REQUEST_BYTES_MAX);
    strbuf_addf(&b, "%s %s%s HTTP/1.1\r\nhost: %s\r\nuser-agent: traffic\r\n", method, t->base,
                path, t->host_field);
    for (size_t i = 0; i < t->header_count; i++)
        strbuf_addf(&b, "%s\r\n", t->headers[i]);
    if (body.len > 0 || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0)
        strbuf_addf(&b, "content-type: %s\r\ncontent-length: %zu\r\n", content_type, body.len);
    strbuf_add(&b, STR("x-request-id: "));
    k->id_at = xrealloc(k->id_at, (n + 1) * sizeof(*k->id_at));
    k->id_at[n] = b.len;
    strbuf_addf(&b, "%*s\r\n\r\n", MIX_ID_LEN, "");
    strbuf_add(&b, body);
    CHECK(!b.overflow); /* the body was bounded when it was read */
    k->lengths = xrealloc(k->lengths, (n + 1) * sizeof(*k->lengths));
    k->lengths[n] = b.len;
    k->templates = xrealloc(k->templates, (n + 1) * sizeof(*k->templates));
    k->templates[n] = strbuf_steal(&b);
}

static void add_built_in(struct mix_kind *k, const struct mix_target *t, bool predict)
{
    struct strbuf body;

    strbuf_init(&body, 4096);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        strbuf_reset(&body);
        if (predict) {
            strbuf_addf(&body, "{\"text\":\"%s\"}", texts[i]);
        } else {
            strbuf_addf(&body, "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}],", texts[i]);
            strbuf_addf(&body, "\"max_tokens\":%u,\"stream\":%s}", t->max_tokens,
                        k->stream ? "true" : "false");
        }
        add_template(k, t, "POST", predict ? "/predict" : "/v1/chat/completions",
                     "application/json", strbuf_str(&body));
    }
    strbuf_deinit(&body);
}

/* "get=/path" or "get=/path:WEIGHT". */
static bool parse_get(struct mix_kind *k, const struct mix_target *t, struct str value)
{
    const char *colon = memrchr(value.ptr, ':', value.len);
    uint64_t weight = 1;
    char path[1024];

    if (colon != NULL) {
        size_t len = (size_t)(colon - value.ptr);

        if (!str_to_u64((struct str){colon + 1, value.len - len - 1}, &weight))
            return false;
        value.len = len;
    }
    if (value.len == 0 || value.ptr[0] != '/' || weight > 1000000 ||
        !str_copy(path, sizeof(path), value))
        return false;
    snprintf(k->name, sizeof(k->name), "get %.50s", path);
    k->weight = (uint32_t)weight;
    add_template(k, t, "GET", path, "", STR(""));
    return true;
}

static bool parse_kind(struct mix_kind *k, const struct mix_target *t, struct str name,
                       struct str value)
{
    uint64_t weight;
    bool predict = str_eq(name, STR("predict"));

    if (str_eq(name, STR("get")))
        return parse_get(k, t, value);
    k->stream = str_eq(name, STR("stream"));
    if ((!predict && !k->stream && !str_eq(name, STR("chat"))) || !str_to_u64(value, &weight) ||
        weight > 1000000)
        return false;
    str_copy(k->name, sizeof(k->name), name);
    k->weight = (uint32_t)weight;
    add_built_in(k, t, predict);
    return true;
}

int mix_parse(struct mix *m, const struct mix_target *t, const char *text, struct error *reterr)
{
    struct str rest = str_from(text), part;

    *m = (struct mix){0};
    while (str_split(&rest, ',', &part)) {
        struct str value = part, name = {NULL, 0};

        if (m->count == MIX_KINDS_MAX)
            return error_set(reterr, -1, "more than %d kinds", MIX_KINDS_MAX);
        if (!str_split(&value, '=', &name) || value.ptr == NULL ||
            !parse_kind(&m->kinds[m->count], t, name, value))
            return error_set(reterr, -1,
                             "\"" STR_FMT "\" is not predict=N, chat=N, stream=N or get=/PATH[:N]",
                             STR_ARG(part));
        m->weight_sum += m->kinds[m->count++].weight;
    }
    return m->weight_sum > 0 ? 0 : error_set(reterr, -1, "all weights are 0");
}

void mix_single(struct mix *m, const struct mix_target *t, const char *method, const char *path,
                const char *content_type, struct str body)
{
    *m = (struct mix){.count = 1, .weight_sum = 1};
    m->kinds[0].weight = 1;
    snprintf(m->kinds[0].name, sizeof(m->kinds[0].name), "%.8s %.50s", method, path);
    add_template(&m->kinds[0], t, method, path, content_type, body);
}

void mix_deinit(struct mix *m)
{
    for (size_t i = 0; i < MIX_KINDS_MAX; i++) {
        struct mix_kind *k = &m->kinds[i];

        for (size_t n = 0; n < k->template_count; n++)
            free(k->templates[n]);
        free(k->templates);
        free(k->lengths);
        free(k->id_at);
    }
    *m = (struct mix){0};
}

const struct mix_kind *mix_draw(const struct mix *m, struct rng *rng, size_t *ret_template)
{
    uint32_t left = rng_below(rng, m->weight_sum);
    const struct mix_kind *k = m->kinds;

    while (left >= k->weight)
        left -= (k++)->weight;
    *ret_template = rng_below(rng, (uint32_t)k->template_count);
    return k;
}
