/* cli/load.h — loads files for `check` and `run`, and reports on them the same way for both. */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

#include "base/error.h"
#include "base/strbuf.h"
#include "cli/command.h"
#include "policies/policy_set.h"

struct load {
    struct policy_set *set; /* NULL: errors */
    struct source_files sources;
    struct diagnostics diagnostics; /* sorted */
};

/* Loads the files of a command line, and looks at the certificates they name. Returns 0, or -EINVAL
 * with errors in diagnostics; call load_deinit either way. */
int load_files(const struct cli_args *, struct load *ret);
void load_deinit(struct load *);

/* Every diagnostic with its line, caret and hint. */
void load_print_diagnostics(const struct load *, struct strbuf *out);
/* "2 errors in chat.yaml", one line per file that has any. */
void load_print_error_counts(const struct load *, struct strbuf *out);
size_t load_errors_in(const struct load *, const char *path); /* NULL: those of no file */
/* "10% → 25% → 50% → 100%, each 10m, then 24h bake, 5% control" */
void load_steps_text(const struct policy *, struct strbuf *out);

#endif
