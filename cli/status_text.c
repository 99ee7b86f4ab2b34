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
#include "cli/status_page.h"

enum { BAR_WIDTH = 10 };

static void add(struct status_page *p, enum colour colour, const char *text)
{
    output_add(p->out, p->colours, colour, str_from(text));
}

const char *status_or_dash(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

/* Whole seconds from a minute on, so that a page does not flicker. */
static char *seconds_text(double seconds, char to[static UNITS_TEXT_MAX])
{
    double rounded = seconds < 0 ? 0 : seconds > 3e8 ? 3e8 : seconds;

    return units_duration_text((int64_t)(rounded + 0.5) * NS_PER_SEC, to);
}

char *status_ms_text(double ms, char to[static UNITS_TEXT_MAX])
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
char *status_share_text(double share, char to[static UNITS_TEXT_MAX])
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

/* --- header and plan --- */

static void add_header(struct status_page *p)
{
    const char *canary = member_text(p->doc, "canary"), *phase = member_text(p->doc, "phase");
    double step = member_number(p->doc, "step", 0);

    add(p, COLOUR_BOLD, member_text(p->doc, "rollout"));
    strbuf_add(p->out, STR("  "));
    add(p, phase_colour(phase), status_or_dash(phase));
    if (step > 0)
        strbuf_addf(p->out, "  step %.0f of %.0f", step, member_number(p->doc, "steps", 0));
    if (canary[0] != '\0')
        strbuf_addf(p->out, "  %.6g%% to the canary", member_number(p->doc, "weight", 0));
    if (strcmp(member_text(p->doc, "mode"), "observe") == 0)
        add(p, COLOUR_YELLOW, "  observe only: nothing is moved");
    if (member_true(p->doc, "frozen"))
        add(p, COLOUR_YELLOW, "  frozen: no step up");
    strbuf_add(p->out, STR("\n  stable "));
    add(p, COLOUR_NONE, status_or_dash(member_text(p->doc, "stable")));
    strbuf_add(p->out, STR(", canary "));
    add(p, COLOUR_NONE, canary[0] == '\0' ? "none" : canary);
    if (member_text(p->doc, "serving")[0] != '\0') {
        strbuf_add(p->out, STR(", serving "));
        add(p, COLOUR_NONE, member_text(p->doc, "serving"));
    }
    strbuf_add_char(p->out, '\n');
}

static void add_bar(struct status_page *p)
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
static void add_plan(struct status_page *p)
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
static void add_next(struct status_page *p)
{
    const char *text = member_text(p->doc, "next.text"),
               *action = member_text(p->doc, "next.action");

    if (text[0] == '\0')
        return;
    strbuf_add(p->out, STR("  next  "));
    if (strcmp(action, "step") == 0)
        strbuf_addf(p->out, "to %.6g%%: ", member_number(p->doc, "next.weight", 0));
    else if (strcmp(action, "bake") == 0)
        strbuf_add(p->out, STR("bake: "));
    else if (strcmp(action, "promote") == 0)
        strbuf_add(p->out, STR("promotion: "));
    add(p, COLOUR_NONE, text);
    strbuf_add_char(p->out, '\n');
}

/* "  sent back  visit 2 of 3; asked again in 24s (first: 9 of 47 requests failed)" */
static void add_retreat(struct status_page *p)
{
    const json_t *r = member_get(p->doc, "retreat"), *seen = member_get(r, "seen"), *one;
    char time[UNITS_TEXT_MAX];
    size_t i;

    if (!json_is_object(r))
        return;
    strbuf_add(p->out, STR("  "));
    add(p, COLOUR_RED, "sent back");
    strbuf_addf(p->out, "  found bad on %.0f of %.0f visits", member_number(r, "visit", 0),
                member_number(r, "visits", 0));
    json_array_foreach(seen, i, one)
    {
        strbuf_addf(p->out, "%s%.0f of %.0f bad", i == 0 ? " (" : ", ",
                    member_number(one, "bad", 0), member_number(one, "requests", 0));
    }
    strbuf_add(p->out, i > 0 ? STR(")") : STR(""));
    if (member_true(r, "probing"))
        strbuf_addf(p->out, "; is asked again now");
    else if (!json_is_number(member_get(r, "asked_in_seconds")))
        strbuf_addf(p->out, "; is asked again after `resume`");
    else
        strbuf_addf(p->out, "; is asked again in %s",
                    seconds_text(member_number(r, "asked_in_seconds", 0), time));
    strbuf_addf(p->out, ", and was at %.6g%%\n", member_number(r, "weight_before", 0));
}

/* Decided: nothing more is asked of the canary, and nothing more threatens it. */
bool status_is_over(const struct status_page *p)
{
    const char *phase = member_text(p->doc, "phase");

    return strcmp(phase, "rolled_back") == 0 || strcmp(phase, "promoted") == 0;
}

/* Only while it fails without a break: otherwise there is nothing to see. */
static void add_hard_down(struct status_page *p)
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
    if (!status_is_over(p))
        strbuf_addf(p->out, "; from %.0f on it may be taken back at once",
                    member_number(p->doc, "hard_down.limit", 0));
    strbuf_add_char(p->out, '\n');
}

/* --- traffic --- */

static void traffic_row(struct status_page *p, struct table *t, const char *variant)
{
    static const char *const quantiles[] = {"latency_ms.p50", "latency_ms.p90", "latency_ms.p99"};
    char path[64], count[COUNT_TEXT_MAX], share[UNITS_TEXT_MAX], time[UNITS_TEXT_MAX];
    snprintf(path, sizeof(path), "traffic.%s", variant);
    const json_t *v = member_get(p->doc, path);
    double requests = member_number(v, "requests", 0), errors = member_number(v, "errors", 0);

    if (v == NULL)
        return;
    table_cell(t, COLOUR_NONE, "%s", variant);
    table_cell(t, COLOUR_NONE, "%s", status_or_dash(member_text(v, "version")));
    table_cell(t, COLOUR_NONE, "%s", output_count(requests, count));
    if (member_has_number(v, "requests_per_second"))
        table_cell(t, COLOUR_NONE, "%.1f", member_number(v, "requests_per_second", 0));
    else
        table_cell(t, COLOUR_NONE, "-");
    if (errors > 0 && requests > 0)
        table_cell(t, COLOUR_RED, "%s (%s)", output_count(errors, count),
                   status_share_text(errors > requests ? 1 : errors / requests, share));
    else
        table_cell(t, COLOUR_NONE, "%s", output_count(errors, count));
    for (size_t i = 0; i < 3; i++)
        table_cell(t, COLOUR_NONE, "%s", status_ms_text(member_number(v, quantiles[i], -1), time));
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
static void add_traffic_note(struct status_page *p, const char *variant)
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
                    status_ms_text(member_number(v, "first_token_ms.p50", -1), p50),
                    status_ms_text(member_number(v, "first_token_ms.p95", -1), p95));
    if (note.len > 0)
        strbuf_addf(p->out, "  %s: %s\n", variant, strbuf_cstr(&note));
    strbuf_deinit(&note);
}

static void add_traffic(struct status_page *p)
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

static void add_problems(struct status_page *p)
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

static void add_decision(struct status_page *p)
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
    struct status_page p = {.doc = document, .out = out, .colours = colours};

    add_header(&p);
    add_plan(&p);
    add_next(&p);
    add_retreat(&p);
    add_hard_down(&p);
    status_criteria(&p);
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
        table_cell(t, COLOUR_BOLD, "%s", status_or_dash(member_text(d, "rollout")));
        table_cell(t, phase_colour(phase), "%s", status_or_dash(phase));
        table_cell(t, COLOUR_NONE, "%.0f/%.0f", member_number(d, "step", 0),
                   member_number(d, "steps", 0));
        table_cell(t, COLOUR_NONE, "%.6g%%", member_number(d, "weight", 0));
        table_cell(t, COLOUR_NONE, "%s", status_or_dash(member_text(d, "stable")));
        table_cell(t, COLOUR_NONE, "%s", status_or_dash(member_text(d, "canary")));
        table_cell(t, COLOUR_NONE, "%s", member_text(d, "next.text"));
    }
    if (json_array_size(documents) == 0)
        strbuf_add(out, STR("no rollouts\n"));
    else
        table_print(t, out, colours, 0);
    table_free(t);
}
