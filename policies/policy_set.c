/* Loads files into a snapshot. Reading files is policies/source.c's; here documents are told apart,
 * parsed, and checked against each other. The surprising thing: a file that is reached twice (by
 * name and by its folder, or over a symbolic link) is loaded once. */
#include "policies/policy_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "policies/named_file.h"
#include "policies/policy_ties.h"
#include "policies/schema.h"
#include "policies/source.h"
#include "policies/yaml.h"
#include "policies/yaml_text.h"

struct set_loader {
    struct source_loader source;
    struct diagnostics *errors;
    const struct policy **policies;
    size_t count;
    struct config *config;
    bool full; /* said once */
};

/* --- what a document is --- */

/* How many of the document's keys are top-level keys of a schema, or look like one. */
static size_t count_keys(const struct schema *s, const struct yaml_node *root, bool nearly)
{
    size_t count = 0;

    for (const struct yaml_node *n = root->first; n != NULL; n = n->next)
        for (size_t i = 0; i < s->count; i++) {
            struct str key = str_from(s->rows[i].path);
            if (memchr(key.ptr, '.', key.len) != NULL)
                continue;
            count +=
                str_eq(key, n->key) || (nearly && key.len > 4 && str_distance(key, n->key) <= 2);
        }
    return count;
}

/* The schema of a document: by its `rollout`, else by whose keys it has more of, else by whose keys
 * its own resemble. NULL when it is neither. */
static const struct schema *recognise(const struct yaml_node *root)
{
    if (root->kind != YAML_MAP)
        return NULL;
    if (yaml_get(root, STR("rollout")) != NULL)
        return &schema_policy;
    for (int nearly = 0; nearly < 2; nearly++) {
        size_t policy = count_keys(&schema_policy, root, nearly == 1);
        size_t config = count_keys(&schema_config, root, nearly == 1);
        if (policy + config > 0)
            return config > policy ? &schema_config : &schema_policy;
    }
    return NULL;
}

static void add_policy(struct set_loader *l, struct policy *p, struct source_pos at)
{
    if (l->count == ROLLOUTS_MAX) {
        if (!l->full)
            diagnostics_addf(l->errors, at, NULL, "too many rollouts: %d is the most",
                             ROLLOUTS_MAX);
        l->full = true;
        policy_free(p);
        return;
    }
    l->policies = xrealloc(l->policies, (l->count + 1) * sizeof(*l->policies));
    l->policies[l->count++] = p;
}

static void add_config(struct set_loader *l, struct config *c, struct source_pos at)
{
    if (l->config == NULL) {
        l->config = c;
        return;
    }
    diagnostics_addf(l->errors, at, "keep one of the two",
                     "a second configuration; the first is in %s", l->config->file);
    config_free(c);
}

static void load_document(struct set_loader *l, const char *path, struct yaml_node *root)
{
    const struct schema *schema = recognise(root);
    struct policy *p;
    struct config *c;

    if (schema == NULL && root->cut)
        return; /* what it is may stand behind the cut */
    if (schema == NULL)
        diagnostics_addf(l->errors, root->at,
                         "a policy begins with rollout: NAME; a configuration has proxy:, "
                         "controller: or policies:",
                         "this is neither a policy nor a configuration");
    else if (schema == &schema_policy && policy_from_yaml(path, root, &p, l->errors) == 0)
        add_policy(l, p, root->at);
    else if (schema == &schema_config && config_from_yaml(path, root, &c, l->errors) == 0)
        add_config(l, c, root->at);
}

static void load_text(void *arg, const char *path, struct str text)
{
    struct set_loader *l = arg;
    struct yaml_node *root = NULL;
    struct arena arena;

    arena_init(&arena);
    int rc = yaml_parse(path, text, &arena, &root, l->errors);
    if (rc == 0 && root == NULL)
        diagnostics_addf(l->errors, (struct source_pos){path, 1, 1},
                         "write a policy (rollout: NAME ...) or remove the file",
                         "the file holds nothing");
    for (struct yaml_node *n = root; n != NULL; n = n->next)
        load_document(l, path, n);
    arena_deinit(&arena);
}

/* --- what stands in several files --- */

static struct source_pos error_pos(const struct set_loader *l, struct source_pos at)
{
    at.file = source_loader_path(&l->source, at.file);
    return at;
}

struct named {
    const char *name;
    size_t index;
};

static int compare_names(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int by_name = strcmp(x->name, y->name);

    return by_name != 0 ? by_name : (x->index > y->index) - (x->index < y->index);
}

static void check_names(struct set_loader *l)
{
    struct named *sorted = xcalloc(l->count, sizeof(*sorted));

    for (size_t i = 0; i < l->count; i++)
        sorted[i] = (struct named){l->policies[i]->name, i};
    qsort(sorted, l->count, sizeof(*sorted), compare_names);
    for (size_t i = 1; i < l->count; i++) {
        const struct policy *first = l->policies[sorted[i - 1].index];
        const struct policy *second = l->policies[sorted[i].index];
        if (strcmp(first->name, second->name) != 0)
            continue;
        diagnostics_addf(l->errors, error_pos(l, second->at),
                         "each rollout is one document with a name of its own",
                         "the rollout \"%s\" is written twice, first at %s:%u", second->name,
                         first->file, first->at.line);
    }
    free(sorted);
}

static void check_ties(struct set_loader *l)
{
    size_t count;
    struct policy_tie *ties = policy_ties_find(l->policies, l->count, &count);

    for (size_t i = 0; i < count; i++) {
        const struct policy_tie *t = &ties[i];
        const struct policy *first = l->policies[t->earlier], *second = l->policies[t->later];
        if (strcmp(first->name, second->name) == 0)
            continue; /* said by check_names */
        diagnostics_addf(l->errors, error_pos(l, second->at),
                         "set them apart by hosts, paths, methods or headers in \"match\"",
                         "\"%s\" and \"%s\" (%s:%u) match the same requests%s%s%s%s", second->name,
                         first->name, first->file, first->at.line,
                         t->host[0] != '\0' ? " of host " : "", t->host,
                         t->path[0] != '\0' ? " under " : "", t->path);
    }
    free(ties);
}

/* --- files that are named --- */

static void check_files(struct set_loader *l, const struct named_file *files)
{
    for (const struct named_file *f = files; f != NULL; f = f->next) {
        int error = source_try(f->path);
        if (error != 0)
            diagnostics_addf(l->errors, error_pos(l, f->at),
                             error == ENOENT || error == ENOTDIR
                                 ? "a path is relative to the folder of the file that names it"
                             : error == EACCES || error == EPERM
                                 ? "make it readable for the user that runs sluice"
                                 : NULL,
                             "%s: cannot read %s: %s", f->key, f->path, strerror(error));
    }
}

static void check_all_files(struct set_loader *l)
{
    for (size_t i = 0; i < l->count; i++)
        check_files(l, l->policies[i]->files);
    if (l->config != NULL)
        check_files(l, l->config->files);
}

/* --- the set --- */

static void free_loaded(struct set_loader *l)
{
    for (size_t i = 0; i < l->count; i++)
        policy_free((struct policy *)(uintptr_t)l->policies[i]);
    free(l->policies);
    config_free(l->config);
}

static void load_configured(struct set_loader *l)
{
    const struct config *c = l->config;
    struct arena arena;

    if (c->policies == NULL)
        return;
    arena_init(&arena);
    source_load(&l->source, named_file_path(&arena, c->file, str_from(c->policies)),
                error_pos(l, c->policies_at));
    arena_deinit(&arena);
}

static struct policy_set *new_set(struct set_loader *l, uint64_t generation)
{
    struct policy_set *set = xcalloc(1, sizeof(*set));

    *set = (struct policy_set){.generation = generation,
                               .config = l->config != NULL ? l->config : config_default(),
                               .policies = l->policies,
                               .count = l->count,
                               .references = 1};
    return set;
}

int policy_set_load(const char *const *paths, size_t path_count, uint64_t generation,
                    struct policy_set **ret, struct source_files *sources,
                    struct diagnostics *reterr)
{
    struct set_loader l = {.errors = reterr};

    source_loader_init(&l.source, sources, load_text, &l, reterr);
    for (size_t i = 0; i < path_count; i++)
        source_load(&l.source, paths[i], (struct source_pos){0});
    if (l.config != NULL)
        load_configured(&l);
    check_names(&l);
    check_ties(&l);
    check_all_files(&l);
    source_loader_deinit(&l.source);
    diagnostics_sort(reterr);
    if (!diagnostics_ok(reterr)) {
        free_loaded(&l);
        return -EINVAL;
    }
    *ret = new_set(&l, generation);
    return 0;
}

struct policy_set *policy_set_ref(struct policy_set *set)
{
    __atomic_add_fetch(&set->references, 1, __ATOMIC_RELAXED);
    return set;
}

void policy_set_unref(struct policy_set *set)
{
    if (set == NULL || __atomic_sub_fetch(&set->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < set->count; i++)
        policy_free((struct policy *)(uintptr_t)set->policies[i]);
    free((void *)(uintptr_t)set->policies);
    config_free((struct config *)(uintptr_t)set->config);
    free(set);
}
