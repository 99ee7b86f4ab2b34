/* Runs a fuzzer's one function over files: fuzz_NAME FILE... So that every compiler can replay a
 * corpus; with clang, link with -fsanitize=fuzzer in place of this file to look for more. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"

enum { INPUT_BYTES_MAX = 16 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input gets a heap block of exactly its size, so that a byte too far is seen. */
static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t size = 0, cap = 0, n = 1;

    if (f == NULL) {
        perror(path);
        return 1;
    }
    while (n > 0 && size < INPUT_BYTES_MAX) {
        if (size == cap)
            data = xrealloc(data, cap = cap == 0 ? 4096 : 2 * cap);
        n = fread(data + size, 1, cap - size, f);
        size += n;
    }
    fclose(f);
    uint8_t *exact = xmalloc(size);
    for (size_t i = 0; i < size; i++)
        exact[i] = data[i];
    free(data);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;

    if (argc < 2)
        fprintf(stderr, "usage: %s FILE...\n", argv[0]);
    for (int i = 1; i < argc; i++) {
        fprintf(stderr, "%s\n", argv[i]); /* the last one is the one that crashed */
        failed |= replay(argv[i]);
    }
    return failed;
}
