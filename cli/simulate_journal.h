/* cli/simulate_journal.h — `sluice simulate POLICY --from-journal FILE`: what this policy would
 * have done with what another one's rollout saw. */
#ifndef CLI_SIMULATE_JOURNAL_H
#define CLI_SIMULATE_JOURNAL_H

#include "cli/command.h"
#include "policies/policy.h"

/* Prints it; the command's exit code. */
int simulate_journal(const struct cli_args *, const struct policy *, const char *path);

#endif
