/* cli/options.h — command lines against a command's table of options. Pure: errors come back as
 * values.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/error.h"
#include "base/strbuf.h"
#include "cli/command.h"

/* Parses what follows the command's name. Options and arguments may mix; `--` ends the options;
 * `--name=value` and `-ovalue` work. -EINVAL: the message says what is wrong, the hint what was
 * meant. Nothing is checked further when --help is given. */
int options_parse(const struct cli_command *, int argc, char *const *argv, struct cli_args *ret,
                  struct error *reterr);

/* The value given, or NULL. When given twice, the last one. */
const char *option_value(const struct cli_args *, const char *name);
bool option_given(const struct cli_args *, const char *name);
/* -o json. options_parse has refused anything but "json" and "text". */
bool option_json(const struct cli_args *);

/* The nearest of `names`, or NULL when none is near enough to be meant. */
const char *nearest_name(const char *word, const char *const *names, size_t count);

/* The text of `sluice COMMAND --help`. */
void options_help(const struct cli_command *, struct strbuf *out);

#endif
