/* Paths and pairs of files. Whether a file exists is not looked at here: a policy reads the same on
 * every machine. */
#include "policies/named_file.h"

#include "base/check.h"

const char *named_file_path(struct arena *arena, const char *file, struct str written)
{
    const char *slash = file == NULL ? NULL : strrchr(file, '/');

    if (slash == NULL || str_starts_with(written, STR("/")) ||
        str_starts_with(str_from(file), STR("/dev/")))
        return arena_strdup(arena, written);
    return arena_printf(arena, "%.*s" STR_FMT, (int)(slash - file) + 1, file, STR_ARG(written));
}

const char *named_file_read(struct named_file_reader *r, const char *parent,
                            const struct yaml_node *map, const char *leaf)
{
    const struct yaml_node *n = yaml_get(map, str_from(leaf));

    if (n == NULL || n->bad || n->kind != YAML_TEXT)
        return NULL;
    struct named_file *f = arena_alloc(r->arena, sizeof(*f));
    *f = (struct named_file){.key = arena_printf(r->arena, "%s.%s", parent, leaf),
                             .path = named_file_path(r->arena, r->file, n->text),
                             .at = {r->file, n->at.line, n->at.column},
                             .next = *r->list};
    *r->list = f;
    return f->path;
}

void named_file_read_pair(struct named_file_reader *r, const char *parent,
                          const struct yaml_node *map, const char **ret_certificate,
                          const char **ret_key)
{
    const struct yaml_node *certificate = yaml_get(map, STR("certificate"));
    const struct yaml_node *key = yaml_get(map, STR("key"));

    *ret_certificate = named_file_read(r, parent, map, "certificate");
    *ret_key = named_file_read(r, parent, map, "key");
    if ((certificate != NULL) == (key != NULL) || r->cut || yaml_has_bad(map))
        return;
    if (key == NULL)
        diagnostics_addf(r->errors, certificate->key_at, "add key: FILE, its private key",
                         "\"certificate\" stands without a \"key\"");
    else
        diagnostics_addf(r->errors, key->key_at, "add certificate: FILE, the chain it belongs to",
                         "\"key\" stands without a \"certificate\"");
}
