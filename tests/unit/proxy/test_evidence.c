/* What criteria learn of a request: through the whole machine, from the bytes on both sockets to
 * the recorder's counts and values. The clock only moves when told.
 */
#include "analysis/reference.h"
#include "tests/unit/proxy/fixture.h"

#define JUDGE(criteria)                                                                            \
    "shield: off\nprotocol: openai\nanalysis: {warm_up: 0, criteria: [" criteria "]}\n"
#define HEAD                                                                                       \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define ROLE  "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n"
#define PIECE "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n"
#define DONE  "data: [DONE]\n\n"

enum { MS = 1000000 };

/* One chunk of the answer. */
static void event(struct fixture *f, const char *bytes)
{
    char text[512];

    snprintf(text, sizeof(text), "%zx\r\n%s\r\n", strlen(bytes), bytes);
    other_send(f, text);
}

static void request(struct fixture *f, const char *head, const char *body)
{
    char text[512];

    snprintf(text, sizeof(text),
             "%s HTTP/1.1\r\nHost: h\r\nX-Request-Id: id-1\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             head, strlen(body), body);
    client_send(f, text);
    other_accept(f);
    take(f, f->other);
}

static void answer(struct fixture *f, const char *status, const char *type, const char *body)
{
    char text[1024];

    snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
             status, type, strlen(body), body);
    other_send(f, text);
    take(f, f->client);
}

struct judged {
    unsigned bad, ok;
};

/* What a criterion made of the canary's requests since the last time. */
static void read_all(struct fixture *f, size_t count, struct judged *ret)
{
    struct observation o;
    struct slot_counts sum = {0};

    observation_init(&o);
    recorder_read(f->shared.recorder, 0, &o);
    for (size_t i = 0; i < o.count; i++) {
        const struct slot_counts *c = &o.deltas[i].variants[VARIANT_CANARY];
        sum.dispatched += c->dispatched;
        for (size_t k = 0; k < count; k++) {
            sum.bad[k] += c->bad[k];
            sum.excluded[k] += c->excluded[k];
        }
    }
    observation_deinit(&o);
    for (size_t k = 0; k < count; k++) {
        ret[k].bad = sum.bad[k];
        ret[k].ok = sum.dispatched - sum.excluded[k] - sum.bad[k];
    }
}

/* "b": bad, "o": ok, "-": no sample; a letter for each criterion, of one request. */
static void assert_judged(struct fixture *f, const char *want)
{
    struct judged j[CRITERIA_MAX];
    char got[CRITERIA_MAX + 1] = "";
    size_t count = strlen(want);

    read_all(f, count, j);
    for (size_t k = 0; k < count; k++) {
        assert_true(j[k].bad + j[k].ok <= 1);
        got[k] = j[k].bad == 1 ? 'b' : j[k].ok == 1 ? 'o' : '-';
    }
    assert_string_equal(got, want);
}

/* --- times of streams --- */

#define STREAM_TIMES                                                                               \
    JUDGE("{metric: time_to_first_token, quantile: 90%, max: 100ms}, "                             \
          "{metric: inter_token_gap, quantile: 90%, max: 100ms}, "                                 \
          "{metric: time_per_output_token, quantile: 90%, max: 60ms}")

/* The first piece, and two behind it, after so many milliseconds each. */
static void stream_judged(const int pauses[3], const char *want)
{
    struct fixture *f = with_canary(STREAM_TIMES);

    request(f, "POST /x", "{}");
    other_send(f, HEAD);
    event(f, ROLE);
    for (int i = 0; i < 3; i++) {
        pass_time(f, pauses[i] * (int64_t)MS);
        event(f, PIECE);
    }
    pass_time(f, 500 * (int64_t)MS); /* until the end mark is no gap between pieces */
    event(f, DONE);
    other_send(f, "0\r\n\r\n");
    take(f, f->client);
    assert_judged(f, want);
    end(f);
}

static void test_times_of_streams(void **state)
{
    (void)state;
    stream_judged((const int[]){50, 50, 50}, "ooo");
    stream_judged((const int[]){150, 50, 50}, "boo");
    stream_judged((const int[]){50, 10, 105}, "obo");
    stream_judged((const int[]){50, 65, 65}, "oob");
    stream_judged((const int[]){50, 100, 20}, "ooo"); /* at the limit is not over it */
    stream_judged((const int[]){50, 0, 0}, "ooo");
}

static void test_one_piece_has_no_gap(void **state)
{
    struct fixture *f = with_canary(STREAM_TIMES);

    (void)state;
    request(f, "POST /x", "{}");
    other_send(f, HEAD);
    event(f, PIECE);
    event(f, DONE);
    other_send(f, "0\r\n\r\n");
    take(f, f->client);
    assert_judged(f, "o--");
    end(f);
}

static void test_plain_answers_have_no_tokens(void **state)
{
    struct fixture *f = with_canary(STREAM_TIMES);

    (void)state;
    request(f, "POST /x", "{}");
    pass_time(f, 5000 * (int64_t)MS);
    answer(f, "200 OK", "application/json", "{}");
    assert_judged(f, "---");
    end(f);
}

/* Two pieces, and between them more than kernel buffers hold while the client does not read. */
static void test_a_client_that_does_not_read_makes_no_gap(void **state)
{
    struct fixture *f = with_canary(STREAM_TIMES);
    static char comment[64 * 1024], sink[64 * 1024];
    size_t left = sizeof(comment);
    int stuck = 0;

    (void)state;
    memset(comment, ':', sizeof(comment));
    request(f, "POST /x", "{}");
    other_send(f, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" PIECE);
    while (stuck < 20) {
        ssize_t n = write(f->other, comment + sizeof(comment) - left, left);
        left -= n > 0 ? (size_t)n : 0;
        left = left == 0 ? sizeof(comment) : left;
        stuck = n > 0 ? 0 : stuck + 1;
        settle(f);
    }
    pass_time(f, 10000 * (int64_t)MS);
    for (int quiet = 0; quiet < 50;) {
        quiet = read(f->client, sink, sizeof(sink)) > 0 ? 0 : quiet + 1;
        settle(f);
    }
    pass_time(f, 10 * (int64_t)MS);
    put(f->other, "\n\n" PIECE DONE);
    settle(f);
    close(f->other);
    f->other = -1;
    settle(f);
    take(f, f->client);
    assert_judged(f, "ooo");
    end(f);
}

/* --- which requests --- */

static void test_where_paths_and_methods(void **state)
{
    static const char rest[] =
        JUDGE("{metric: error_rate, max: 1%, where: {paths: [/x]}}, "
              "{metric: error_rate, max: 1%, where: {methods: [GET]}}, "
              "{metric: error_rate, max: 1%, where: {paths: [/x], methods: [POST]}}, "
              "{metric: error_rate, max: 1%}");
    static const struct {
        const char *head, *want;
    } cases[] = {{"POST /x", "b-bb"},    {"POST /x/y?z", "b-bb"}, {"POST /xy", "---b"},
                 {"POST /y?/x", "---b"}, {"GET /x", "bb-b"},      {"GET /y", "-b-b"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture *f = with_canary(rest);
        request(f, cases[i].head, "{}");
        answer(f, "500 Oops", "text/plain", "bad");
        assert_judged(f, cases[i].want);
        end(f);
    }
}

/* Errors are no streams: whether one was wanted, only the request says. */
static void test_where_stream(void **state)
{
    static const char rest[] = JUDGE("{metric: error_rate, max: 1%, where: {stream: true}}, "
                                     "{metric: error_rate, max: 1%, where: {stream: false}}, "
                                     "{metric: stream_truncation_rate, max: 1%}");
    static const struct {
        const char *body, *status, *type, *answer, *want;
    } cases[] = {
        {"{\"stream\":true}", "500 Oops", "application/json", "{}", "b--"},
        {"{\"stream\":false}", "500 Oops", "application/json", "{}", "-b-"},
        {"{}", "500 Oops", "application/json", "{}", "-b-"}, /* as OpenAI's protocol has it */
        {"stream", "500 Oops", "application/json", "{}", "bb-"},
        {"{\"stream\":true}", "200 OK", "application/json", "{}", "-o-"}, /* it got none */
        {"{}", "200 OK", "text/event-stream", PIECE DONE, "o-o"},
        {"{}", "200 OK", "text/event-stream", PIECE, "b-b"},
        {"{}", "201 Created", "text/event-stream", PIECE, "b-b"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture *f = with_canary(rest);
        request(f, "POST /x", cases[i].body);
        answer(f, cases[i].status, cases[i].type, cases[i].answer);
        assert_judged(f, cases[i].want);
        end(f);
    }
}

static void test_a_hang_of_a_stream_is_found_in_flight(void **state)
{
    static const char rest[] = JUDGE("{metric: time_to_first_token, quantile: 90%, max: 1s}");
    struct fixture *f;

    (void)state;
    f = with_canary(rest);
    request(f, "POST /x", "{\"stream\":true}");
    pass_time(f, 900 * (int64_t)MS);
    assert_judged(f, "o"); /* so far */
    pass_time(f, 200 * (int64_t)MS);
    struct judged j;
    read_all(f, 1, &j);
    assert_int_equal(j.bad, 1);
    end(f);
}

/* --- values --- */

struct seen {
    struct shift_value values[16];
    size_t count;
};

static void take_value(void *ctx, const struct shift_value *v)
{
    struct seen *s = ctx;

    assert_true(s->count < ARRAY_LEN(s->values));
    s->values[s->count++] = *v;
}

static struct seen values_of(struct fixture *f)
{
    struct seen s = {.count = 0};

    recorder_values(f->shared.recorder, 0, take_value, &s);
    return s;
}

static const struct shift_value *value_of(const struct seen *s, uint8_t criterion)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->values[i].criterion == criterion)
            return &s->values[i];
    return NULL;
}

#define VALUES                                                                                     \
    JUDGE("{metric: drift, field: /score, max: 0.2}, {metric: drift, field: /label, max: 0.2}, "   \
          "{metric: response_size, max: 0.2}, {metric: token_usage, max: 0.2}, "                   \
          "{metric: drift, field: /score, max: 0.2, test: ks, where: {paths: [/other]}}")

static void test_values_of_an_answer(void **state)
{
    static const char body[] =
        "{\"score\":0.25,\"label\":\"spam\",\"usage\":{\"completion_tokens\":12}}";
    struct fixture *f = with_canary(VALUES);

    (void)state;
    request(f, "POST /x", "{}");
    answer(f, "200 OK", "application/json", body);
    struct seen s = values_of(f);
    assert_int_equal(s.count, 4);
    assert_null(value_of(&s, 4)); /* of another path */
    for (size_t i = 0; i < s.count; i++) {
        assert_int_equal(s.values[i].variant, VARIANT_CANARY);
        assert_int_equal(s.values[i].epoch, 1);
    }
    assert_int_equal(value_of(&s, 0)->kind, VALUE_NUMBER);
    assert_true(value_of(&s, 0)->number == 0.25);
    assert_int_equal(value_of(&s, 1)->kind, VALUE_CATEGORY);
    assert_true(value_of(&s, 2)->number == (double)strlen(body));
    assert_true(value_of(&s, 3)->number == 12);
    end(f);
}

static void test_an_answer_without_the_value_was_looked_at(void **state)
{
    struct fixture *f = with_canary(VALUES);

    (void)state;
    request(f, "POST /x", "{}");
    answer(f, "200 OK", "application/json", "{}");
    struct seen s = values_of(f);
    assert_int_equal(value_of(&s, 0)->kind, VALUE_MISSING);
    assert_int_equal(value_of(&s, 1)->kind, VALUE_MISSING);
    assert_true(value_of(&s, 2)->number == 2);
    end(f);
}

static void test_answers_that_are_not_ok_have_no_values(void **state)
{
    static const struct {
        const char *status, *type, *body;
    } cases[] = {{"500 Oops", "application/json", "{\"score\":1}"},
                 {"404 Not Found", "application/json", "{\"score\":1}"},
                 {"200 OK", "text/event-stream", "data: {\"score\":1}\n\n"}}; /* truncated */

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture *f = with_canary(VALUES);
        request(f, "POST /x", "{}");
        answer(f, cases[i].status, cases[i].type, cases[i].body);
        assert_int_equal(values_of(f).count, 0);
        end(f);
    }
}

static void test_values_of_a_stream(void **state)
{
    struct fixture *f = with_canary(VALUES);

    (void)state;
    request(f, "POST /x", "{}");
    other_send(f, HEAD);
    event(f, PIECE);
    event(f, "data: {\"choices\":[],\"usage\":{\"completion_tokens\":7},\"label\":\"a\"}\n\n" DONE);
    other_send(f, "0\r\n\r\n");
    take(f, f->client);
    struct seen s = values_of(f);
    assert_int_equal(value_of(&s, 0)->kind, VALUE_MISSING);
    assert_int_equal(value_of(&s, 1)->kind, VALUE_CATEGORY);
    assert_true(value_of(&s, 2)->number > 100);
    assert_true(value_of(&s, 3)->number == 7);
    end(f);
}

/* --- examples --- */

static void test_a_bad_request_is_remembered_by_its_id(void **state)
{
    struct fixture *f = with_canary(JUDGE("{metric: error_rate, max: 1%}"));
    struct recorder_example examples[2];

    (void)state;
    request(f, "POST /x", "{}");
    answer(f, "200 OK", "text/plain", "good");
    assert_int_equal(recorder_examples(f->shared.recorder, 0, examples, 2), 0);
    end(f);
    f = with_canary(JUDGE("{metric: error_rate, max: 1%}"));
    request(f, "POST /x", "{}");
    answer(f, "500 Oops", "text/plain", "bad");
    assert_int_equal(recorder_examples(f->shared.recorder, 0, examples, 2), 1);
    assert_string_equal(examples[0].id, "id-1");
    assert_int_equal(examples[0].kind, OUTCOME_5XX);
    assert_int_equal(examples[0].endpoint, 0);
    end(f);
}

static void test_warm_up_counts_an_endpoints_requests(void **state)
{
    struct fixture *f =
        with_canary("shield: off\nanalysis: {warm_up: {requests: 1, for: 1h}, criteria: [{metric: "
                    "latency, quantile: 90%, max: 1s}]}\n");

    (void)state;
    request(f, "POST /x", "{}");
    pass_time(f, 5000 * (int64_t)MS);
    answer(f, "200 OK", "text/plain", "slow");
    assert_judged(f, "-");
    client_send(f, POST "body");
    take(f, f->other);
    pass_time(f, 5000 * (int64_t)MS);
    answer(f, "200 OK", "text/plain", "slow");
    assert_judged(f, "b");
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_of_streams),
        cmocka_unit_test(test_one_piece_has_no_gap),
        cmocka_unit_test(test_plain_answers_have_no_tokens),
        cmocka_unit_test(test_a_client_that_does_not_read_makes_no_gap),
        cmocka_unit_test(test_where_paths_and_methods),
        cmocka_unit_test(test_where_stream),
        cmocka_unit_test(test_a_hang_of_a_stream_is_found_in_flight),
        cmocka_unit_test(test_values_of_an_answer),
        cmocka_unit_test(test_an_answer_without_the_value_was_looked_at),
        cmocka_unit_test(test_answers_that_are_not_ok_have_no_values),
        cmocka_unit_test(test_values_of_a_stream),
        cmocka_unit_test(test_a_bad_request_is_remembered_by_its_id),
        cmocka_unit_test(test_warm_up_counts_an_endpoints_requests),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
