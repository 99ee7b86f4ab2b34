/* The status page. Numbers that are not known print as "-"; nothing is made up from what is
 * missing. */
#include "cli/status_text.h"

#include <stdio.h>
#include <stdlib.h>

#include "analysis/outcome.h"
#include "base/clock.h"
#include "base/units.h"
#include "cli/member.h"
#include "cli/output.h"

enum { BAR_WIDTH = 10, CELL_TEXT_MAX = 96 };

/* Evidence so far below the threshold that it is no number anyone reads (docs/api.md). */
static const double evidence_floor = -1e8;

struct page {
    const json_t *doc;
    struct strbuf *out;
    bool colours;
};

static void add(struct page *p, enum colour colour, const char *text)
{
    output_add(p->out, p->colours, colour, str_from(text));
}

static const char *or_dash(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

/* Whole seconds from a minute on, so that a page does not flicker. */
static char *seconds_text(double seconds, char to[static UNITS_TEXT_MAX])
{
    double rounded = seconds < 0 ? 0 : seconds > 3e8 ? 3e8 : seconds;

    return units_duration_text((int64_t)(rounded + 0.5) * NS_PER_SEC, to);
}

static char *ms_text(double ms, char to[static UNITS_TEXT_MAX])
{
    if (ms < 0 || ms > 1e12) {
        str_copy(to, UNITS_TEXT_MAX, STR("-"));
        return to;
    }
    if (ms < 10)
        snprintf(to, UNITS_TEXT_MAX, "%.2gms", ms);
    else if (ms < 1000)
        snprintf(to, UNITS_TEXT_MAX, "%.0fms", ms);
    else if (ms < 60000)
        snprintf(to, UNITS_TEXT_MAX, "%.3gs", ms / 1000);
    else
        seconds_text(ms / 1000, to);
    return to;
}

/* Three digits: more would claim what nobody measured. */
static char *share_text(double share, char to[static UNITS_TEXT_MAX])
{
    char digits[UNITS_TEXT_MAX];

    snprintf(digits, sizeof(digits), "%.3g", share);
    return units_share_text(strtod(digits, NULL), to);
}

static enum colour phase_colour(const char *phase)
{
    static const struct {
        const char *phase;
        enum colour colour;
    } rows[] = {
        {"promoted", COLOUR_GREEN}, {"progressing", COLOUR_GREEN},
        {"baking", COLOUR_GREEN},   {"rolled_back", COLOUR_RED},
        {"paused", COLOUR_YELLOW},  {"awaiting_approval", COLOUR_YELLOW},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].phase, phase) == 0)
            return rows[i].colour;
    return COLOUR_NONE;
}

static enum colour verdict_colour(const char *verdict)
{
    return strcmp(verdict, "pass") == 0   ? COLOUR_GREEN
           : strcmp(verdict, "fail") == 0 ? COLOUR_RED
                                          : COLOUR_YELLOW;
}

/* --- header and plan --- */

static void add_header(struct page *p)
{
    const char *canary = member_text(p->doc, "canary"), *phase = member_text(p->doc, "phase");
    double step = member_number(p->doc, "step", 0);

    add(p, COLOUR_BOLD, member_text(p->doc, "rollout"));
    strbuf_add(p->out, STR("  "));
    add(p, phase_colour(phase), or_dash(phase));
    if (step > 0)
        strbuf_addf(p->out, "  step %.0f of %.0f", step, member_number(p->doc, "steps", 0));
    if (canary[0] != '\0')
        strbuf_addf(p->out, "  %.6g%% to the canary", member_number(p->doc, "weight", 0));
    if (strcmp(member_text(p->doc, "mode"), "observe") == 0)
        add(p, COLOUR_YELLOW, "  observe only: nothing is moved");
    if (member_true(p->doc, "frozen"))
        add(p, COLOUR_YELLOW, "  frozen: no step up");
    strbuf_add(p->out, STR("\n  stable "));
    add(p, COLOUR_NONE, or_dash(member_text(p->doc, "stable")));
    strbuf_add(p->out, STR(", canary "));
    add(p, COLOUR_NONE, canary[0] == '\0' ? "none" : canary);
    if (member_text(p->doc, "serving")[0] != '\0') {
        strbuf_add(p->out, STR(", serving "));
        add(p, COLOUR_NONE, member_text(p->doc, "serving"));
    }
    strbuf_add_char(p->out, '\n');
}

static void add_bar(struct page *p)
{
    double held = member_number(p->doc, "held_seconds", 0);
    double hold = member_number(p->doc, "hold_seconds", 0);
    char held_text[UNITS_TEXT_MAX], hold_text[UNITS_TEXT_MAX];
    int full = hold > 0 ? (int)(held / hold * BAR_WIDTH) : BAR_WIDTH;

    strbuf_add_char(p->out, ' ');
    for (int i = 0; i < BAR_WIDTH; i++)
        strbuf_add(p->out, i < full ? STR("█") : STR("░"));
    strbuf_addf(p->out, " %s of %s", seconds_text(held, held_text), seconds_text(hold, hold_text));
}

/* "✓ 10% ─ ▸ 25% ███░░░░░░░ 3m of 10m ─ 50% ─ 100%" */
static void add_plan(struct page *p)
{
    const json_t *plan = member_get(p->doc, "plan"), *step;
    const char *phase = member_text(p->doc, "phase");
    size_t at = (size_t)member_number(p->doc, "step", 0), i;
    bool promoted = strcmp(phase, "promoted") == 0, back = strcmp(phase, "rolled_back") == 0;

    if (json_array_size(plan) == 0 || member_text(p->doc, "canary")[0] == '\0')
        return;
    strbuf_add(p->out, STR("  plan  "));
    json_array_foreach(plan, i, step)
    {
        char text[32];
        bool current = i + 1 == at && !promoted;
        snprintf(text, sizeof(text), "%.6g%%", member_number(step, "weight", 0));
        if (i > 0)
            add(p, COLOUR_DIM, " ─ ");
        if (current && back)
            add(p, COLOUR_RED, "✗ ");
        else if (current)
            add(p, COLOUR_BOLD, "▸ ");
        else if (promoted || i + 1 < at)
            add(p, COLOUR_GREEN, "✓ ");
        add(p, current ? COLOUR_BOLD : COLOUR_NONE, text);
        if (current && !back)
            add_bar(p);
    }
    strbuf_add_char(p->out, '\n');
}

/* "to 25%: 812 more requests and 4m" */
static void add_next(struct page *p)
{
    const char *text = member_text(p->doc, "next.text"),
               *action = member_text(p->doc, "next.action");

    if (text[0] == '\0')
        return;
    strbuf_add(p->out, STR("  next  "));
    if (strcmp(action, "step") == 0)
        strbuf_addf(p->out, "to %.6g%%: ", member_number(p->doc, "next.weight", 0));
    else if (strcmp(action, "promote") == 0)
        strbuf_add(p->out, STR("promotion: "));
    add(p, COLOUR_NONE, text);
    strbuf_add_char(p->out, '\n');
}

/* Decided: nothing more is asked of the canary, and nothing more threatens it. */
static bool is_over(const struct page *p)
{
    const char *phase = member_text(p->doc, "phase");

    return strcmp(phase, "rolled_back") == 0 || strcmp(phase, "promoted") == 0;
}

/* Only while it fails without a break: otherwise there is nothing to see. */
static void add_hard_down(struct page *p)
{
    char time[UNITS_TEXT_MAX];
    double failures = member_number(p->doc, "hard_down.failures", 0);

    if (failures < 2)
        return;
    strbuf_add(p->out, STR("  down  "));
    snprintf(time, sizeof(time), "%.0f", failures);
    add(p, COLOUR_RED, time);
    add(p, COLOUR_RED, " failures in a row");
    strbuf_addf(p->out, " over %s",
                seconds_text(member_number(p->doc, "hard_down.seconds", 0), time));
    if (!is_over(p))
        strbuf_addf(p->out, "; from %.0f on it may be taken back at once",
                    member_number(p->doc, "hard_down.limit", 0));
    strbuf_add_char(p->out, '\n');
}

/* --- criteria --- */

static char *share_or_dash(const json_t *o, const char *key, char to[static UNITS_TEXT_MAX])
{
    double value = member_number(o, key, -1);

    if (value < 0 || value > 1)
        str_copy(to, UNITS_TEXT_MAX, STR("-"));
    else
        share_text(value, to);
    return to;
}

/* "0.21% (0.05% to 0.6%)"; for latency "412ms, 0.4% over (0.1% to 1.2%)". */
static void value_cell(struct table *t, const json_t *o, const char *observed_key,
                       enum colour colour)
{
    char value[UNITS_TEXT_MAX], lower[UNITS_TEXT_MAX], upper[UNITS_TEXT_MAX];
    char observed[UNITS_TEXT_MAX] = "", bounds[CELL_TEXT_MAX] = "";
    bool latency = member_has_number(o, observed_key);

    share_or_dash(o, "value", value);
    if (strcmp(value, "-") == 0) {
        table_cell(t, COLOUR_NONE, "-");
        return;
    }
    if (member_has_number(o, "lower") && member_has_number(o, "upper"))
        snprintf(bounds, sizeof(bounds), " (%s to %s)", share_or_dash(o, "lower", lower),
                 share_or_dash(o, "upper", upper));
    if (latency)
        table_cell(t, colour, "%s, %s over%s",
                   ms_text(member_number(o, observed_key, -1), observed), value, bounds);
    else
        table_cell(t, colour, "%s%s", value, bounds);
}

static void limit_cell(struct table *t, const json_t *c)
{
    char text[UNITS_TEXT_MAX];

    if (member_has_number(c, "limit_ms"))
        table_cell(t, COLOUR_NONE, "%s", ms_text(member_number(c, "limit_ms", -1), text));
    else if (strcmp(member_text(c, "test"), "max_increase") == 0)
        table_cell(t, COLOUR_NONE, "+%s", share_or_dash(c, "limit", text));
    else
        table_cell(t, COLOUR_NONE, "%s", share_or_dash(c, "limit", text));
}

static void evidence_cell(struct table *t, const json_t *c)
{
    double evidence = member_number(c, "evidence", -1e9);
    double threshold = member_number(c, "threshold", 0);

    if (!member_has_number(c, "threshold"))
        table_cell(t, COLOUR_NONE, "-");
    else if (evidence <= evidence_floor)
        table_cell(t, COLOUR_NONE, "none of %.1f", threshold);
    else
        table_cell(t, evidence >= threshold ? COLOUR_RED : COLOUR_NONE, "%.1f of %.1f", evidence,
                   threshold);
}

/* What is still missing to say that the canary keeps the limit. */
static void no_harm_cell(const struct page *p, struct table *t, const json_t *c)
{
    char more[COUNT_TEXT_MAX];

    if (!member_has_number(c, "no_harm"))
        table_cell(t, COLOUR_NONE, "-");
    else if (member_number(c, "no_harm", 0) >= member_number(c, "no_harm_threshold", 0))
        table_cell(t, COLOUR_GREEN, "shown");
    else if (is_over(p))
        table_cell(t, COLOUR_NONE, "not shown");
    else if (member_has_number(c, "requests_more"))
        table_cell(t, COLOUR_NONE, "%s more",
                   output_count(member_number(c, "requests_more", 0), more));
    else
        table_cell(t, COLOUR_NONE, "not yet");
}

static void add_criteria(struct page *p)
{
    static const char *const headings[] = {"criterion", "verdict",  "canary",   "stable",
                                           "limit",     "requests", "evidence", "no harm"};
    static const enum align aligns[] = {ALIGN_LEFT,  ALIGN_LEFT,  ALIGN_LEFT,  ALIGN_LEFT,
                                        ALIGN_RIGHT, ALIGN_RIGHT, ALIGN_RIGHT, ALIGN_RIGHT};
    const json_t *criteria = member_get(p->doc, "criteria"), *c;
    char requests[COUNT_TEXT_MAX];
    size_t i;

    if (json_array_size(criteria) == 0 || member_text(p->doc, "canary")[0] == '\0')
        return;
    struct table *t = table_new(headings, aligns, 8);
    json_array_foreach(criteria, i, c)
    {
        const char *verdict = member_text(c, "verdict");
        bool failed = strcmp(verdict, "fail") == 0;
        table_cell(t, COLOUR_NONE, "%s", or_dash(member_text(c, "name")));
        table_cell(t, verdict_colour(verdict), "%s", or_dash(verdict));
        value_cell(t, c, "observed_ms", failed ? COLOUR_RED : COLOUR_NONE);
        value_cell(t, member_get(c, "stable"), "observed_ms", COLOUR_NONE);
        limit_cell(t, c);
        table_cell(t, COLOUR_NONE, "%s", output_count(member_number(c, "requests", 0), requests));
        evidence_cell(t, c);
        no_harm_cell(p, t, c);
    }
    strbuf_add_char(p->out, '\n');
    table_print(t, p->out, p->colours, 2);
    table_free(t);
}

/* --- traffic --- */

static void traffic_row(struct page *p, struct table *t, const char *variant)
{
    static const char *const quantiles[] = {"latency_ms.p50", "latency_ms.p90", "latency_ms.p99"};
    char path[64], count[COUNT_TEXT_MAX], share[UNITS_TEXT_MAX], time[UNITS_TEXT_MAX];
    snprintf(path, sizeof(path), "traffic.%s", variant);
    const json_t *v = member_get(p->doc, path);
    double requests = member_number(v, "requests", 0), errors = member_number(v, "errors", 0);

    if (v == NULL)
        return;
    table_cell(t, COLOUR_NONE, "%s", variant);
    table_cell(t, COLOUR_NONE, "%s", or_dash(member_text(v, "version")));
    table_cell(t, COLOUR_NONE, "%s", output_count(requests, count));
    if (member_has_number(v, "requests_per_second"))
        table_cell(t, COLOUR_NONE, "%.1f", member_number(v, "requests_per_second", 0));
    else
        table_cell(t, COLOUR_NONE, "-");
    if (errors > 0 && requests > 0)
        table_cell(t, COLOUR_RED, "%s (%s)", output_count(errors, count),
                   share_text(errors > requests ? 1 : errors / requests, share));
    else
        table_cell(t, COLOUR_NONE, "%s", output_count(errors, count));
    for (size_t i = 0; i < 3; i++)
        table_cell(t, COLOUR_NONE, "%s", ms_text(member_number(v, quantiles[i], -1), time));
}

/* "40 5xx, 3 connect": how first attempts ended that did not end well. */
static void add_outcomes(const json_t *variant, struct strbuf *note)
{
    char path[64], number[COUNT_TEXT_MAX];

    for (int k = 0; k < OUTCOME_KIND_COUNT; k++) {
        snprintf(path, sizeof(path), "outcomes.%s", outcome_names[k]);
        double n = member_number(variant, path, 0);
        if (k != OUTCOME_OK && n > 0)
            strbuf_addf(note, "%s%s %s", note->len > 0 ? ", " : "", output_count(n, number),
                        outcome_names[k]);
    }
}

/* "  canary: 40 5xx; 3 retries, 12 shielded by stable; first token p50 120ms, p95 400ms": what most
 * traffic has none of, and then there is no line. */
static void add_traffic_note(struct page *p, const char *variant)
{
    static const struct {
        const char *key, *text;
    } rows[] = {
        {"retries", "retries"},
        {"shielded", "shielded by stable"},
        {"voided", "charged to nobody"},
    };
    char path[64], number[COUNT_TEXT_MAX], p50[UNITS_TEXT_MAX], p95[UNITS_TEXT_MAX];
    struct strbuf note;

    strbuf_init(&note, 1024);
    snprintf(path, sizeof(path), "traffic.%s", variant);
    const json_t *v = member_get(p->doc, path);
    add_outcomes(v, &note);
    const char *separator = note.len > 0 ? "; " : "";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (member_number(v, rows[i].key, 0) <= 0)
            continue;
        strbuf_addf(&note, "%s%s %s", separator,
                    output_count(member_number(v, rows[i].key, 0), number), rows[i].text);
        separator = ", ";
    }
    if (member_has_number(v, "first_token_ms.p50"))
        strbuf_addf(&note, "%sfirst token p50 %s, p95 %s", note.len > 0 ? "; " : "",
                    ms_text(member_number(v, "first_token_ms.p50", -1), p50),
                    ms_text(member_number(v, "first_token_ms.p95", -1), p95));
    if (note.len > 0)
        strbuf_addf(p->out, "  %s: %s\n", variant, strbuf_cstr(&note));
    strbuf_deinit(&note);
}

static void add_traffic(struct page *p)
{
    static const char *const headings[] = {"traffic", "version", "requests", "req/s",
                                           "errors",  "p50",     "p90",      "p99"};
    static const enum align aligns[] = {ALIGN_LEFT,  ALIGN_LEFT,  ALIGN_RIGHT, ALIGN_RIGHT,
                                        ALIGN_RIGHT, ALIGN_RIGHT, ALIGN_RIGHT, ALIGN_RIGHT};

    if (member_get(p->doc, "traffic") == NULL)
        return;
    struct table *t = table_new(headings, aligns, 8);
    traffic_row(p, t, "stable");
    traffic_row(p, t, "canary");
    strbuf_add_char(p->out, '\n');
    table_print(t, p->out, p->colours, 2);
    table_free(t);
    add_traffic_note(p, "stable");
    add_traffic_note(p, "canary");
}

/* --- problems and the last decision --- */

static void add_problems(struct page *p)
{
    const json_t *problems = member_get(p->doc, "problems"), *one;
    size_t i;

    if (json_array_size(problems) > 0)
        strbuf_add_char(p->out, '\n');
    json_array_foreach(problems, i, one)
    {
        const char *text =
            json_is_string(one) ? json_string_value(one) : member_text(one, "detail");
        strbuf_add(p->out, STR("  problem  "));
        add(p, COLOUR_YELLOW, text[0] == '\0' ? member_text(one, "title") : text);
        strbuf_add_char(p->out, '\n');
    }
}

static void add_decision(struct page *p)
{
    const json_t *decision = member_get(p->doc, "decision");
    const char *time = member_text(decision, "time"), *event = member_text(decision, "type");

    if (decision == NULL)
        return;
    /* 2026-11-20T18:49:12.345Z: the seconds are enough. */
    size_t whole = strcspn(time, ".");
    strbuf_add(p->out, STR("\n  last  "));
    output_add(p->out, p->colours, COLOUR_DIM, (struct str){time, whole});
    strbuf_addf(p->out, "%s ", time[whole] == '.' ? "Z" : "");
    add(p, COLOUR_NONE, member_text(decision, "id"));
    strbuf_add_char(p->out, ' ');
    add(p, strstr(event, "rolled_back") != NULL ? COLOUR_RED : COLOUR_BOLD, event);
    if (member_text(decision, "reason")[0] != '\0') {
        strbuf_add(p->out, STR(": "));
        add(p, COLOUR_NONE, member_text(decision, "reason"));
    }
    strbuf_add_char(p->out, '\n');
}

void status_render(const json_t *document, bool colours, struct strbuf *out)
{
    struct page p = {.doc = document, .out = out, .colours = colours};

    add_header(&p);
    add_plan(&p);
    add_next(&p);
    add_hard_down(&p);
    add_criteria(&p);
    add_traffic(&p);
    add_problems(&p);
    add_decision(&p);
}

void status_render_list(const json_t *documents, bool colours, struct strbuf *out)
{
    static const char *const headings[] = {"rollout", "phase",  "step", "weight",
                                           "stable",  "canary", "next"};
    static const enum align aligns[] = {ALIGN_LEFT, ALIGN_LEFT, ALIGN_RIGHT, ALIGN_RIGHT,
                                        ALIGN_LEFT, ALIGN_LEFT, ALIGN_LEFT};
    struct table *t = table_new(headings, aligns, 7);
    const json_t *d;
    size_t i;

    json_array_foreach(documents, i, d)
    {
        const char *phase = member_text(d, "phase");
        table_cell(t, COLOUR_BOLD, "%s", or_dash(member_text(d, "rollout")));
        table_cell(t, phase_colour(phase), "%s", or_dash(phase));
        table_cell(t, COLOUR_NONE, "%.0f/%.0f", member_number(d, "step", 0),
                   member_number(d, "steps", 0));
        table_cell(t, COLOUR_NONE, "%.6g%%", member_number(d, "weight", 0));
        table_cell(t, COLOUR_NONE, "%s", or_dash(member_text(d, "stable")));
        table_cell(t, COLOUR_NONE, "%s", or_dash(member_text(d, "canary")));
        table_cell(t, COLOUR_NONE, "%s", member_text(d, "next.text"));
    }
    if (json_array_size(documents) == 0)
        strbuf_add(out, STR("no rollouts\n"));
    else
        table_print(t, out, colours, 0);
    table_free(t);
}
