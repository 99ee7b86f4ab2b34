/* The criteria of the status page: what each has seen, its limit, and what is missing. */
#include <stdio.h>

#include "cli/member.h"
#include "cli/status_page.h"

enum { CELL_TEXT_MAX = 96 };

/* Evidence so far below the threshold that it is no number anyone reads (docs/api.md). */
static const double evidence_floor = -1e8;

static enum colour verdict_colour(const char *verdict)
{
    return strcmp(verdict, "pass") == 0   ? COLOUR_GREEN
           : strcmp(verdict, "fail") == 0 ? COLOUR_RED
                                          : COLOUR_YELLOW;
}

static char *share_or_dash(const json_t *o, const char *key, char to[static UNITS_TEXT_MAX])
{
    double value = member_number(o, key, -1);

    if (value < 0 || value > 1)
        str_copy(to, UNITS_TEXT_MAX, STR("-"));
    else
        status_share_text(value, to);
    return to;
}

/* How far the canary's values are from stable's: "psi 0.34"; "-" while there are too few. */
static void shift_cell(struct table *t, const json_t *c, enum colour colour)
{
    const char *test = member_text(c, "shift.test");
    bool psi = strcmp(test, "psi") == 0;
    const char *key = psi ? "shift.psi_without_noise" : "shift.ks"; /* what `max` is of */

    if (member_has_number(c, key))
        table_cell(t, colour, "%s %.3g", test, member_number(c, key, 0));
    else
        table_cell(t, COLOUR_NONE, "%.0f values of %.0f answers",
                   member_number(c, "shift.values", 0), member_number(c, "shift.looked_at", 0));
}

/* "0.21% (0.05% to 0.6%)"; for latency "412ms, 0.4% over (0.1% to 1.2%)". `over` says over what. */
static void value_cell(struct table *t, const json_t *o, const char *observed_key, const char *over,
                       enum colour colour)
{
    char value[UNITS_TEXT_MAX], lower[UNITS_TEXT_MAX], upper[UNITS_TEXT_MAX];
    char observed[UNITS_TEXT_MAX] = "", bounds[CELL_TEXT_MAX] = "";
    bool latency = member_has_number(o, observed_key);

    share_or_dash(o, "value", value);
    if (member_get(o, "shift") != NULL) {
        shift_cell(t, o, colour);
        return;
    }
    if (strcmp(value, "-") == 0) {
        table_cell(t, COLOUR_NONE, "-");
        return;
    }
    if (member_has_number(o, "lower") && member_has_number(o, "upper"))
        snprintf(bounds, sizeof(bounds), " (%s to %s)", share_or_dash(o, "lower", lower),
                 share_or_dash(o, "upper", upper));
    if (latency)
        table_cell(t, colour, "%s, %s %s%s",
                   status_ms_text(member_number(o, observed_key, -1), observed), value, over,
                   bounds);
    else
        table_cell(t, colour, "%s%s", value, bounds);
}

static void stable_cell(struct table *t, const json_t *c)
{
    char count[COUNT_TEXT_MAX];
    /* What is compared: the canary over 1.3 times stable's p90 with stable over its own. */
    const char *over = strcmp(member_text(c, "test"), "max_ratio") == 0 ? "over x1" : "over";

    if (json_is_object(member_get(c, "shift")))
        table_cell(t, COLOUR_NONE, "%s values",
                   output_count(member_number(c, "shift.stable_values", 0), count));
    else
        value_cell(t, member_get(c, "stable"), "observed_ms", over, COLOUR_NONE);
}

/* "500ms"; "x1.3: 1.2s" where it follows stable; "+0.5%"; "x1.5"; "psi 0.2"; "0.6% frozen", and of
 * times "15% over 1.2s frozen", where stable's traffic has ended. */
static void limit_cell(struct table *t, const json_t *c)
{
    char text[UNITS_TEXT_MAX], allowed[UNITS_TEXT_MAX];
    const char *test = member_text(c, "test");
    double limit = member_number(c, "limit", 0);

    if (member_true(c, "frozen") && member_has_number(c, "limit_ms"))
        table_cell(t, COLOUR_NONE, "%s over %s frozen", share_or_dash(c, "allowed", allowed),
                   status_ms_text(member_number(c, "limit_ms", -1), text));
    else if (member_true(c, "frozen"))
        table_cell(t, COLOUR_NONE, "%s frozen", share_or_dash(c, "allowed", allowed));
    else if (strcmp(test, "max_ratio") == 0 && member_has_number(c, "limit_ms"))
        table_cell(t, COLOUR_NONE, "x%.3g: %s", limit,
                   status_ms_text(member_number(c, "limit_ms", -1), text));
    else if (member_has_number(c, "limit_ms"))
        table_cell(t, COLOUR_NONE, "%s", status_ms_text(member_number(c, "limit_ms", -1), text));
    else if (strcmp(test, "max_ratio") == 0)
        table_cell(t, COLOUR_NONE, "x%.3g", limit);
    else if (strcmp(test, "shift") == 0)
        table_cell(t, COLOUR_NONE, "%s %.3g", member_text(c, "shift.test"), limit);
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
static void no_harm_cell(const struct status_page *p, struct table *t, const json_t *c)
{
    char more[COUNT_TEXT_MAX];

    if (!member_has_number(c, "no_harm"))
        table_cell(t, COLOUR_NONE, "-");
    else if (member_number(c, "no_harm", 0) >= member_number(c, "no_harm_threshold", 0))
        table_cell(t, COLOUR_GREEN, "shown");
    else if (status_is_over(p))
        table_cell(t, COLOUR_NONE, "not shown");
    else if (member_has_number(c, "requests_more"))
        table_cell(t, COLOUR_NONE, "%s more",
                   output_count(member_number(c, "requests_more", 0), more));
    else
        table_cell(t, COLOUR_NONE, "not yet");
}

void status_criteria(struct status_page *p)
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
        table_cell(t, COLOUR_NONE, "%s", status_or_dash(member_text(c, "name")));
        table_cell(t, verdict_colour(verdict), "%s", status_or_dash(verdict));
        value_cell(t, c, "observed_ms", "over", failed ? COLOUR_RED : COLOUR_NONE);
        stable_cell(t, c);
        limit_cell(t, c);
        table_cell(t, COLOUR_NONE, "%s", output_count(member_number(c, "requests", 0), requests));
        evidence_cell(t, c);
        no_harm_cell(p, t, c);
    }
    strbuf_add_char(p->out, '\n');
    table_print(t, p->out, p->colours, 2);
    table_free(t);
}
