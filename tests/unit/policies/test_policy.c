/* Every mistake of tests/data/policies/bad gives exactly the messages next to it; and what a good
 * policy says arrives in the struct. */
#include "policies/policy.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/units.h"
#include "policies/policy_set.h"
#include "policies/schema.h"
#include "policies/yaml.h"
#include "tests/unit/policies/parse.h"

static char *read_file(const char *path)
{
    struct strbuf text;
    char buffer[4096];
    size_t n;
    FILE *f = fopen(path, "r");

    strbuf_init(&text, 1024 * 1024);
    while (f != NULL && (n = fread(buffer, 1, sizeof(buffer), f)) > 0)
        strbuf_add(&text, (struct str){buffer, n});
    if (f != NULL)
        fclose(f);
    return strbuf_steal(&text);
}

/* Loads one file; its messages must be those of its .expected file (none: there are none). */
static void check_golden(const char *folder, const char *name, bool good)
{
    char path[512], expected_path[512];
    struct policy_set *set = NULL;
    struct source_files sources;
    struct diagnostics d;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    snprintf(expected_path, sizeof(expected_path), "%s/%.*s.expected", folder,
             (int)(strlen(name) - strlen(".yaml")), name);
    diagnostics_init(&d);
    const char *paths[] = {path};
    int rc = policy_set_load(paths, 1, 1, &set, &sources, &d);
    char *got = printed(&d), *expected = read_file(expected_path);
    if (strcmp(got, expected) != 0)
        fail_msg("%s:\n--- got\n%s--- expected\n%s", path, got, expected);
    assert_int_equal(rc == 0, good);
    assert_int_equal(set != NULL, good);
    free(got);
    free(expected);
    policy_set_unref(set);
    diagnostics_deinit(&d);
    source_files_deinit(&sources);
}

static int check_folder(const char *folder, bool good)
{
    const struct dirent *entry;
    int count = 0;
    DIR *dir = opendir(folder);

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (!str_ends_with(str_from(entry->d_name), STR(".yaml")))
            continue;
        check_golden(folder, entry->d_name, good);
        count++;
    }
    closedir(dir);
    return count;
}

static void test_every_mistake_has_its_message(void **state)
{
    (void)state;
    assert_true(check_folder("tests/data/policies/bad", false) >= 80);
}

static void test_good_files_load(void **state)
{
    (void)state;
    setenv("SLUICE_TEST_VERSION", "3.1.4", 1);
    setenv("SLUICE_TEST_PORT", "9002", 1);
    assert_true(check_folder("tests/data/policies/good", true) >= 10);
}

/* A file that breaks off, at whatever byte, has that one mistake: nothing is said about what would
 * have followed. (Cut behind a ":", what was to be a URL is a key.) */
static void check_cut_at(const char *text, size_t len, bool policy)
{
    struct yaml_node *root = NULL;
    struct policy *p = NULL;
    struct config *c = NULL;
    struct diagnostics d;
    struct arena arena;

    arena_init(&arena);
    diagnostics_init(&d);
    bool cut = yaml_parse("t.yaml", (struct str){text, len}, &arena, &root, &d) != 0;
    diagnostics_deinit(&d);
    arena_deinit(&arena);
    diagnostics_init(&d);
    if (policy)
        policy_parse(STR("t.yaml"), (struct str){text, len}, &p, &d);
    else
        config_parse(STR("t.yaml"), (struct str){text, len}, &c, &d);
    if (cut && text[len - 1] != ':' && (d.count != 1 || p != NULL || c != NULL))
        fail_msg("%.*s\n%s", (int)len, text, printed(&d));
    policy_free(p);
    config_free(c);
    diagnostics_deinit(&d);
}

static void test_a_cut_file_has_one_mistake(void **state)
{
    static const char *const names[] = {"flow", "criteria_flow", "wire_flow", "config_flow"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "tests/data/policies/good/%s.yaml", names[i]);
        char *text = read_file(path);
        assert_true(text[0] != '\0');
        for (size_t len = 1; text[len] != '\0'; len++)
            check_cut_at(text, len, i < 3);
        free(text);
    }
}

static void check_criterion(const struct policy_criterion *k, const char *name,
                            enum criterion_metric m, enum criterion_test t, double p0, double delta)
{
    assert_string_equal(k->name, name);
    assert_int_equal(k->metric, m);
    assert_int_equal(k->test, t);
    assert_near(k->p0, p0, 1e-12);
    assert_near(k->delta, delta, 1e-12);
    assert_near(k->ratio, t == TEST_MAX_INCREASE ? 1 : 0, 0);
}

static void test_the_least_policy_has_the_defaults(void **state)
{
    static const uint32_t weights[] = {1000, 2500, 5000, 10000};
    struct policy *p = good_policy(STABLE "canary: {version: \"2\", endpoints: [http://b:81]}\n");

    (void)state;
    assert_string_equal(p->name, "chat");
    assert_true(p->start_auto);
    assert_true(policy_has_canary(p));
    assert_int_equal(p->versions[VARIANT_STABLE].endpoints[0].port, 80);
    assert_int_equal(p->versions[VARIANT_CANARY].endpoints[0].port, 81);
    assert_int_equal(p->versions[VARIANT_CANARY].endpoints[0].weight, 1);
    assert_int_equal(p->step_count, ARRAY_LEN(weights));
    for (size_t i = 0; i < p->step_count; i++) {
        assert_int_equal(p->steps[i].weight_bp, weights[i]);
        assert_int_equal(p->steps[i].hold_ns, 10 * NS_PER_MIN);
        assert_int_equal(p->steps[i].min_requests, 10);
        assert_int_equal(p->steps[i].approval, APPROVAL_NONE);
    }
    const struct policy_analysis *a = &p->analysis;
    assert_int_equal(a->mode, MODE_ENFORCE);
    assert_near(a->max_false_revert, 0.001, 1e-15);
    assert_near(a->max_bad_promotion, 0.05, 1e-15);
    assert_int_equal(a->slot_ns, NS_PER_SEC);
    assert_int_equal(a->min_bad_slots, 2);
    assert_int_equal(a->confirm_count, 2);
    assert_int_equal(a->confirm_ns[0], 30 * NS_PER_SEC);
    assert_int_equal(a->confirm_ns[1], 2 * NS_PER_MIN);
    assert_int_equal(a->hard_down_failures, 20);
    assert_int_equal(a->hard_down_over_ns, 3 * NS_PER_SEC);
    assert_int_equal(a->on_undecided, UNDECIDED_HOLD);
    assert_int_equal(a->max_hold_ns, 6 * NS_PER_HOUR);
    static const char *const names[] = {
        "error_rate max 1%",         "error_rate max_increase 0.5%",
        "latency p50 max_ratio 1.3", "latency p90 max_ratio 1.3",
        "latency p99 max_ratio 1.3", "outcome 4xx+429 max_increase 1%",
    };
    assert_int_equal(a->criteria_count, ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_string_equal(a->criteria[i].name, names[i]);
        assert_int_equal(a->criteria[i].on_fail, ON_FAIL_ROLLBACK);
        assert_near(a->criteria[i].weight, criterion_is_time(&a->criteria[i]) ? 1. / 12 : .25,
                    1e-15);
    }
    check_criterion(&a->criteria[0], "error_rate max 1%", METRIC_ERROR_RATE, TEST_MAX, 0.01, 0);
    check_criterion(&a->criteria[1], "error_rate max_increase 0.5%", METRIC_ERROR_RATE,
                    TEST_MAX_INCREASE, 0, 0.005);
    assert_int_equal(p->upstream.connect_timeout_ns, NS_PER_SEC);
    assert_int_equal(p->upstream.first_byte_timeout_ns, 10 * NS_PER_MIN);
    assert_int_equal(p->upstream.idle_timeout_ns, 2 * NS_PER_MIN);
    assert_int_equal(p->upstream.total_timeout_ns, 15 * NS_PER_MIN);
    policy_free(p);
}

static void test_without_canary_it_is_idle(void **state)
{
    struct policy *p = good_policy(STABLE);

    (void)state;
    assert_false(policy_has_canary(p));
    assert_int_equal(p->step_count, 4);
    policy_free(p);
}

static struct policy *whole_policy(void)
{
    char *text = read_file("tests/data/policies/good/whole.yaml");
    struct policy *p = good_policy(text);

    free(text);
    return p;
}

static void test_what_is_written_arrives(void **state)
{
    struct policy *p = whole_policy();
    const struct policy_version *stable = &p->versions[VARIANT_STABLE];

    (void)state;
    assert_false(p->start_auto);
    assert_int_equal(p->match.host_count, 2);
    assert_string_equal(p->match.hosts[0], "api.example.com");
    assert_string_equal(p->match.hosts[1], "*.models.example.com");
    assert_string_equal(p->match.paths[0], "/v1/");
    assert_string_equal(p->match.methods[0], "POST");
    assert_string_equal(p->match.headers[0].name, "x-tenant");
    assert_string_equal(p->match.headers[0].value, "acme");
    assert_int_equal(policy_match_conditions(&p->match), 2);
    assert_string_equal(stable->version, "2.0"); /* text, not a number */
    assert_int_equal(stable->endpoint_count, 2);
    assert_string_equal(stable->endpoints[0].url, "http://10.0.0.11:8000/");
    assert_string_equal(stable->endpoints[0].authority, "10.0.0.11:8000");
    assert_string_equal(stable->endpoints[1].host, "2001:db8::1");
    assert_string_equal(stable->endpoints[1].authority, "[2001:db8::1]");
    assert_int_equal(stable->endpoints[1].port, 80);
    assert_int_equal(stable->endpoints[1].weight, 2);
    assert_int_equal(stable->endpoints[1].at.line, 8);
    assert_string_equal(stable->endpoints[1].at.file, "test.yaml");
    assert_int_equal(p->step_count, 3);
    assert_int_equal(p->steps[0].weight_bp, 10);
    assert_int_equal(p->steps[0].hold_ns, 0);
    assert_int_equal(p->steps[0].min_requests, 0);
    assert_int_equal(p->steps[0].approval, APPROVAL_BEFORE);
    assert_int_equal(p->steps[1].weight_bp, 1250);
    assert_int_equal(p->steps[1].hold_ns, 90 * NS_PER_SEC);
    assert_int_equal(p->steps[2].approval, APPROVAL_AFTER);
    policy_free(p);
}

static void test_analysis_and_timeouts_arrive(void **state)
{
    struct policy *p = whole_policy();
    const struct policy_analysis *a = &p->analysis;

    (void)state;
    assert_int_equal(a->mode, MODE_OBSERVE);
    assert_near(a->max_false_revert, 0.01, 1e-15);
    assert_near(a->max_bad_promotion, 0.1, 1e-15);
    assert_int_equal(a->slot_ns, 250 * NS_PER_MS);
    assert_int_equal(a->min_bad_slots, 0);
    assert_int_equal(a->hard_down_failures, 5);
    assert_int_equal(a->hard_down_over_ns, 3 * NS_PER_SEC);
    assert_int_equal(a->on_undecided, UNDECIDED_ROLLBACK);
    assert_int_equal(a->max_hold_ns, 2 * NS_PER_HOUR);
    assert_int_equal(a->criteria_count, 4);
    check_criterion(&a->criteria[0], "error_rate max 2%", METRIC_ERROR_RATE, TEST_MAX, 0.02, 0);
    check_criterion(&a->criteria[1], "error_rate max_increase 0.5%", METRIC_ERROR_RATE,
                    TEST_MAX_INCREASE, 0, 0.005);
    check_criterion(&a->criteria[2], "latency p90 max 500ms", METRIC_LATENCY, TEST_MAX, 0.1, 0);
    check_criterion(&a->criteria[3], "latency p99.9 max 500ms", METRIC_LATENCY, TEST_MAX, 0.001, 0);
    assert_int_equal(a->criteria[3].limit_ns, 500 * NS_PER_MS);
    assert_near(a->criteria[3].limit, 0.5, 1e-15);
    assert_near(a->criteria[3].quantile, 0.999, 1e-15);
    assert_int_equal(a->criteria[3].at.line, 27);
    assert_int_equal(p->upstream.connect_timeout_ns, 2 * NS_PER_SEC);
    assert_int_equal(p->upstream.first_byte_timeout_ns, 30 * NS_PER_SEC);
    assert_int_equal(p->upstream.idle_timeout_ns, 10 * NS_PER_SEC);
    assert_int_equal(p->upstream.total_timeout_ns, NS_PER_MIN);
    policy_free(p);
}

/* Shortening the whole is not a contradiction of timeouts that nobody wrote. */
static void test_default_timeouts_are_cut_to_the_total(void **state)
{
    struct policy *p = good_policy(STABLE "upstream: {total_timeout: 500ms}\n");

    (void)state;
    assert_int_equal(p->upstream.connect_timeout_ns, 500 * NS_PER_MS);
    assert_int_equal(p->upstream.first_byte_timeout_ns, 500 * NS_PER_MS);
    assert_int_equal(p->upstream.idle_timeout_ns, 500 * NS_PER_MS);
    assert_int_equal(p->upstream.queue_timeout_ns, 500 * NS_PER_MS);
    policy_free(p);
}

/* "analysis.burst_guard.slot" and "1s" as "analysis: {burst_guard: {slot: 1s}}". */
static void write_nested(struct strbuf *out, const char *path, const char *value)
{
    struct str rest = str_from(path), part;
    size_t depth = 0;

    while (str_split(&rest, '.', &part)) {
        strbuf_addf(out, STR_FMT ": ", STR_ARG(part));
        if (rest.ptr != NULL) {
            strbuf_add_char(out, '{');
            depth++;
        }
    }
    strbuf_add(out, str_from(value));
    while (depth-- > 0)
        strbuf_add_char(out, '}');
    strbuf_add_char(out, '\n');
}

static void assert_same_policy(const struct policy *p, const struct policy *q)
{
    const struct policy_analysis *a = &p->analysis, *b = &q->analysis;

    assert_int_equal(p->start_auto, q->start_auto);
    assert_int_equal(p->step_count, q->step_count);
    for (size_t i = 0; i < p->step_count; i++) {
        struct policy_step step = p->steps[i];
        step.at = q->steps[i].at; /* where it is written */
        assert_memory_equal(&step, &q->steps[i], sizeof(step));
    }
    struct policy_upstream with = p->upstream;
    with.tls.at = q->upstream.tls.at; /* where it is written */
    assert_memory_equal(&with, &q->upstream, sizeof(with));
    assert_int_equal(p->protocol, q->protocol);
    assert_int_equal(p->shield, q->shield);
    assert_int_equal(p->rollback_drain_ns, q->rollback_drain_ns);
    assert_int_equal(a->mode, b->mode);
    assert_near(a->max_false_revert, b->max_false_revert, 0);
    assert_near(a->max_bad_promotion, b->max_bad_promotion, 0);
    assert_int_equal(a->slot_ns, b->slot_ns);
    assert_int_equal(a->min_bad_slots, b->min_bad_slots);
    assert_int_equal(a->hard_down_failures, b->hard_down_failures);
    assert_int_equal(a->hard_down_over_ns, b->hard_down_over_ns);
    assert_int_equal(a->on_undecided, b->on_undecided);
    assert_int_equal(a->max_hold_ns, b->max_hold_ns);
    assert_int_equal(a->criteria_count, b->criteria_count);
    for (size_t i = 0; i < a->criteria_count; i++)
        assert_string_equal(a->criteria[i].name, b->criteria[i].name);
}

/* A default that is written out changes nothing: schema and pages tell the truth. */
static void test_written_defaults_change_nothing(void **state)
{
    static const char base[] = "rollout: chat\nstable: {version: \"1\", endpoints: [https://a]}\n";
    struct policy *without = good_policy(base);
    int seen = 0;

    (void)state;
    for (size_t i = 0; i < schema_policy.count; i++) {
        const struct schema_row *row = &schema_policy.rows[i];
        if (row->default_text == NULL || row->later ||
            str_starts_with(str_from(row->path), STR("steps.")) ||
            str_starts_with(str_from(row->path), STR("analysis.criteria.")) ||
            memmem(row->path, strlen(row->path), "endpoints", 9) != NULL)
            continue;
        struct strbuf text;
        strbuf_init(&text, 4096);
        strbuf_add(&text, STR(base));
        write_nested(&text, row->path, row->default_text);
        struct policy *with = good_policy(strbuf_cstr(&text));
        assert_same_policy(with, without);
        policy_free(with);
        strbuf_deinit(&text);
        seen++;
    }
    assert_true(seen >= 25);
    policy_free(without);
}

static void test_only_one_document(void **state)
{
    struct policy *p = NULL;
    struct diagnostics d;

    (void)state;
    diagnostics_init(&d);
    assert_int_equal(policy_parse(STR("a.yaml"), STR(STABLE "---\n" STABLE), &p, &d), -22);
    assert_int_equal(policy_parse(STR("a.yaml"), STR(""), &p, &d), -22);
    assert_null(p);
    assert_int_equal(d.count, 2);
    diagnostics_deinit(&d);
    policy_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_mistake_has_its_message),
        cmocka_unit_test(test_good_files_load),
        cmocka_unit_test(test_a_cut_file_has_one_mistake),
        cmocka_unit_test(test_the_least_policy_has_the_defaults),
        cmocka_unit_test(test_without_canary_it_is_idle),
        cmocka_unit_test(test_what_is_written_arrives),
        cmocka_unit_test(test_analysis_and_timeouts_arrive),
        cmocka_unit_test(test_default_timeouts_are_cut_to_the_total),
        cmocka_unit_test(test_written_defaults_change_nothing),
        cmocka_unit_test(test_only_one_document),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
