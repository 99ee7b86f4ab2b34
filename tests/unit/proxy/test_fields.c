/* Values within JSON answers: which are found, and that neither the cut of the bytes nor what
 * stands around them changes any. Every text is read whole, cut at every position, and byte by
 * byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "proxy/fields.h"
#include "tests/support/fields_oracle.h"

#define JSON   "application/json"
#define EVENTS "text/event-stream"
#define LINES  "application/x-ndjson"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_deinit(&arena);
    return 0;
}

/* A criterion for each pointer; "tokens" and "size" are of the other metrics. */
static const struct fields_plan *plan_of(const char *const *pointers, size_t count)
{
    struct policy *p = arena_alloc(&arena, sizeof(*p));
    struct policy_criterion *criteria = arena_alloc(&arena, count * sizeof(*criteria) + 1);

    for (size_t i = 0; i < count; i++) {
        criteria[i].metric = METRIC_DRIFT;
        criteria[i].field = pointers[i];
        if (strcmp(pointers[i], "tokens") == 0)
            criteria[i].metric = METRIC_TOKEN_USAGE;
        else if (strcmp(pointers[i], "size") == 0)
            criteria[i].metric = METRIC_RESPONSE_SIZE;
        else if (strcmp(pointers[i], "errors") == 0)
            criteria[i].metric = METRIC_ERROR_RATE;
    }
    p->analysis.criteria = criteria;
    p->analysis.criteria_count = count;
    return fields_plan_new(p, &arena);
}

static struct fields *open_answer(const struct fields_plan *plan, const char *type)
{
    static struct head h;

    oracle_head(&h, 200, type);
    struct fields *f = fields_new(plan, UINT32_MAX, &h);
    assert_non_null(f);
    return f;
}

/* Cut behind `first` bytes, and then every `every` bytes; 0: not again. */
static struct fields *read_cut(const struct fields_plan *plan, const char *type, struct str text,
                               size_t first, size_t every)
{
    struct fields *f = open_answer(plan, type);
    size_t at = first < text.len ? first : text.len;

    fields_bytes(f, (struct str){text.ptr, at});
    while (at < text.len) {
        size_t n = every == 0 || every > text.len - at ? text.len - at : every;
        char *copy = malloc(n); /* so that a byte read beyond is seen */
        memcpy(copy, text.ptr + at, n);
        fields_bytes(f, (struct str){copy, n});
        free(copy);
        at += n;
    }
    fields_end(f);
    return f;
}

static void assert_value(struct field_value got, struct field_value want, const char *text)
{
    if (!oracle_same(got, want))
        fail_msg("kind %d %.17g instead of kind %d %.17g in\n%s", got.kind, got.number, want.kind,
                 want.number, text);
}

static struct field_value number(double n)
{
    return (struct field_value){.kind = FIELD_NUMBER, .number = n};
}

static struct field_value string(const char *s)
{
    return (struct field_value){.kind = FIELD_CATEGORY, .category = hash_fnv1a(str_from(s))};
}

static struct field_value literal(const char *s)
{
    return (struct field_value){.kind = FIELD_CATEGORY, .category = oracle_literal(s)};
}

static const struct field_value missing = {.kind = FIELD_MISSING};

/* One pointer, one answer, cut in every way. */
static void assert_finds(const char *type, const char *text, const char *pointer,
                         struct field_value want)
{
    const struct fields_plan *plan = plan_of(&pointer, 1);
    struct str bytes = str_from(text);

    for (size_t first = 0; first <= bytes.len; first++) {
        struct fields *f = read_cut(plan, type, bytes, first, first == 0 ? 1 : 0);
        if (strcmp(pointer, "tokens") == 0)
            assert_int_equal(fields_tokens(f),
                             want.kind == FIELD_NUMBER ? (int64_t)want.number : -1);
        else
            assert_value(fields_value(f, 0), want, text);
        fields_free(f);
    }
}

/* --- what is found --- */

static void test_pointers(void **state)
{
    static const char doc[] = "{\"a\":{\"b\":[1,{\"c\":2.5},[3,4]],\"\":7,\"x/y\":8,\"m~n\":9,"
                              "\"0\":10},\"predictions\":[{\"score\":0.25},{\"score\":0.75}]}";
    static const struct {
        const char *pointer;
        double want; /* -1: nothing */
    } cases[] = {
        {"/a/b/0", 1},    {"/a/b/1/c", 2.5},
        {"/a/b/2/1", 4},  {"/a/", 7},
        {"/a/x~1y", 8},   {"/a/m~0n", 9},
        {"/a/0", 10},     {"/predictions/0/score", 0.25},
        {"/a/b/3", -1},   {"/predictions/1/score", 0.75},
        {"/a/b/00", -1},  {"/a/b/-", -1},
        {"/a/b", -1}, /* a container is no value */
        {"", -1},         {"/b", -1},
        {"/a/b/0/c", -1}, {"/A", -1},
        {"/a/b/c", -1},   {"/predictions/score", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_finds(JSON, doc, cases[i].pointer,
                     cases[i].want < 0 ? missing : number(cases[i].want));
}

static void test_values(void **state)
{
    static const struct {
        const char *text;
        enum field_kind kind;
        const char *want; /* of a number as strtod reads it; of a string without escapes */
    } cases[] = {
        {"0", FIELD_NUMBER, "0"},
        {"-0", FIELD_NUMBER, "-0"},
        {"-12.5e-3", FIELD_NUMBER, "-12.5e-3"},
        {"1E+2", FIELD_NUMBER, "100"},
        {"0.1", FIELD_NUMBER, "0.1"},
        {"123456789012345678901234567890", FIELD_NUMBER, "123456789012345678901234567890"},
        {"2.2250738585072011e-308", FIELD_NUMBER, "2.2250738585072011e-308"},
        {"1e-400", FIELD_NUMBER, "0"},
        {"1e999", FIELD_MISSING, ""},
        {"01", FIELD_MISSING, ""},
        {"+1", FIELD_MISSING, ""},
        {"1.", FIELD_MISSING, ""},
        {".5", FIELD_MISSING, ""},
        {"1e", FIELD_MISSING, ""},
        {"1e+", FIELD_MISSING, ""},
        {"0x10", FIELD_MISSING, ""},
        {"inf", FIELD_MISSING, ""},
        {"\"spam\"", FIELD_CATEGORY, "spam"},
        {"\"\"", FIELD_CATEGORY, ""},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", FIELD_CATEGORY, "a\"\\/\b\f\n\r\tz"},
        {"\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", FIELD_CATEGORY,
         "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\"\\ud83d!\"", FIELD_CATEGORY, "\xed\xa0\xbd!"},
        {"\"\\ud83d\\n\"", FIELD_CATEGORY, "\xed\xa0\xbd\n"},
        {"\"\\ud83d\\ud83d\\ude00\"", FIELD_CATEGORY, "\xed\xa0\xbd\xf0\x9f\x98\x80"},
        {"\"\\ude00\"", FIELD_CATEGORY, "\xed\xb8\x80"},
        {"\"\\x41\"", FIELD_MISSING, ""},
        {"\"\\u00g0\"", FIELD_MISSING, ""},
        {"\"a\tb\"", FIELD_MISSING, ""},
        {"{\"b\":1}", FIELD_MISSING, ""},
        {"[]", FIELD_MISSING, ""},
        {"tru", FIELD_MISSING, ""},
        {"", FIELD_MISSING, ""},
    };
    static const char *const literals[] = {"true", "false", "null", "NaN", "Infinity", "-Infinity"};
    char text[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct field_value want = missing;
        if (cases[i].kind == FIELD_NUMBER)
            want = number(strtod(cases[i].want, NULL));
        else if (cases[i].kind == FIELD_CATEGORY)
            want = string(cases[i].want);
        snprintf(text, sizeof(text), "{\"z\": [\"/a\"], \"a\" :\r\n\t %s , \"b\": 1}",
                 cases[i].text);
        assert_finds(JSON, text, "/a", want);
        snprintf(text, sizeof(text), "[0,%s]", cases[i].text);
        assert_finds(JSON, text, "/1", want);
        if (cases[i].text[0] != '{')
            assert_finds(JSON, cases[i].text, "", want);
    }
    for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
        snprintf(text, sizeof(text), "{\"a\":%s}", literals[i]);
        assert_finds(JSON, text, "/a", literal(literals[i]));
    }
    assert_false(oracle_same(literal("true"), string("true")));
}

static void test_numbers_are_bounded(void **state)
{
    char text[512] = "{\"a\":0.";
    size_t n = strlen(text);

    (void)state;
    memset(text + n, '1', FIELDS_NUMBER_MAX - 2);
    strcpy(text + n + FIELDS_NUMBER_MAX - 2, ",\"b\":2}");
    assert_finds(JSON, text, "/a", number(1.0 / 9));
    assert_finds(JSON, text, "/b", number(2));
    strcpy(text + n + FIELDS_NUMBER_MAX - 2, "1,\"b\":2}");
    assert_finds(JSON, text, "/a", missing);
    assert_finds(JSON, text, "/b", number(2)); /* what follows is still read */
    memset(text + n, '1', 300);
    strcpy(text + n + 300, ",\"b\":2}");
    assert_finds(JSON, text, "/a", missing);
    assert_finds(JSON, text, "/b", number(2));
}

static void test_of_one_name_the_first_counts(void **state)
{
    (void)state;
    assert_finds(JSON, "{\"a\":1,\"a\":2}", "/a", number(1));
    assert_finds(JSON, "{\"\\u0061\":1,\"a\":2}", "/a", number(1));
    assert_finds(JSON, "{\"a\":{\"c\":1},\"a\":{\"b\":2}}", "/a/b", number(2));
    assert_finds(JSON, "{\"a\":{},\"a\":3}", "/a", number(3));
}

static void test_words_in_strings_are_no_structure(void **state)
{
    static const char doc[] = "{\"t\":\"\\\"a\\\":1,{[\",\"u\":{\"v\":\"}]\\\\\",\"a\":5},\"a\":2}";

    (void)state;
    assert_finds(JSON, doc, "/a", number(2));
    assert_finds(JSON, "{\"b\":\"a\",\"\\\"a\":4,\"a\":3}", "/a", number(3));
    assert_finds(JSON, "\xef\xbb\xbf{\"a\":1}", "/a", number(1));
}

static void test_long_keys_are_none_of_ours(void **state)
{
    (void)state;
    assert_finds(JSON, "{\"abcd\":1,\"ab\":2,\"abc\":3}", "/abc", number(3));
    assert_finds(JSON, "{\"abc\\u0000\":1,\"abc\":3}", "/abc", number(3));
    assert_finds(JSON, "{\"\":1,\"abc\":3}", "/", number(1));
}

static void test_broken_json_gives_what_came_before(void **state)
{
    static const char *const broken[] = {
        "{\"a\":1,}",  "{\"a\":1 \"b\":2}", "{\"a\":1]",        "{\"a\":1,b:2}",
        "{\"a\":1,1}", "{\"a\":1,\"c\":}",  "{\"a\":1,\"c\"2}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        const char *pointers[] = {"/a", "/b"};
        struct fields *f = read_cut(plan_of(pointers, 2), JSON, str_from(broken[i]), 0, 1);
        assert_value(fields_value(f, 0), number(1), broken[i]);
        assert_value(fields_value(f, 1), missing, broken[i]);
        fields_free(f);
    }
    assert_finds(JSON, "not JSON", "/a", missing);
    assert_finds(JSON, "", "", missing);
    assert_finds(JSON, "12", "", number(12));      /* only the end ends it */
    assert_finds(JSON, "{\"a\":1", "/a", missing); /* 1, or 12 */
}

static void test_any_depth_beside_the_pointers(void **state)
{
    enum { DEPTH = 100000 };
    const char *pointer = "/a";
    char *text = malloc(2 * DEPTH + 64);
    size_t n = (size_t)sprintf(text, "{\"b\":");

    (void)state;
    memset(text + n, '[', DEPTH);
    memset(text + n + DEPTH, ']', DEPTH);
    strcpy(text + n + 2 * DEPTH, ",\"a\":1}");
    struct fields *f = read_cut(plan_of(&pointer, 1), JSON, str_from(text), 7, 1000);
    assert_value(fields_value(f, 0), number(1), "deep");
    fields_free(f);
    free(text);
}

/* --- several pointers at once --- */

static void test_pointers_share_their_ways(void **state)
{
    const char *pointers[] = {"/a/b", "/a", "errors", "/a/c", "size", "/l/2", "tokens", "/a/b"};
    const struct fields_plan *plan = plan_of(pointers, ARRAY_LEN(pointers));
    struct str doc = STR("{\"l\":[0,1,\"two\",3],\"a\":{\"c\":false,\"b\":4},"
                         "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":42}}");

    (void)state;
    assert_int_equal(plan->criteria, 0xfb);
    assert_int_equal(plan->sizes, 0x10);
    for (size_t cut = 0; cut <= doc.len; cut++) {
        struct fields *f = read_cut(plan, JSON, doc, cut, 0);
        assert_value(fields_value(f, 0), number(4), doc.ptr);
        assert_value(fields_value(f, 1), missing, doc.ptr);
        assert_value(fields_value(f, 2), missing, doc.ptr);
        assert_value(fields_value(f, 3), literal("false"), doc.ptr);
        assert_value(fields_value(f, 4), missing, doc.ptr);
        assert_value(fields_value(f, 5), string("two"), doc.ptr);
        assert_value(fields_value(f, 6), number(42), doc.ptr);
        assert_value(fields_value(f, 7), number(4), doc.ptr);
        assert_int_equal(fields_tokens(f), 42);
        fields_free(f);
    }
}

static void test_only_what_is_wanted_is_looked_for(void **state)
{
    const char *pointers[] = {"/a", "/b", "errors", "size"};
    const struct fields_plan *plan = plan_of(pointers, ARRAY_LEN(pointers));
    static struct head h;

    (void)state;
    oracle_head(&h, 200, JSON);
    assert_null(fields_new(plan, 0xc, &h)); /* of these, nothing is within the answer */
    struct fields *f = fields_new(plan, 0x2, &h);
    fields_bytes(f, STR("{\"a\":1,\"b\":2}"));
    fields_end(f);
    assert_value(fields_value(f, 0), missing, "a");
    assert_value(fields_value(f, 1), number(2), "b");
    fields_free(f);
}

static void test_no_such_criterion_no_plan(void **state)
{
    const char *pointers[] = {"errors"}, *size = "size";

    (void)state;
    assert_null(plan_of(pointers, 1));
    const struct fields_plan *plan = plan_of(&size, 1);
    assert_non_null(plan);
    assert_int_equal(plan->slots, 0);
}

/* --- which answers --- */

static void test_which_answers_are_looked_at(void **state)
{
    static const struct {
        int status;
        const char *type, *encoding;
        bool looked_at;
    } cases[] = {
        {200, "application/json", NULL, true},
        {201, "Application/JSON; charset=utf-8", NULL, true},
        {200, "application/vnd.api+json", NULL, true},
        {200, "application/json", "identity", true},
        {200, "text/event-stream", NULL, true},
        {200, "application/x-ndjson", NULL, true},
        {200, "application/json", "gzip", false},
        {200, "text/event-stream", "br", false},
        {200, "text/html", NULL, false},
        {200, "application/jsonp", NULL, false},
        {200, "+json", NULL, false},
        {200, NULL, NULL, false},
        {500, "application/json", NULL, false},
        {404, "application/problem+json", NULL, false},
        {302, "application/json", NULL, false},
    };
    const char *pointer = "/a";
    static struct head h;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        oracle_head(&h, cases[i].status, cases[i].type);
        if (cases[i].encoding != NULL) {
            h.fields[h.count].name = STR("Content-Encoding");
            h.fields[h.count++].value = str_from(cases[i].encoding);
        }
        struct fields *f = fields_new(plan_of(&pointer, 1), 1, &h);
        if ((f != NULL) != cases[i].looked_at)
            fail_msg("case %zu", i);
        fields_free(f);
    }
    oracle_head(&h, 200, JSON);
    h.framing = FRAMING_NONE; /* of a HEAD, a 204 */
    assert_null(fields_new(plan_of(&pointer, 1), 1, &h));
}

/* --- streams --- */

static void test_the_last_event_that_has_it_counts(void **state)
{
    (void)state;
    assert_finds(EVENTS,
                 "data: {\"a\":1}\n\ndata: {\"a\":2}\n\ndata: {\"b\":3}\n\ndata: [DONE]\n\n", "/a",
                 number(2));
    assert_finds(EVENTS,
                 "data:{\"a\":1}\r\n\r\n: ping\r\n\r\nevent: x\r\nid: 2\r\ndata: {\"a\":\"y\"}"
                 "\r\n\r\n",
                 "/a", string("y"));
    assert_finds(EVENTS,
                 "\xef\xbb\xbf"
                 "data: {\"a\":1}\r\rdata: {\"a\":{}}\r\r",
                 "/a", number(1));
    assert_finds(EVENTS, "data: {\"a\":\ndata: 5}\n\n", "/a", number(5));
    assert_finds(EVENTS, "data: {\"a\":\"x\ndata: y\"}\n\n", "/a", missing);
    assert_finds(EVENTS, "data: {\"a\":1}\n\ndata: {\"a\":2", "/a", number(1));
    assert_finds(EVENTS, "data: {\"a\":1}\n\ndata: {\"a\":2}", "/a", number(2));
    assert_finds(EVENTS, "data: 1\n\ndata: 2", "", number(2));
    assert_finds(EVENTS, "data: {broken\n\ndata: {\"a\":2}\n\n", "/a", number(2));
    assert_finds(EVENTS, "dat: {\"a\":1}\n\ndatax: {\"a\":2}\n\ndata\n\n{\"a\":3}\n\n", "/a",
                 missing);
    assert_finds(LINES, "{\"a\":1}\n{\"a\":2}\n\n{\"b\":3}\n", "/a", number(2));
    assert_finds(LINES, "{\"a\":1}\r\n{\"a\":2}", "/a", number(2));
    assert_finds(LINES, "7\n8", "", number(8));
}

static void test_tokens_used(void **state)
{
    static const struct {
        const char *type, *text;
        int64_t tokens;
    } cases[] = {
        {JSON,
         "{\"choices\":[{\"message\":{\"content\":\"usage\"}}],\"usage\":"
         "{\"prompt_tokens\":5,\"completion_tokens\":12,\"total_tokens\":17,"
         "\"completion_tokens_details\":{\"reasoning_tokens\":3}}}",
         12},
        {EVENTS,
         "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n"
         "data: {\"choices\":[],\"usage\":{\"completion_tokens\":7,\"prompt_tokens\":1}}\n\n"
         "data: [DONE]\n\n",
         7},
        {JSON,
         "{\"object\":\"response\",\"usage\":{\"input_tokens\":4,\"input_tokens_details\":"
         "{\"cached_tokens\":0},\"output_tokens\":87}}",
         87},
        {EVENTS,
         "event: response.created\ndata: {\"response\":{\"usage\":null}}\n\n"
         "event: response.completed\ndata: {\"response\":{\"usage\":{\"input_tokens\":1,"
         "\"output_tokens\":9}}}\n\n",
         9},
        {JSON, "{\"type\":\"message\",\"usage\":{\"input_tokens\":10,\"output_tokens\":25}}", 25},
        {EVENTS,
         "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":"
         "{\"input_tokens\":25,\"output_tokens\":1}}}\n\n"
         "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{},\"usage\":"
         "{\"output_tokens\":8}}\n\n"
         "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
         "\"end_turn\"},\"usage\":{\"output_tokens\":15}}\n\n"
         "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
         15},
        {JSON,
         "{\"model\":\"m\",\"response\":\"hi\",\"done\":true,\"prompt_eval_count\":26,"
         "\"eval_count\":298}",
         298},
        {LINES,
         "{\"response\":\"h\",\"done\":false}\n"
         "{\"response\":\"\",\"done\":true,\"eval_count\":30}\n",
         30},
        {JSON,
         "{\"generated_text\":\"x\",\"details\":{\"finish_reason\":\"length\","
         "\"generated_tokens\":20}}",
         20},
        {JSON, "[{\"generated_text\":\"x\",\"details\":{\"generated_tokens\":21}}]", 21},
        {EVENTS,
         "data:{\"token\":{\"text\":\"a\"},\"generated_text\":null,\"details\":null}\n\n"
         "data:{\"token\":{\"text\":\"b\"},\"generated_text\":\"ab\",\"details\":"
         "{\"generated_tokens\":2}}\n\n",
         2},
        {JSON, "{\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}", -1}, /* embeddings */
        {JSON, "{\"usage\":{\"completion_tokens\":\"12\"}}", -1},
        {JSON, "{\"usage\":{\"completion_tokens\":-1}}", -1},
        {JSON, "{\"usage\":{\"completion_tokens\":1e300}}", -1},
        {JSON, "{\"usage\":{\"completion_tokens\":null,\"output_tokens\":3}}", 3},
        {JSON, "{\"usage\":{\"completion_tokens\":0}}", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_finds(cases[i].type, cases[i].text, "tokens",
                     cases[i].tokens < 0 ? missing : number((double)cases[i].tokens));
}

/* --- a second opinion --- */

struct maker {
    struct rng rng;
    char *at, *end;
};

static void put(struct maker *m, const char *text)
{
    size_t n = strlen(text);

    assert_true(n < (size_t)(m->end - m->at));
    memcpy(m->at, text, n);
    m->at += n;
}

static void put_one(struct maker *m, const char *const *texts, uint32_t count)
{
    put(m, texts[rng_below(&m->rng, count)]);
}

static void put_space(struct maker *m)
{
    static const char *const spaces[] = {"", "", "", "", " ", "\n", "\t", "\r\n "};

    put_one(m, spaces, ARRAY_LEN(spaces));
}

/* Keys are made unlike by a number behind them, but for those of the pointers. */
static void put_key(struct maker *m, unsigned nth)
{
    static const char *const own[] = {"\"a\"", "\"\\u0062\"", "\"0\"", "\"c/\\u007e\"", "\"\""};
    char text[32];

    if (nth < ARRAY_LEN(own) && rng_below(&m->rng, 3) != 0) {
        put(m, own[nth]);
        return;
    }
    snprintf(text, sizeof(text), "\"k\\t\\\"%u\"", nth);
    put(m, text);
}

static void put_value(struct maker *m, unsigned depth);

static void put_members(struct maker *m, unsigned depth, bool object)
{
    unsigned count = rng_below(&m->rng, 6);

    put(m, object ? "{" : "[");
    for (unsigned i = 0; i < count; i++) {
        put(m, i > 0 ? "," : "");
        put_space(m);
        if (object) {
            put_key(m, i);
            put_space(m);
            put(m, ":");
        }
        put_space(m);
        put_value(m, depth - 1);
        put_space(m);
    }
    put(m, object ? "}" : "]");
}

static void put_value(struct maker *m, unsigned depth)
{
    static const char *const scalars[] = {
        "1",
        "-0.0",
        "3.14159",
        "1e5",
        "-2E-7",
        "12345678901234567890",
        "true",
        "false",
        "null",
        "\"text\"",
        "\"\"",
        "\"{[\\\"]},:\"",
        "\"\\u00e9\\ud834\\udd1e\"",
        "\"\xe2\x82\xac a longer text than sixteen bytes\"",
    };
    uint32_t what = rng_below(&m->rng, 3);

    if (depth == 0 || what == 0)
        put_one(m, scalars, ARRAY_LEN(scalars));
    else
        put_members(m, depth, what == 1);
}

static void test_as_jansson_finds(void **state)
{
    static const char *const pointers[] = {"/a",       "/b/0", "/0/a", "/0/0/0",
                                           "/c~1~0/b", "//a",  "",     "/1"};
    const struct fields_plan *plan = plan_of(pointers, ARRAY_LEN(pointers));
    enum { DOCUMENTS = 4000, BYTES = 65536 };
    struct maker m;
    char *text = malloc(BYTES);
    unsigned values = 0;

    (void)state;
    rng_seed(&m.rng, 7);
    for (unsigned d = 0; d < DOCUMENTS; d++) {
        m.at = text;
        m.end = text + BYTES;
        put_value(&m, 1 + d % 4);
        struct str doc = {text, (size_t)(m.at - text)};
        json_t *root = oracle_parse(doc.ptr, doc.len);
        assert_non_null(root);
        *m.at = '\0';
        struct fields *f =
            read_cut(plan, JSON, doc, rng_below(&m.rng, 40), 1 + rng_below(&m.rng, 40));
        for (size_t i = 0; i < ARRAY_LEN(pointers); i++) {
            struct field_value want = oracle_find(root, pointers[i]);
            assert_value(fields_value(f, i), want, text);
            values += want.kind != FIELD_MISSING;
        }
        fields_free(f);
        json_decref(root);
    }
    assert_true(values > DOCUMENTS / 2); /* the documents do have what is looked for */
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_numbers_are_bounded),
        cmocka_unit_test(test_of_one_name_the_first_counts),
        cmocka_unit_test(test_words_in_strings_are_no_structure),
        cmocka_unit_test(test_long_keys_are_none_of_ours),
        cmocka_unit_test(test_broken_json_gives_what_came_before),
        cmocka_unit_test(test_any_depth_beside_the_pointers),
        cmocka_unit_test(test_pointers_share_their_ways),
        cmocka_unit_test(test_only_what_is_wanted_is_looked_for),
        cmocka_unit_test(test_no_such_criterion_no_plan),
        cmocka_unit_test(test_which_answers_are_looked_at),
        cmocka_unit_test(test_the_last_event_that_has_it_counts),
        cmocka_unit_test(test_tokens_used),
        cmocka_unit_test(test_as_jansson_finds),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
