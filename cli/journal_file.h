/* cli/journal_file.h — a journal read whole, for the commands that work on one. */
#ifndef CLI_JOURNAL_FILE_H
#define CLI_JOURNAL_FILE_H

#include "base/strbuf.h"

/* Appends the file's bytes ("-": standard input). Returns CLI_OK, or CLI_FAILED, which it has said
 * in the name of `command`. */
int journal_file_read(const char *command, const char *path, struct strbuf *ret);

#endif
