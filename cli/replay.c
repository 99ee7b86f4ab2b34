/* `sluice replay`: takes the decisions of a journal again and says whether they are the same. Needs
 * nothing but the file. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "cli/command.h"
#include "cli/journal_file.h"
#include "cli/options.h"
#include "cli/output.h"
#include "controller/replay.h"

struct report {
    const struct cli_args *args;
    const char *path;
    char rollout[ROLLOUT_NAME_MAX + 1];
    bool json, colours;
    struct strbuf text;
    json_t *decisions, *damages;
};

/* --- what is told --- */

static void on_decision(void *ctx, const struct replay_decision *d)
{
    struct report *r = ctx;
    const struct rollout_state *s = &d->now->state;
    char when[WALL_TEXT_MAX];

    wall_to_text(d->wall_ns, when);
    if (r->json) {
        json_array_append_new(r->decisions,
                              json_pack("{s:I, s:s, s:s, s:s, s:I, s:f, s:b}", "number",
                                        (json_int_t)d->number, "time", when, "type",
                                        event_names[d->now->event], "phase", phase_names[s->phase],
                                        "step", (json_int_t)s->step, "weight", s->weight_bp / 100.0,
                                        "same", d->same));
        return;
    }
    strbuf_addf(&r->text, "%s  %s-%llu  %-20s %-17s %6.4g%%  ", when, r->rollout,
                (unsigned long long)d->number,
                d->now->event == EVENT_NONE ? "nothing" : event_names[d->now->event],
                phase_names[s->phase], s->weight_bp / 100.0);
    output_add(&r->text, r->colours, d->same ? COLOUR_GREEN : COLOUR_RED,
               d->same ? STR("same") : STR("DIFFERENT"));
    strbuf_add_char(&r->text, '\n');
}

static void on_damage(void *ctx, size_t at, const char *what)
{
    struct report *r = ctx;

    if (r->json) {
        json_array_append_new(r->damages,
                              json_pack("{s:I, s:s}", "byte", (json_int_t)at, "what", what));
        return;
    }
    output_add(&r->text, r->colours, COLOUR_RED, STR("damaged"));
    strbuf_addf(&r->text, " at byte %zu: ", at);
    output_add(&r->text, false, COLOUR_NONE, str_from(what));
    strbuf_add_char(&r->text, '\n');
}

static void add_difference(struct report *r, const struct replay_result *result)
{
    const struct decision_difference *d = &result->difference;
    char when[WALL_TEXT_MAX];

    strbuf_add(&r->text, STR("the first difference"));
    if (result->differs_number > 0)
        strbuf_addf(&r->text, " is in %s-%llu", r->rollout,
                    (unsigned long long)result->differs_number);
    strbuf_addf(&r->text, ", %s, at byte %zu:\n  ", wall_to_text(result->differs_wall_ns, when),
                result->differs_at);
    output_add(&r->text, r->colours, COLOUR_BOLD, str_from(d->path));
    strbuf_add(&r->text, STR("\n    recorded  "));
    output_add(&r->text, false, COLOUR_NONE, str_from(d->recorded[0] ? d->recorded : "nothing"));
    strbuf_add(&r->text, STR("\n    now       "));
    output_add(&r->text, false, COLOUR_NONE, str_from(d->now[0] ? d->now : "nothing"));
    strbuf_add_char(&r->text, '\n');
}

static bool is_same(const struct replay_result *result)
{
    return !result->differs && result->differs_at_look == 0;
}

static void add_notes(struct report *r, const struct replay_result *result)
{
    char when[WALL_TEXT_MAX];

    if (result->differs_at_look > 0 && !result->differs)
        strbuf_addf(&r->text,
                    "the evidence is not the same from look %llu on (%s, byte %zu), though the "
                    "decisions are\n",
                    (unsigned long long)result->differs_at_look,
                    wall_to_text(result->differs_wall_ns, when), result->differs_at);
    if (!result->sums)
        strbuf_add(&r->text, STR("recorded by another version: decisions are compared, looks are "
                                 "not\n"));
    if (result->gaps > 0)
        strbuf_addf(&r->text,
                    "%llu gap%s: older parts were dropped, or are damaged; what follows "
                    "begins at the next checkpoint\n",
                    (unsigned long long)result->gaps, result->gaps == 1 ? "" : "s");
    if (result->damages > REPLAY_DAMAGES_MAX)
        strbuf_addf(&r->text, "%llu damaged places in all\n", (unsigned long long)result->damages);
}

static void print_text(struct report *r, const struct replay_result *result)
{
    char looks[COUNT_TEXT_MAX], decisions[COUNT_TEXT_MAX];

    if (result->differs)
        add_difference(r, result);
    add_notes(r, result);
    strbuf_addf(&r->text, "%s look%s, %s decision%s: ", output_count((double)result->looks, looks),
                result->looks == 1 ? "" : "s", output_count((double)result->decisions, decisions),
                result->decisions == 1 ? "" : "s");
    output_add(&r->text, r->colours, is_same(result) ? COLOUR_GREEN : COLOUR_RED,
               is_same(result) ? STR("the same bit for bit") : STR("not the same"));
    if (result->damages > 0)
        strbuf_add(&r->text, STR(", as far as the file is whole"));
    strbuf_add_char(&r->text, '\n');
    output_write(stdout, &r->text);
}

static json_t *difference_json(const struct replay_result *result)
{
    const struct decision_difference *d = &result->difference;
    char when[WALL_TEXT_MAX];

    if (is_same(result))
        return json_null();
    wall_to_text(result->differs_wall_ns, when);
    json_t *o = json_pack("{s:s, s:I, s:I}", "time", when, "byte", (json_int_t)result->differs_at,
                          "look", (json_int_t)result->differs_at_look);
    json_object_set_new(o, "decision",
                        result->differs && result->differs_number > 0
                            ? json_integer((json_int_t)result->differs_number)
                            : json_null());
    json_object_set_new(o, "field", result->differs ? json_string(d->path) : json_null());
    json_object_set_new(o, "recorded", result->differs ? json_string(d->recorded) : json_null());
    json_object_set_new(o, "now", result->differs ? json_string(d->now) : json_null());
    return o;
}

static void print_json(const struct report *r, const struct replay_result *result)
{
    json_t *o = json_object();

    json_object_set_new(o, "rollout", json_string(r->rollout));
    json_object_set_new(o, "same", json_boolean(is_same(result)));
    json_object_set_new(o, "whole", json_boolean(result->damages == 0));
    json_object_set_new(o, "looks", json_integer((json_int_t)result->looks));
    json_object_set_new(o, "decisions_replayed", json_integer((json_int_t)result->decisions));
    json_object_set_new(o, "gaps", json_integer((json_int_t)result->gaps));
    json_object_set_new(o, "looks_compared", json_boolean(result->sums));
    json_object_set_new(o, "difference", difference_json(result));
    json_object_set(o, "damages", r->damages);
    json_object_set(o, "decisions", r->decisions);
    output_json(stdout, o);
    json_decref(o);
}

static int replay(struct report *r, struct str file)
{
    const struct replay_listener listener = {on_decision, on_damage, r};
    struct replay_result *result = xcalloc(1, sizeof(*result));
    struct policy *policy = NULL;
    struct error error = {0};
    int rc = replay_policy(file, &policy, &error);

    if (rc == 0) {
        snprintf(r->rollout, sizeof(r->rollout), "%s", policy->name);
        policy_free(policy);
        rc = replay_run(file, &listener, result, &error);
    }
    if (rc != 0)
        fprintf(stderr, "sluice replay: %s: %s\n", r->path, error.message);
    else if (r->json)
        print_json(r, result);
    else
        print_text(r, result);
    bool good = rc == 0 && is_same(result) && result->damages == 0;
    free(result);
    return good ? CLI_OK : CLI_FAILED;
}

static int run_replay(const struct cli_args *args)
{
    struct report r = {.args = args,
                       .path = args->args[0],
                       .json = option_json(args),
                       .colours = output_colours(stdout),
                       .decisions = json_array(),
                       .damages = json_array()};
    struct strbuf file;

    strbuf_init(&file, JOURNAL_FILE_MAX);
    strbuf_init(&r.text, OUTPUT_BYTES_MAX);
    int rc = journal_file_read("replay", r.path, &file);
    if (rc == CLI_OK)
        rc = replay(&r, strbuf_str(&file));
    strbuf_deinit(&file);
    strbuf_deinit(&r.text);
    json_decref(r.decisions);
    json_decref(r.damages);
    return rc;
}

const struct cli_command command_replay = {
    .name = "replay",
    .summary = "take the decisions of a journal again: the same, or where they differ",
    .usage = "FILE [-o json]",
    .details =
        "Feeds what the journal recorded through the controller again and compares each\n"
        "decision with the recorded one, bit for bit, and the evidence at each look. Says\n"
        "\"same\" for each, or shows the first difference with both sides. A damaged file is\n"
        "replayed as far as it is whole, and the damage is named by its byte. Works offline;\n"
        "\"-\" reads standard input. Exits 1 on a difference or damage.",
    .example = "  sluice journal chat --to chat.journal && sluice replay chat.journal",
    .args_min = 1,
    .args_max = 1,
    .json = true,
    .run = run_replay,
};
