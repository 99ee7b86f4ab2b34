/* Writes what follows from the table of keys: gen_docs OUTPUT_DIR. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "policies/schema_docs.h"

enum { PAGE_BYTES_MAX = 1024 * 1024 };

static int write_page(const char *folder, const char *name, const struct schema *s,
                      void (*print)(const struct schema *, struct strbuf *))
{
    struct strbuf page, path;
    int rc = 1;

    strbuf_init(&page, PAGE_BYTES_MAX);
    strbuf_init(&path, 4096);
    print(s, &page);
    strbuf_addf(&path, "%s/%s", folder, name);
    FILE *f = page.overflow ? NULL : fopen(strbuf_cstr(&path), "w");
    if (f != NULL) {
        bool ok = fwrite(page.ptr, 1, page.len, f) == page.len;
        rc = fclose(f) == 0 && ok ? 0 : 1;
    }
    if (rc != 0)
        fprintf(stderr, "gen_docs: cannot write %s: %s\n", strbuf_cstr(&path), strerror(errno));
    strbuf_deinit(&path);
    strbuf_deinit(&page);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: gen_docs OUTPUT_DIR\n");
        return 2;
    }
    return write_page(argv[1], "policy.md", &schema_policy, schema_print_page) |
           write_page(argv[1], "policy.schema.json", &schema_policy, schema_print_json) |
           write_page(argv[1], "configuration.md", &schema_config, schema_print_page) |
           write_page(argv[1], "config.schema.json", &schema_config, schema_print_json);
}
