/* Values within answers: the first byte of the input says which criteria are wanted, the second how
 * the rest is cut into runs and which form it has. The oracle: whole, byte by byte and in runs of
 * any size the same is found; what jansson takes for JSON has the values that jansson finds; and a
 * text has the same values as an event or a line of a stream.
 */
#include <stddef.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/strbuf.h"
#include "tests/support/fields_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 8 * 1024 * 1024, TOKENS = 7, CRITERIA = 8 };

static const char *const pointers[TOKENS] = {"", "/a", "/a/b", "/a/0", "/0/a/1", "/x~1~0", "/"};

static const struct fields_plan *the_plan(void)
{
    static struct policy_criterion criteria[CRITERIA];
    static struct policy policy = {.analysis = {.criteria = criteria, .criteria_count = CRITERIA}};
    static struct arena arena;
    static const struct fields_plan *plan;

    if (plan != NULL)
        return plan;
    for (size_t i = 0; i < TOKENS; i++) {
        criteria[i].metric = METRIC_DRIFT;
        criteria[i].field = pointers[i];
    }
    criteria[TOKENS].metric = METRIC_TOKEN_USAGE;
    return plan = fields_plan_new(&policy, &arena);
}

struct result {
    struct field_value values[CRITERIA];
    int64_t tokens;
};

/* Runs of at most `cut` bytes; 0: all at once. */
static struct result look(const char *type, uint8_t criteria, struct str bytes, uint32_t cut,
                          uint64_t seed)
{
    static struct head h;
    struct result r;
    struct rng rng;

    oracle_head(&h, 200, type);
    struct fields *f = fields_new(the_plan(), criteria, &h);
    CHECK(f != NULL);
    rng_seed(&rng, seed);
    while (bytes.len > 0) {
        size_t n = cut == 0 ? bytes.len : 1 + rng_below(&rng, cut);
        n = n < bytes.len ? n : bytes.len;
        fields_bytes(f, (struct str){bytes.ptr, n});
        bytes.ptr += n;
        bytes.len -= n;
    }
    fields_end(f);
    for (size_t i = 0; i < CRITERIA; i++)
        r.values[i] = fields_value(f, i);
    r.tokens = fields_tokens(f);
    CHECK(r.tokens < 0 || r.values[TOKENS].kind == FIELD_NUMBER);
    fields_free(f);
    return r;
}

static void check_same(const struct result *a, const struct result *b)
{
    CHECK(a->tokens == b->tokens);
    for (size_t i = 0; i < CRITERIA; i++)
        CHECK(oracle_same(a->values[i], b->values[i]));
}

/* Longer numbers are no values to us. */
static bool has_long_scalar(struct str text)
{
    size_t run = 0;

    for (size_t i = 0; i < text.len && run <= FIELDS_NUMBER_MAX; i++)
        run = strchr("+-.eE0123456789", text.ptr[i]) != NULL && text.ptr[i] != '\0' ? run + 1 : 0;
    return run > FIELDS_NUMBER_MAX;
}

static void check_second_opinion(struct str text, uint8_t criteria, const struct result *ours)
{
    json_t *root = has_long_scalar(text) ? NULL : oracle_parse(text.ptr, text.len);

    if (root == NULL)
        return;
    for (size_t i = 0; i < TOKENS; i++)
        if ((criteria >> i & 1) != 0)
            CHECK(oracle_same(ours->values[i], oracle_find(root, pointers[i])));
        else
            CHECK(ours->values[i].kind == FIELD_MISSING);
    json_decref(root);
}

/* As the only event of a stream, line by line; and as the only line of one. */
static void check_as_stream(struct str text, uint8_t criteria, const struct result *want)
{
    struct strbuf out;
    struct str rest = text, line;
    bool one_line = memchr(text.ptr, '\n', text.len) == NULL;

    if (text.len == 0 || memchr(text.ptr, '\r', text.len) != NULL)
        return;
    strbuf_init(&out, OUT_MAX);
    while (str_split(&rest, '\n', &line)) {
        strbuf_add(&out, STR("data: "));
        strbuf_add(&out, line);
        strbuf_add(&out, STR("\n"));
    }
    strbuf_add(&out, STR("\n"));
    struct result got = look("text/event-stream", criteria, strbuf_str(&out), 0, 0);
    check_same(want, &got);
    if (one_line) {
        got = look("application/x-ndjson", criteria, text, 0, 0);
        check_same(want, &got);
    }
    strbuf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"application/json", "application/json", "text/event-stream",
                                        "application/x-ndjson"};
    if (size < 2)
        return 0;
    uint8_t criteria = data[0] == 0 ? UINT8_MAX : data[0];
    const char *type = types[data[1] >> 6];
    struct str bytes = {(const char *)data + 2, size - 2};
    struct result all = look(type, criteria, bytes, 0, 0), cut;
    const uint32_t cuts[] = {1, 2 + data[1] % 7u, 2 + data[1]};

    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        cut = look(type, criteria, bytes, cuts[i], data[1]);
        check_same(&all, &cut);
    }
    if (data[1] >> 6 < 2) {
        check_second_opinion(bytes, criteria, &all);
        check_as_stream(bytes, criteria, &all);
    }
    return 0;
}
