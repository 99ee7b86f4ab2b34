/* Words first, then tables: whoever is woken reads the first lines and decides whether the rest is
 * needed. Times are times of the day in UTC; the date stands once, at the top.
 */
#include "cli/explain_text.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "cli/member.h"
#include "cli/output.h"
#include "cli/status_page.h"

enum { TIME_TEXT_MAX = 40, REASON_CUT = 72 };

static void add(struct status_page *p, enum colour colour, const char *text)
{
    output_add(p->out, p->colours, colour, str_from(text));
}

/* "2026-11-20T18:49:12.345Z" → "18:49:12"; with tenths when they matter. */
static char *clock_text(const char *time, bool tenths, char to[static TIME_TEXT_MAX])
{
    size_t len = strlen(time);

    if (len < 21 || time[10] != 'T')
        str_copy(to, TIME_TEXT_MAX, STR("-"));
    else
        str_copy(to, TIME_TEXT_MAX, (struct str){time + 11, tenths ? 10 : 8});
    return to;
}

static enum colour type_colour(const char *type)
{
    if (strcmp(type, "rollout.rolled_back") == 0 || strcmp(type, "canary.retreated") == 0 ||
        strcmp(type, "criterion.failed") == 0)
        return COLOUR_RED;
    return strcmp(type, "rollout.promoted") == 0 || strcmp(type, "canary.cleared") == 0
               ? COLOUR_GREEN
               : COLOUR_BOLD;
}

/* --- words ------------------------------------------------------------------------------------ */

static void add_place(struct status_page *p, const char *key)
{
    const json_t *place = member_get(p->doc, key);

    add(p, COLOUR_NONE, status_or_dash(member_text(place, "phase")));
    if (member_number(place, "step", 0) > 0)
        strbuf_addf(p->out, " at step %.0f", member_number(place, "step", 0));
    strbuf_addf(p->out, " (%.6g%%)", member_number(place, "weight", 0));
}

static void add_head(struct status_page *p)
{
    const char *type = member_text(p->doc, "type");

    add(p, COLOUR_BOLD, member_text(p->doc, "id"));
    strbuf_add(p->out, STR("  "));
    add(p, type_colour(type), type);
    strbuf_add(p->out, STR("  "));
    add(p, COLOUR_DIM, member_text(p->doc, "time"));
    strbuf_add(p->out, STR("\n\n  "));
    add(p, COLOUR_NONE, member_text(p->doc, "reason"));
    strbuf_add(p->out, STR(".\n\n  canary   "));
    add(p, COLOUR_NONE, status_or_dash(member_text(p->doc, "canary")));
    strbuf_add(p->out, STR(": "));
    add_place(p, "from");
    strbuf_add(p->out, STR(" → "));
    add_place(p, "to");
    strbuf_add_char(p->out, '\n');
}

static void add_who(struct status_page *p)
{
    if (member_text(p->doc, "command")[0] == '\0')
        return;
    strbuf_add(p->out, STR("  command  "));
    add(p, COLOUR_NONE, member_text(p->doc, "command"));
    strbuf_add(p->out, STR(" by "));
    add(p, COLOUR_NONE, status_or_dash(member_text(p->doc, "who")));
    if (member_text(p->doc, "why")[0] != '\0') {
        strbuf_add(p->out, STR(": "));
        add(p, COLOUR_NONE, member_text(p->doc, "why"));
    }
    strbuf_add_char(p->out, '\n');
}

static void add_serving(struct status_page *p, const json_t *document)
{
    strbuf_add(p->out, STR("  serving  "));
    add(p, COLOUR_BOLD, status_or_dash(member_text(p->doc, "basis.serving.version")));
    strbuf_addf(p->out, " got %.6g%% after it", member_number(p->doc, "basis.serving.weight", 0));
    if (document != NULL) {
        strbuf_add(p->out, STR("; now "));
        add(p, COLOUR_NONE, status_or_dash(member_text(document, "phase")));
        strbuf_add(p->out, STR(", "));
        add(p, COLOUR_BOLD, status_or_dash(member_text(document, "serving")));
        strbuf_add(p->out, STR(" serves"));
    }
    strbuf_add_char(p->out, '\n');
}

/* What undoes it. Where the rollout has moved on, what was right then may be wrong now. */
static void add_override(struct status_page *p, const json_t *document)
{
    const char *command = member_text(p->doc, "basis.override.command");
    const char *last = member_text(document, "decision.id");

    if (command[0] == '\0')
        return;
    strbuf_add(p->out, STR("  undo     "));
    add(p, COLOUR_BOLD, command);
    strbuf_add(p->out, STR("   "));
    add(p, COLOUR_NONE, member_text(p->doc, "basis.override.does"));
    if (document != NULL && strcmp(last, member_text(p->doc, "id")) != 0) {
        strbuf_add(p->out, STR(" (then; the rollout has moved on, to "));
        add(p, COLOUR_NONE, status_or_dash(last));
        strbuf_add(p->out, STR(")"));
    }
    strbuf_add_char(p->out, '\n');
}

/* --- what carried it -------------------------------------------------------------------------- */

static void add_stretch_words(struct status_page *p, const json_t *s)
{
    char bad[COUNT_TEXT_MAX], all[COUNT_TEXT_MAX], share[UNITS_TEXT_MAX], from[TIME_TEXT_MAX];
    char to[TIME_TEXT_MAX], stable_bad[COUNT_TEXT_MAX], stable_all[COUNT_TEXT_MAX];
    const char *name = member_text(s, "criterion");

    strbuf_add(p->out, STR("\n  "));
    add(p, COLOUR_BOLD, name[0] == '\0' ? "errors without a break" : name);
    strbuf_addf(p->out, ": %s of %s canary requests were bad (%s) from %s to %s",
                output_count(member_number(s, "bad", 0), bad),
                output_count(member_number(s, "requests", 0), all),
                status_share_text(member_number(s, "share", 0), share),
                clock_text(member_text(s, "from"), true, from),
                clock_text(member_text(s, "to"), true, to));
    if (member_has_number(s, "limit"))
        strbuf_addf(p->out, ", where %s is the limit",
                    status_share_text(member_number(s, "limit", 0), share));
    strbuf_addf(p->out, "; of stable's, %s of %s.\n",
                output_count(member_number(s, "stable_bad", 0), stable_bad),
                output_count(member_number(s, "stable_requests", 0), stable_all));
}

static void add_slots(struct status_page *p)
{
    static const char *const headings[] = {"slot", "canary bad", "of", "stable bad", "of", "adds"};
    static const enum align aligns[] = {ALIGN_LEFT,  ALIGN_RIGHT, ALIGN_RIGHT,
                                        ALIGN_RIGHT, ALIGN_RIGHT, ALIGN_RIGHT};
    const json_t *slots = member_get(p->doc, "basis.slots"), *one;
    char time[TIME_TEXT_MAX];
    size_t i;

    if (slots == NULL)
        return;
    bool limited = member_has_number(slots, "limit");
    add_stretch_words(p, slots);
    struct table *t = table_new(headings, aligns, ARRAY_LEN(headings));
    json_array_foreach(member_get(slots, "list"), i, one)
    {
        table_cell(t, COLOUR_NONE, "%s", clock_text(member_text(one, "time"), true, time));
        table_cell(t, COLOUR_RED, "%.0f", member_number(one, "bad", 0));
        table_cell(t, COLOUR_NONE, "%.0f", member_number(one, "requests", 0));
        table_cell(t, COLOUR_NONE, "%.0f", member_number(one, "stable_bad", 0));
        table_cell(t, COLOUR_NONE, "%.0f", member_number(one, "stable_requests", 0));
        if (limited)
            table_cell(t, COLOUR_NONE, "%+.1f", member_number(one, "added", 0));
        else
            table_cell(t, COLOUR_NONE, "-");
    }
    table_print(t, p->out, p->colours, 4);
    table_free(t);
    double others = member_number(slots, "others", 0);
    if (others > 0)
        strbuf_addf(p->out, "    and %.0f more slot%s", others, others == 1 ? "" : "s");
    if (others > 0 && limited)
        strbuf_addf(p->out, "; %+.1f in all", member_number(slots, "added", 0));
    if (others > 0)
        strbuf_add_char(p->out, '\n');
    if (limited)
        strbuf_add(p->out, STR("    adds: how much likelier its counts are at that share than at "
                               "the limit (logarithm). The test\n    itself counts less of a slot: "
                               "it does not know the share beforehand\n"));
}

/* --- outcomes and examples -------------------------------------------------------------------- */

static void add_counts(struct status_page *p, const char *path)
{
    const json_t *kinds = member_get(p->doc, path), *n;
    const char *kind, *separator = "";
    char text[COUNT_TEXT_MAX];

    json_object_foreach((json_t *)(uintptr_t)kinds, kind, n)
    {
        strbuf_addf(p->out, "%s%s ", separator, output_count(json_number_value(n), text));
        add(p, strcmp(kind, "ok") == 0 ? COLOUR_NONE : COLOUR_RED, kind);
        separator = ", ";
    }
    if (json_object_size(kinds) == 0)
        strbuf_add(p->out, STR("none has ended"));
}

static void add_kinds(struct status_page *p)
{
    char time[TIME_TEXT_MAX];

    if (member_get(p->doc, "basis.kinds.step") == NULL)
        return;
    strbuf_add(p->out, STR("\n  canary in this step: "));
    add_counts(p, "basis.kinds.step");
    strbuf_add_char(p->out, '\n');
    if (member_get(p->doc, "basis.kinds.since_failure") == NULL)
        return;
    strbuf_addf(p->out, "  since its first failure, %s: ",
                clock_text(member_text(p->doc, "basis.kinds.first_failure"), true, time));
    add_counts(p, "basis.kinds.since_failure");
    strbuf_add_char(p->out, '\n');
}

static void add_examples(struct status_page *p)
{
    static const char *const headings[] = {"request id", "time", "ended", "took", "endpoint"};
    static const enum align aligns[] = {ALIGN_LEFT, ALIGN_LEFT, ALIGN_LEFT, ALIGN_RIGHT,
                                        ALIGN_LEFT};
    const json_t *all = member_get(p->doc, "basis.examples"), *one;
    char time[TIME_TEXT_MAX], ms[UNITS_TEXT_MAX];
    size_t i;

    if (json_array_size(all) == 0)
        return;
    struct table *t = table_new(headings, aligns, ARRAY_LEN(headings));
    json_array_foreach(all, i, one)
    {
        table_cell(t, COLOUR_BOLD, "%s", status_or_dash(member_text(one, "id")));
        table_cell(t, COLOUR_NONE, "%s", clock_text(member_text(one, "time"), true, time));
        table_cell(t, COLOUR_NONE, "%s",
                   member_true(one, "in_flight") ? "not yet" : member_text(one, "kind"));
        table_cell(t, COLOUR_NONE, "%s", status_ms_text(member_number(one, "latency_ms", -1), ms));
        table_cell(t, COLOUR_NONE, "%s", status_or_dash(member_text(one, "endpoint")));
    }
    strbuf_add_char(p->out, '\n');
    table_print(t, p->out, p->colours, 2);
    table_free(t);
}

/* --- the past --------------------------------------------------------------------------------- */

static void point_cells(struct table *t, const json_t *point, const char *variant)
{
    char path[64], text[COUNT_TEXT_MAX];

    snprintf(path, sizeof(path), "%s.requests", variant);
    table_cell(t, COLOUR_NONE, "%s", output_count(member_number(point, path, 0), text));
    snprintf(path, sizeof(path), "%s.errors", variant);
    double errors = member_number(point, path, 0);
    table_cell(t, errors > 0 ? COLOUR_RED : COLOUR_NONE, "%s", output_count(errors, text));
}

static void add_points(struct status_page *p)
{
    static const char *const headings[] = {"from",   "for",    "weight", "canary",
                                           "errors", "stable", "errors"};
    static const enum align aligns[] = {ALIGN_LEFT,  ALIGN_RIGHT, ALIGN_RIGHT, ALIGN_RIGHT,
                                        ALIGN_RIGHT, ALIGN_RIGHT, ALIGN_RIGHT};
    const json_t *all = member_get(p->doc, "basis.points"), *one;
    char time[TIME_TEXT_MAX], length[UNITS_TEXT_MAX];
    size_t i;

    if (json_array_size(all) == 0)
        return;
    struct table *t = table_new(headings, aligns, ARRAY_LEN(headings));
    json_array_foreach(all, i, one)
    {
        double seconds = member_number(one, "seconds", 0);
        table_cell(t, COLOUR_NONE, "%s", clock_text(member_text(one, "time"), false, time));
        table_cell(t, COLOUR_NONE, "%s",
                   units_duration_text((int64_t)(seconds * 10) * (NS_PER_SEC / 10), length));
        table_cell(t, COLOUR_NONE, "%.6g%%", member_number(one, "weight", 0));
        point_cells(t, one, "canary");
        point_cells(t, one, "stable");
    }
    strbuf_add(p->out, STR("\n  weight and traffic\n"));
    table_print(t, p->out, p->colours, 2);
    table_free(t);
}

static void add_line(struct status_page *p, const json_t *d)
{
    char time[TIME_TEXT_MAX];
    const char *type = member_text(d, "type");

    strbuf_addf(p->out, "    %s  ", clock_text(member_text(d, "time"), false, time));
    add(p, COLOUR_NONE, member_text(d, "id"));
    strbuf_add_char(p->out, ' ');
    add(p, type_colour(type), type);
    strbuf_add(p->out, STR(": "));
    add(p, COLOUR_NONE, member_text(d, "reason"));
    strbuf_add_char(p->out, '\n');
}

static void add_before(struct status_page *p)
{
    const json_t *visits = member_get(p->doc, "basis.visits"), *one;
    const json_t *before = member_get(p->doc, "basis.before");
    size_t i;

    if (json_array_size(visits) > 0)
        strbuf_add(p->out, STR("\n  sent back and asked again:"));
    json_array_foreach(visits, i, one)
    {
        strbuf_addf(p->out, "%s %.0f of %.0f bad", i == 0 ? "" : ", then",
                    member_number(one, "bad", 0), member_number(one, "requests", 0));
    }
    if (json_array_size(visits) > 0)
        strbuf_add_char(p->out, '\n');
    if (json_array_size(before) > 0)
        strbuf_add(p->out, STR("\n  before it\n"));
    json_array_foreach(before, i, one)
    {
        add_line(p, one);
    }
}

void explain_render(const json_t *decision, const json_t *document, bool colours,
                    struct strbuf *out)
{
    struct status_page p = {.doc = decision, .out = out, .colours = colours};

    add_head(&p);
    add_who(&p);
    add_serving(&p, document);
    add_override(&p, document);
    add_slots(&p);
    status_criteria(&p);
    add_kinds(&p);
    add_examples(&p);
    add_points(&p);
    add_before(&p);
}

/* --- history ---------------------------------------------------------------------------------- */

static char *cut(const char *text, char to[static 4 * REASON_CUT + 4])
{
    struct str rest = str_from(text);
    size_t len = 0;

    for (size_t shown = 0; shown < REASON_CUT && rest.len > 0; shown++) {
        size_t n = str_utf8_length(rest);
        n = n == 0 ? 1 : n;
        memcpy(to + len, rest.ptr, n);
        len += n;
        rest.ptr += n;
        rest.len -= n;
    }
    memcpy(to + len, rest.len > 0 ? "…" : "", rest.len > 0 ? 4 : 1);
    return to;
}

void history_render(const json_t *decisions, bool colours, struct strbuf *out)
{
    static const char *const headings[] = {"time", "decision", "what", "weight", "why"};
    static const enum align aligns[] = {ALIGN_LEFT, ALIGN_LEFT, ALIGN_LEFT, ALIGN_RIGHT,
                                        ALIGN_LEFT};
    struct table *t = table_new(headings, aligns, ARRAY_LEN(headings));
    char reason[4 * REASON_CUT + 4];
    const json_t *d;
    size_t i;

    json_array_foreach(decisions, i, d)
    {
        const char *time = member_text(d, "time"), *type = member_text(d, "type");
        table_cell(t, COLOUR_DIM, "%.19sZ", time);
        table_cell(t, COLOUR_NONE, "%s", status_or_dash(member_text(d, "id")));
        table_cell(t, type_colour(type), "%s", type);
        table_cell(t, COLOUR_NONE, "%.6g%%", member_number(d, "weight", 0));
        table_cell(t, COLOUR_NONE, "%s", cut(member_text(d, "reason"), reason));
    }
    if (json_array_size(decisions) == 0)
        strbuf_add(out, STR("nothing was decided since the start\n"));
    else
        table_print(t, out, colours, 0);
    table_free(t);
}
