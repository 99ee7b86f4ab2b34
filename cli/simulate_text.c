/* Rows of figures, a column for each set of rules. What did not happen is a dash, never a zero that
 * could be read as "at once".
 */
#include "cli/simulate_text.h"

#include <math.h>

#include "base/units.h"
#include "cli/output.h"

/* --- cells ------------------------------------------------------------------------------------ */

/* Percent with two digits that say something: 0.00123 → "0.12", 0.99871 → "99.87". */
static double percent(double share)
{
    double value = 100 * share, edge = fmin(value, 100 - value);
    double unit = edge <= 0 ? 1 : pow(10, fmin(floor(log10(edge)) - 1, 0));

    return round(value / unit) * unit;
}

static void share_cell(struct table *t, const struct sim_share *s, enum colour colour)
{
    table_cell(t, s->count > 0 ? colour : COLOUR_NONE, "%.10g%%  [%.10g, %.10g]", percent(s->share),
               percent(s->lower), percent(s->upper));
}

/* 4.37 → "4.4 s", 754 → "12m34s" */
static const char *seconds_text(double s, char to[static UNITS_TEXT_MAX])
{
    if (s < 60)
        snprintf(to, UNITS_TEXT_MAX, "%.1fs", s);
    else
        units_duration_text((int64_t)round(s) * INT64_C(1000000000), to);
    return to;
}

static void seconds_cell(struct table *t, const struct sim_spread *s)
{
    char median[UNITS_TEXT_MAX], p95[UNITS_TEXT_MAX];

    if (s->count == 0)
        table_cell(t, COLOUR_DIM, "-");
    else
        table_cell(t, COLOUR_NONE, "%s / %s", seconds_text(s->median, median),
                   seconds_text(s->p95, p95));
}

static void count_cell(struct table *t, const struct sim_spread *s)
{
    char median[COUNT_TEXT_MAX], p95[COUNT_TEXT_MAX];

    if (s->count == 0)
        table_cell(t, COLOUR_DIM, "-");
    else
        table_cell(t, COLOUR_NONE, "%s / %s", output_count(s->median, median),
                   output_count(s->p95, p95));
}

/* --- the table -------------------------------------------------------------------------------- */

static void share_row(struct table *t, const struct simulate_report *r, const char *name,
                      size_t offset, enum colour colour)
{
    table_cell(t, COLOUR_NONE, "%s", name);
    for (size_t i = 0; i < r->count; i++)
        share_cell(t, (const struct sim_share *)((const char *)&r->columns[i].figures + offset),
                   colour);
}

static void head_row(struct table *t, const struct simulate_report *r, const char *name)
{
    table_cell(t, COLOUR_BOLD, "%s", name);
    for (size_t i = 0; i < r->count; i++)
        table_cell(t, COLOUR_DIM, "median / p95");
}

static void until_rows(struct table *t, const struct simulate_report *r, size_t offset)
{
    static const char *const names[] = {"  time", "  canary requests", "  failed user requests"};

    for (int row = 0; row < 3; row++) {
        table_cell(t, COLOUR_NONE, "%s", names[row]);
        for (size_t i = 0; i < r->count; i++) {
            const struct sim_until *u =
                (const struct sim_until *)((const char *)&r->columns[i].figures + offset);
            if (row == 0)
                seconds_cell(t, &u->s);
            else
                count_cell(t, row == 1 ? &u->requests : &u->failed);
        }
    }
}

#define END_OFFSET(e) (offsetof(struct sim_figures, ends) + (size_t)(e) * sizeof(struct sim_share))

static void render_table(const struct simulate_report *r, bool colours, struct strbuf *out)
{
    const char *headings[SIMULATE_COLUMNS_MAX + 1] = {""};
    enum align align[SIMULATE_COLUMNS_MAX + 1] = {ALIGN_LEFT};

    for (size_t i = 0; i < r->count; i++) {
        headings[i + 1] = r->columns[i].name;
        align[i + 1] = ALIGN_RIGHT;
    }
    struct table *t = table_new(headings, align, r->count + 1);
    share_row(t, r, "reverted", END_OFFSET(SIM_REVERTED), COLOUR_RED);
    share_row(t, r, "promoted", END_OFFSET(SIM_PROMOTED), COLOUR_GREEN);
    share_row(t, r, "undecided", END_OFFSET(SIM_UNDECIDED), COLOUR_YELLOW);
    share_row(t, r, "paused", END_OFFSET(SIM_PAUSED), COLOUR_YELLOW);
    share_row(t, r, "reached the last weight", offsetof(struct sim_figures, reached_full),
              COLOUR_NONE);
    share_row(t, r, "sent back at least once", offsetof(struct sim_figures, sent_back),
              COLOUR_NONE);
    table_cell(t, COLOUR_NONE, "times sent back, mean");
    for (size_t i = 0; i < r->count; i++)
        table_cell(t, COLOUR_NONE, "%.3g", r->columns[i].figures.retreats);
    head_row(t, r, "until traffic was first taken away");
    until_rows(t, r, offsetof(struct sim_figures, down));
    head_row(t, r, "until it was reverted");
    until_rows(t, r, offsetof(struct sim_figures, verdict));
    head_row(t, r, "until it was promoted");
    table_cell(t, COLOUR_NONE, "  time");
    for (size_t i = 0; i < r->count; i++)
        seconds_cell(t, &r->columns[i].figures.promoted_s);
    table_print(t, out, colours, 2);
    table_free(t);
}

static void render_world(const struct simulate_report *r, struct strbuf *out)
{
    const struct sim_spec *s = &r->plan->spec;
    char count[COUNT_TEXT_MAX], a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];

    strbuf_addf(out, "%s: %s rollouts at %g requests/s, seed %llu\n", r->plan->policy.name,
                output_count((double)r->columns[0].figures.rollouts, count), s->rps,
                (unsigned long long)r->seed);
    for (int v = 0; v < VARIANT_COUNT; v++) {
        strbuf_addf(out, "  %s  ", variant_names[v]);
        sim_variant_text(&s->variants[v], out);
        strbuf_add_char(out, '\n');
    }
    if (s->shared.bursts.length_ns > 0)
        strbuf_addf(out, "  both    bursts of %s every %s\n",
                    units_duration_text((int64_t)s->shared.bursts.length_ns, a),
                    units_duration_text((int64_t)s->shared.bursts.every_ns, b));
    if (s->shared.outage.length_ns > 0)
        strbuf_addf(out, "  both    an outage of %s after %s\n",
                    units_duration_text(s->shared.outage.length_ns, a),
                    units_duration_text(s->shared.outage.after_ns, b));
    if (s->shared.swing_ns > 0)
        strbuf_addf(out, "  both    times swing by %s every %s\n",
                    units_share_text(s->shared.swing, a),
                    units_duration_text(s->shared.swing_ns, b));
    strbuf_add_char(out, '\n');
}

static void render_reasons(const struct simulate_report *r, struct strbuf *out)
{
    const struct sim_figures *f = &r->columns[0].figures;
    bool any = false;

    for (int c = CAUSE_NONE + 1; c < CAUSE_COUNT; c++)
        if (f->causes[c] > 0) {
            strbuf_addf(out, "%s%s %zu", any ? ", " : "\n  reverted because of: ", cause_names[c],
                        f->causes[c]);
            any = true;
        }
    if (any)
        strbuf_add_char(out, '\n');
}

void simulate_render(const struct simulate_report *r, bool colours, struct strbuf *out)
{
    render_world(r, out);
    render_table(r, colours, out);
    render_reasons(r, out);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *share_json(const struct sim_share *s)
{
    return json_pack("{s:I, s:f, s:f, s:f}", "count", (json_int_t)s->count, "share", s->share,
                     "lower", s->lower, "upper", s->upper);
}

static json_t *spread_json(const struct sim_spread *s)
{
    return json_pack("{s:I, s:o, s:o, s:o}", "count", (json_int_t)s->count, "median",
                     number(s->median), "p95", number(s->p95), "mean", number(s->mean));
}

static json_t *until_json(const struct sim_until *u)
{
    return json_pack("{s:o, s:o, s:o}", "seconds", spread_json(&u->s), "requests",
                     spread_json(&u->requests), "failed", spread_json(&u->failed));
}

static json_t *column_json(const struct simulate_column *c)
{
    const struct sim_figures *f = &c->figures;
    json_t *o = json_object(), *causes = json_object();
    char digest[32];

    json_object_set_new(o, "rules", json_string(c->name));
    for (int e = 0; e < SIM_END_COUNT; e++)
        json_object_set_new(o, sim_end_names[e], share_json(&f->ends[e]));
    json_object_set_new(o, "reached_last_weight", share_json(&f->reached_full));
    json_object_set_new(o, "sent_back", share_json(&f->sent_back));
    json_object_set_new(o, "times_sent_back", json_real(f->retreats));
    json_object_set_new(o, "until_sent_back", until_json(&f->down));
    json_object_set_new(o, "until_reverted", until_json(&f->verdict));
    json_object_set_new(o, "seconds_until_promoted", spread_json(&f->promoted_s));
    json_object_set_new(o, "failed", spread_json(&f->failed));
    for (int i = CAUSE_NONE + 1; i < CAUSE_COUNT; i++)
        if (f->causes[i] > 0)
            json_object_set_new(causes, cause_names[i], json_integer((json_int_t)f->causes[i]));
    json_object_set_new(o, "causes", causes);
    json_object_set_new(o, "looks", json_real(f->looks));
    json_object_set_new(o, "decisions", json_real(f->decisions));
    json_object_set_new(o, "virtual_seconds", json_real(f->virtual_s));
    snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)f->digest);
    json_object_set_new(o, "digest", json_string(digest));
    return o;
}

json_t *simulate_json(const struct simulate_report *r)
{
    json_t *o = json_object(), *world = json_object(), *columns = json_array();

    json_object_set_new(o, "rollout", json_string(r->plan->policy.name));
    json_object_set_new(o, "rollouts", json_integer((json_int_t)r->columns[0].figures.rollouts));
    json_object_set_new(o, "seed", json_integer((json_int_t)r->seed));
    json_object_set_new(world, "rps", json_real(r->plan->spec.rps));
    json_object_set_new(world, "watch_seconds", json_real(r->watch_s));
    for (int v = 0; v < VARIANT_COUNT; v++) {
        struct strbuf text;
        strbuf_init(&text, 4096);
        sim_variant_text(&r->plan->spec.variants[v], &text);
        json_object_set_new(world, variant_names[v], json_string(strbuf_cstr(&text)));
        strbuf_deinit(&text);
    }
    json_object_set_new(o, "world", world);
    for (size_t i = 0; i < r->count; i++)
        json_array_append_new(columns, column_json(&r->columns[i]));
    json_object_set_new(o, "results", columns);
    return o;
}
