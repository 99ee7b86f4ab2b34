/* Both sides' decisions beside each other, until they part: what comes after is not known, and that
 * is said rather than guessed. */
#include "cli/simulate_journal.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/units.h"
#include "cli/journal_file.h"
#include "cli/options.h"
#include "cli/output.h"
#include "controller/journal_whatif.h"
#include "controller/replay.h"

struct report {
    bool json, colours;
    struct strbuf text;
    json_t *decisions;
};

/* "canary.retreated → 0% (error_rate max 1%)", or "nothing". */
static void add_step(struct strbuf *b, const struct whatif_step *s)
{
    if (s->event == EVENT_NONE) {
        strbuf_add(b, STR("nothing"));
        return;
    }
    strbuf_addf(b, "%s -> %.4g%%", event_names[s->event], s->weight_bp / 100.0);
    if (s->criterion[0] != '\0')
        strbuf_addf(b, " (%s)", s->criterion);
}

static json_t *step_json(const struct whatif_step *s)
{
    if (s->event == EVENT_NONE)
        return json_null();
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:f}", "type", event_names[s->event], "cause",
                          cause_names[s->cause], "phase", phase_names[s->phase], "step",
                          (json_int_t)s->step, "weight", s->weight_bp / 100.0);
    json_object_set_new(o, "criterion",
                        s->criterion[0] == '\0' ? json_null() : json_string(s->criterion));
    return o;
}

static json_t *look_json(const struct whatif_look *l)
{
    char when[WALL_TEXT_MAX];
    json_t *o = json_pack("{s:s, s:f}", "time", wall_to_text(l->wall_ns, when), "seconds",
                          (double)l->since_ns / 1e9);

    json_object_set_new(o, "recorded", step_json(&l->recorded));
    json_object_set_new(o, "this_policy", step_json(&l->now));
    return o;
}

static void on_look(void *ctx, const struct whatif_look *l)
{
    struct report *r = ctx;
    char since[UNITS_TEXT_MAX];

    if (r->json) {
        json_array_append_new(r->decisions, look_json(l));
        return;
    }
    strbuf_addf(&r->text, "  %-10s recorded     ",
                units_duration_text(l->since_ns / (NS_PER_SEC / 10) * (NS_PER_SEC / 10), since));
    add_step(&r->text, &l->recorded);
    strbuf_add(&r->text, STR("\n             this policy  "));
    add_step(&r->text, &l->now);
    strbuf_add_char(&r->text, '\n');
}

static void add_warnings(struct report *r, const struct policy *policy,
                         const struct whatif_result *result)
{
    for (size_t c = 0; c < policy->analysis.criteria_count; c++)
        if (result->criteria_without >> c & 1)
            strbuf_addf(&r->text,
                        "not tried: \"%s\": the journal has no counts for it (another metric, "
                        "limit of time or where)\n",
                        policy->analysis.criteria[c].name);
    if (result->errors_differ)
        strbuf_add(&r->text, STR("hard_down counts the errors as they were recorded: "
                                 "count_as_error was another\n"));
    if (result->gaps > 0)
        strbuf_addf(&r->text, "%llu gaps in the journal: the evidence began anew behind each\n",
                    (unsigned long long)result->gaps);
    if (result->damages > 0)
        strbuf_addf(&r->text, "%llu damaged place%s in the file\n",
                    (unsigned long long)result->damages, result->damages == 1 ? "" : "s");
}

static void add_next(struct strbuf *b, const struct whatif_result *result)
{
    char since[UNITS_TEXT_MAX];

    if (!result->next_known)
        return;
    strbuf_addf(b, "; then, after %s, the recorded one: ",
                units_duration_text(result->next.since_ns / NS_PER_SEC * NS_PER_SEC, since));
    add_step(b, &result->next.recorded);
}

static void print_text(struct report *r, const struct policy *policy,
                       const struct whatif_result *result)
{
    char until[UNITS_TEXT_MAX], requests[COUNT_TEXT_MAX], errors[COUNT_TEXT_MAX];

    add_warnings(r, policy, result);
    strbuf_addf(&r->text, "%s: followed for %s, %s canary requests, %s errors: ", policy->name,
                units_duration_text(result->until_ns / NS_PER_SEC * NS_PER_SEC, until),
                output_count((double)result->requests, requests),
                output_count((double)result->errors, errors));
    if (result->end == WHATIF_SAME) {
        output_add(&r->text, r->colours, COLOUR_GREEN,
                   STR("the canary would have had the same weight throughout"));
    } else {
        output_add(&r->text, r->colours, COLOUR_YELLOW, STR("here the two part"));
        strbuf_add(&r->text, STR("\n  recorded: "));
        add_step(&r->text, &result->last.recorded);
        strbuf_add(&r->text, STR("; this policy: "));
        add_step(&r->text, &result->last.now);
        add_next(&r->text, result);
        strbuf_add(&r->text, STR("\n  what this policy would have seen after that nobody knows: "
                                 "the canary would have got other requests"));
    }
    strbuf_add_char(&r->text, '\n');
    output_write(stdout, &r->text);
}

static void print_json(const struct report *r, const struct policy *policy,
                       const struct whatif_result *result)
{
    json_t *o = json_object(), *without = json_array();

    for (size_t c = 0; c < policy->analysis.criteria_count; c++)
        if (result->criteria_without >> c & 1)
            json_array_append_new(without, json_string(policy->analysis.criteria[c].name));
    json_object_set_new(o, "rollout", json_string(policy->name));
    json_object_set_new(o, "same", json_boolean(result->end == WHATIF_SAME));
    json_object_set_new(o, "looks", json_integer((json_int_t)result->looks));
    json_object_set_new(o, "followed_seconds", json_real((double)result->until_ns / 1e9));
    json_object_set_new(o, "canary_requests", json_integer((json_int_t)result->requests));
    json_object_set_new(o, "canary_errors", json_integer((json_int_t)result->errors));
    json_object_set_new(o, "parts",
                        result->end == WHATIF_SAME ? json_null() : look_json(&result->last));
    json_object_set_new(o, "recorded_next",
                        result->next_known ? look_json(&result->next) : json_null());
    json_object_set_new(o, "criteria_without_counts", without);
    json_object_set_new(o, "count_as_error_differs", json_boolean(result->errors_differ));
    json_object_set_new(o, "gaps", json_integer((json_int_t)result->gaps));
    json_object_set_new(o, "damages", json_integer((json_int_t)result->damages));
    json_object_set(o, "decisions", r->decisions);
    output_json(stdout, o);
    json_decref(o);
}

int simulate_journal(const struct cli_args *args, const struct policy *policy, const char *path)
{
    struct report r = {
        .json = option_json(args), .colours = output_colours(stdout), .decisions = json_array()};
    struct whatif_result result;
    struct error error = {.code = 0};
    struct strbuf file;
    int rc;

    strbuf_init(&r.text, OUTPUT_BYTES_MAX);
    strbuf_init(&file, JOURNAL_FILE_MAX);
    rc = journal_file_read("simulate", path, &file);
    if (rc == CLI_OK && whatif_run(strbuf_str(&file), policy, on_look, &r, &result, &error) != 0) {
        fprintf(stderr, "sluice simulate: %s: %s\n", path, error.message);
        rc = CLI_FAILED;
    } else if (rc == CLI_OK && r.json) {
        print_json(&r, policy, &result);
    } else if (rc == CLI_OK) {
        print_text(&r, policy, &result);
    }
    strbuf_deinit(&file);
    strbuf_deinit(&r.text);
    json_decref(r.decisions);
    return rc;
}
