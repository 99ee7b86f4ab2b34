/* Loading and reporting. `run` prints exactly what `check` prints. */
#include "cli/load.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "proxy/proxy.h"

/* Errors borrow the name of their file from what was loaded, which goes: here from the sources,
 * which stay. */
static void keep_places(struct load *load)
{
    for (size_t i = 0; i < load->diagnostics.count; i++) {
        struct source_pos *at = &load->diagnostics.items[i].at;
        for (size_t k = 0; k < load->sources.count && at->file != NULL; k++)
            if (strcmp(load->sources.items[k].path, at->file) == 0)
                at->file = load->sources.items[k].path;
    }
}

/* What the files name must be good, too. */
static int check_certificates(struct load *load)
{
    int rc = proxy_check_certificates(load->set, &clock_system, &load->diagnostics);

    keep_places(load);
    if (rc != 0) {
        policy_set_unref(load->set);
        load->set = NULL;
    }
    return rc;
}

int load_files(const struct cli_args *args, struct load *ret)
{
    *ret = (struct load){.set = NULL};
    diagnostics_init(&ret->diagnostics);
    int rc = policy_set_load(args->args, args->arg_count, 1, &ret->set, &ret->sources,
                             &ret->diagnostics);
    if (rc == 0 && ret->set->count == 0 && ret->set->config->file == NULL) {
        policy_set_unref(ret->set);
        ret->set = NULL;
        diagnostics_addf(&ret->diagnostics, (struct source_pos){.file = NULL},
                         "a policy has a top-level \"rollout:\"",
                         "neither a policy nor a configuration in %s%s", args->args[0],
                         args->arg_count > 1 ? " and the others" : "");
        rc = -EINVAL;
    }
    if (rc == 0)
        rc = check_certificates(ret);
    diagnostics_sort(&ret->diagnostics);
    return rc;
}

void load_deinit(struct load *load)
{
    policy_set_unref(load->set);
    diagnostics_deinit(&load->diagnostics);
    source_files_deinit(&load->sources);
}

void load_print_diagnostics(const struct load *load, struct strbuf *out)
{
    for (size_t i = 0; i < load->diagnostics.count; i++) {
        const struct error *e = &load->diagnostics.items[i];
        struct str text = {NULL, 0};
        if (e->at.file != NULL)
            text = source_files_text(&load->sources, e->at.file);
        diagnostics_print(e, text, out);
    }
    if (load->diagnostics.dropped > 0)
        strbuf_addf(out, "and %zu more\n", load->diagnostics.dropped);
}

static bool same_file(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

size_t load_errors_in(const struct load *load, const char *path)
{
    size_t count = 0;

    for (size_t i = 0; i < load->diagnostics.count; i++)
        count += load->diagnostics.items[i].code != 0 &&
                 same_file(load->diagnostics.items[i].at.file, path);
    return count;
}

void load_print_error_counts(const struct load *load, struct strbuf *out)
{
    const struct diagnostics *d = &load->diagnostics;

    for (size_t i = 0; i < d->count; i++) {
        bool seen = d->items[i].code == 0;
        for (size_t k = 0; k < i && !seen; k++)
            seen = d->items[k].code != 0 && same_file(d->items[k].at.file, d->items[i].at.file);
        if (seen)
            continue;
        size_t errors = load_errors_in(load, d->items[i].at.file);
        strbuf_addf(out, "%zu error%s%s%s\n", errors, errors == 1 ? "" : "s",
                    d->items[i].at.file == NULL ? "" : " in ",
                    d->items[i].at.file == NULL ? "" : d->items[i].at.file);
    }
}

void load_steps_text(const struct policy *policy, struct strbuf *out)
{
    char text[UNITS_TEXT_MAX];
    bool same = true;

    for (size_t i = 0; i < policy->step_count; i++)
        same = same && policy->steps[i].hold_ns == policy->steps[0].hold_ns;
    for (size_t i = 0; i < policy->step_count; i++) {
        const struct policy_step *step = &policy->steps[i];
        strbuf_addf(out, "%s%s", i == 0 ? "" : " → ",
                    units_share_text((double)step->weight_bp / WEIGHT_FULL_BP, text));
        if (!same)
            strbuf_addf(out, " for %s", units_duration_text(step->hold_ns, text));
    }
    if (same && policy->step_count > 0)
        strbuf_addf(out, ", %s%s", policy->step_count > 1 ? "each " : "for ",
                    units_duration_text(policy->steps[0].hold_ns, text));
    if (policy->bake.for_ns > 0)
        strbuf_addf(out, ", then %s bake", units_duration_text(policy->bake.for_ns, text));
    if (policy->bake.control_bp > 0)
        strbuf_addf(out, ", %s control",
                    units_share_text((double)policy->bake.control_bp / WEIGHT_FULL_BP, text));
}
