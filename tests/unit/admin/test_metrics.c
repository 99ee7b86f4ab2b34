/* The metrics page: parseable, escaped, each family described once, and the numbers of the parts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "admin/metrics.h"
#include "admin/process.h"
#include "admin/prometheus.h"
#include "base/check.h"
#include "tests/unit/admin/fake_ports.h"

static void assert_has(const char *page, const char *line)
{
    if (strstr(page, line) == NULL)
        fail_msg("no line: %s", line);
}

static char *render(struct fake *fake)
{
    struct admin_ports ports = fake_ports(fake);
    struct metrics *m = metrics_new(&ports);
    struct strbuf out;

    strbuf_init(&out, METRICS_BYTES_MAX);
    metrics_render(m, &out);
    assert_false(out.overflow);
    metrics_free(m);
    return strbuf_steal(&out);
}

static void values_are_escaped(void **state)
{
    struct strbuf out;
    struct prometheus p = {.out = &out};
    const struct prometheus_label labels[] = {{"a", "x\\y\"z\n"}, {"b", NULL}};

    (void)state;
    strbuf_init(&out, 1024);
    prometheus_family(&p, "n", "gauge", "one\ntwo \\ \"three\"");
    prometheus_u64(&p, "", labels, 2, UINT64_MAX);
    prometheus_f64(&p, "_sum", NULL, 0, 0.1);
    prometheus_f64(&p, "", NULL, 0, NAN);
    prometheus_f64(&p, "", NULL, 0, INFINITY);
    prometheus_f64(&p, "", NULL, 0, -INFINITY);
    assert_string_equal(strbuf_cstr(&out), "# HELP n one\\ntwo \\\\ \"three\"\n"
                                           "# TYPE n gauge\n"
                                           "n{a=\"x\\\\y\\\"z\\n\",b=\"\"} 18446744073709551615\n"
                                           "n_sum 0.1\n"
                                           "n NaN\n"
                                           "n +Inf\n"
                                           "n -Inf\n");
    strbuf_deinit(&out);
}

static void numbers_of_the_parts(void **state)
{
    struct fake fake = {.homeless = 7};
    char *page = render(&fake);

    (void)state;
    assert_has(page, "sluice_requests_total{rollout=\"chat\",version=\"2.0.0\",variant=\"stable\","
                     "endpoint=\"127.0.0.1:9002\",outcome=\"5xx\"} 2\n");
    assert_has(page, "sluice_requests_total{rollout=\"chat\",version=\"2.1 \\\"beta\\\"\\\\x\\n\","
                     "variant=\"canary\",endpoint=\"\",outcome=\"unavailable\"} 7\n");
    assert_has(page, "sluice_retries_total{rollout=\"embed\",version=\"7\",variant=\"stable\","
                     "outcome=\"ok\"} 4\n");
    assert_has(page, "sluice_retries_total{rollout=\"embed\",version=\"7\",variant=\"stable\","
                     "outcome=\"5xx\"} 0\n");
    assert_has(page, "sluice_voided_total{rollout=\"embed\",version=\"7\",variant=\"stable\"} 3\n");
    assert_has(page, "sluice_results_total{rollout=\"chat\",result=\"shielded\"} 6\n");
    assert_has(page, "sluice_results_total{rollout=\"chat\",result=\"cut\"} 0\n");
    assert_has(page, "sluice_results_total{rollout=\"chat\",result=\"ok\"} 30\n");
    assert_has(page, "variant=\"canary\"} 25.5\n");
    assert_has(page, "sluice_rollout_phase{rollout=\"chat\",phase=\"progressing\"} 1\n");
    assert_has(page, "sluice_rollout_phase{rollout=\"chat\",phase=\"idle\"} 0\n");
    assert_has(page, "sluice_rollout_step{rollout=\"chat\"} 2\n");
    assert_has(page, "sluice_values_lost_total{rollout=\"embed\"} 9\n");
    assert_has(page, "sluice_canary_retreats_total{rollout=\"chat\"} 5\n");
    assert_has(page, "sluice_canary_cleared_total{rollout=\"chat\"} 4\n");
    assert_has(page, "sluice_placebo_sent_back_total{rollout=\"chat\"} 2\n");
    assert_has(page, "sluice_stable_longest_burst_seconds{rollout=\"chat\"} 1.5\n");
    assert_has(page, "criterion=\"error_rate max 1%\"} 0.5\n");
    assert_has(page, "sluice_connections_total{worker=\"1\"} 101\n");
    assert_has(page, "sluice_queue_full_total{worker=\"1\"} 8\n");
    assert_has(page, "sluice_unshielded_total{worker=\"0\"} 0\n");
    assert_has(page, "sluice_controller_tick_late_seconds 0.0015\n");
    assert_has(page, "sluice_build_info{version=\"" SLUICE_VERSION "\"} 1\n");
    assert_null(strstr(page, "rollout=\"embed\",version=\"7\",variant=\"canary\""));
    free(page);
}

static void histograms_are_cumulative(void **state)
{
    struct fake fake = {.homeless = 0};
    char *page = render(&fake);
    static const char *const lines[] = {"le=\"0.0025\"} 0\n", "le=\"0.005\"} 4\n",
                                        "le=\"1\"} 4\n",      "le=\"2.5\"} 5\n",
                                        "le=\"600\"} 5\n",    "le=\"+Inf\"} 6\n"};
    char line[256];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        snprintf(line, sizeof(line),
                 "sluice_request_duration_seconds_bucket{rollout=\"embed\",version=\"7\","
                 "variant=\"stable\",%s",
                 lines[i]);
        assert_has(page, line);
    }
    assert_has(page, "sluice_request_duration_seconds_count{rollout=\"embed\",version=\"7\","
                     "variant=\"stable\"} 6\n");
    const char *sum = strstr(page, "sluice_first_byte_seconds_sum{rollout=\"embed\"");
    assert_non_null(sum);
    /* 4 * 3 ms + 2 s + 1 h, each to within a bucket. */
    assert_true(fabs(atof(strchr(sum, ' ')) / 3602.012 - 1) < 0.01);
    free(page);
}

/* A rollout without streams has no series for their times, one with streams all of them. */
static void times_of_streams_begin_with_the_first(void **state)
{
    struct fake fake = {.homeless = 0};
    char *page = render(&fake);

    (void)state;
    assert_has(page, "# TYPE sluice_queue_seconds histogram\n");
    assert_null(strstr(page, "sluice_queue_seconds_"));
    assert_null(strstr(page, "sluice_first_token_seconds_bucket{rollout=\"embed\""));
    assert_has(page, "sluice_first_token_seconds_count{rollout=\"chat\",version=\"2.1 "
                     "\\\"beta\\\"\\\\x\\n\",variant=\"canary\"} 6\n");
    assert_has(page, "sluice_token_gap_seconds_bucket{rollout=\"chat\"");
    free(page);
}

/* A counter must not fall when totals are read a moment before their parts. */
static void attempts_without_an_endpoint_never_fall(void **state)
{
    struct fake fake = {.homeless = 7};
    struct admin_ports ports = fake_ports(&fake);
    struct metrics *m = metrics_new(&ports);
    struct strbuf out;

    (void)state;
    strbuf_init(&out, METRICS_BYTES_MAX);
    metrics_render(m, &out);
    strbuf_reset(&out);
    fake.homeless = 3;
    metrics_render(m, &out);
    assert_has(strbuf_cstr(&out), "endpoint=\"\",outcome=\"unavailable\"} 7\n");
    strbuf_deinit(&out);
    metrics_free(m);
}

static bool name_is_valid(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isalpha((unsigned char)p[i]) && p[i] != '_' &&
            (i == 0 || !isdigit((unsigned char)p[i])))
            return false;
    return n > 0;
}

/* Skips {name="value",…}; NULL when it is malformed. */
static const char *skip_labels(const char *p)
{
    while (*p != '}') {
        const char *equals = strchr(p, '=');
        if (equals == NULL || !name_is_valid(p, (size_t)(equals - p)) || equals[1] != '"')
            return NULL;
        for (p = equals + 2; *p != '"'; p++) {
            if (*p == '\0' || *p == '\n')
                return NULL;
            if (*p == '\\' && strchr("\\\"n", *++p) == NULL)
                return NULL;
        }
        p++;
        if (*p == ',')
            p++;
        else if (*p != '}')
            return NULL;
    }
    return p + 1;
}

static void check_sample(const char *line, const char *family)
{
    size_t name = strcspn(line, "{ ");
    const char *rest = line + name;
    char *end;

    if (!name_is_valid(line, name) || strncmp(line, family, strlen(family)) != 0)
        fail_msg("not of family %s: %s", family, line);
    if (*rest == '{')
        rest = skip_labels(rest + 1);
    if (rest == NULL || *rest != ' ')
        fail_msg("labels: %s", line);
    (void)strtod(rest + 1, &end);
    if (end == rest + 1 || *end != '\0')
        fail_msg("value: %s", line);
}

static void the_page_parses_and_describes_each_family_once(void **state)
{
    struct fake fake = {.homeless = 1};
    char *page = render(&fake), *save = NULL, family[128] = "", seen[8192] = " ";

    (void)state;
    assert_int_equal(page[strlen(page) - 1], '\n');
    for (char *line = strtok_r(page, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            snprintf(family, sizeof(family), " %.*s ", (int)strcspn(line + 7, " "), line + 7);
            if (strstr(seen, family) != NULL)
                fail_msg("twice: %s", line);
            strcat(seen, family + 1);
            snprintf(family, sizeof(family), "%.*s", (int)strcspn(line + 7, " "), line + 7);
            line = strtok_r(NULL, "\n", &save);
            assert_memory_equal(line, "# TYPE ", 7);
            assert_memory_equal(line + 7, family, strlen(family));
        } else {
            check_sample(line, family);
        }
    }
    assert_has(seen, " process_resident_memory_bytes ");
    free(page);
}

static void the_process_is_alive(void **state)
{
    struct process_stats s;

    (void)state;
    process_read(&s);
    assert_true(s.resident_bytes > 100000);
    assert_true(s.open_fds >= 3 && s.open_fds <= s.max_fds);
    assert_true(s.start_time > 1.6e9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_escaped),
        cmocka_unit_test(numbers_of_the_parts),
        cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(times_of_streams_begin_with_the_first),
        cmocka_unit_test(attempts_without_an_endpoint_never_fall),
        cmocka_unit_test(the_page_parses_and_describes_each_family_once),
        cmocka_unit_test(the_process_is_alive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
