/* Read in pieces: it may be a pipe. */
#include "cli/journal_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

static int read_stream(FILE *f, struct strbuf *ret)
{
    size_t n = 1;

    while (n > 0 && !ret->overflow) {
        char *to = strbuf_reserve(ret, 65536) ? ret->ptr + ret->len : NULL;
        n = to == NULL ? 0 : fread(to, 1, 65536, f);
        ret->len += n;
    }
    return ferror(f) ? errno : ret->overflow ? EFBIG : 0;
}

int journal_file_read(const char *command, const char *path, struct strbuf *ret)
{
    bool in = strcmp(path, "-") == 0;
    FILE *f = in ? stdin : fopen(path, "rb");
    int error = f == NULL ? errno : read_stream(f, ret);

    if (f != NULL && !in)
        fclose(f);
    if (error == 0)
        return CLI_OK;
    fprintf(stderr, "sluice %s: cannot read %s: %s\n", command, path, strerror(error));
    return CLI_FAILED;
}
