/* policies/yaml.h — YAML text as a tree of nodes that know where they stand.
 *
 * A deliberate subset: mappings with text keys, lists, text. No anchors, aliases, tags or merges:
 * they make positions lie and small files huge. Every value is text; what it means is the schema's
 * business, so "2.0" stays "2.0".
 */
#ifndef POLICIES_YAML_H
#define POLICIES_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

enum {
    YAML_BYTES_MAX = 1024 * 1024, /* of one text, and of all that ${ENV} adds to it */
    YAML_DEPTH_MAX = 32,
    YAML_NODES_MAX = 20000, /* of all documents of a text */
    YAML_KEYS_MAX = 1024,   /* of one mapping */
};

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    bool quoted; /* text in quotes or a block: `""` is empty text, nothing at all is no value */
    bool bad;    /* an error about it was reported; later checks keep quiet */
    bool cut;    /* its end was not read: nothing can be said about what is not in it */
    struct source_pos at;
    struct str text; /* YAML_TEXT: ${ENV} expanded, terminated */
    struct str key;  /* a member of a mapping: its key */
    struct source_pos key_at;
    struct yaml_node *first; /* of a list or mapping */
    struct yaml_node *next;  /* sibling, or the next document */
    size_t count;
};

/* Parses every document of `text`. *ret is the first one (the others follow by `next`; empty ones
 * are left out), or NULL when there is none. Nodes live in `arena`; positions borrow `path`.
 * Returns 0 when the structure could be read to its end: `reterr` may still have errors then (a key
 * written twice, a variable that is not set), whose nodes are bad. Else -EINVAL, and *ret is what
 * was read before, for the errors in it: the document, mapping or list that broke off is `cut`. */
int yaml_parse(const char *path, struct str text, struct arena *arena, struct yaml_node **ret,
               struct diagnostics *reterr);

/* The member of a mapping, or NULL (also when `map` is NULL or no mapping). */
struct yaml_node *yaml_get(const struct yaml_node *map, struct str key);
/* The same down a dotted path: "burst_guard.slot". "" is the node itself. */
struct yaml_node *yaml_find(struct yaml_node *map, const char *path);

/* True when an error about a member of the mapping was reported: what seems to be missing beside it
 * may be what it was meant to be. */
bool yaml_has_bad(const struct yaml_node *map);

/* Takes away the item of a list that was cut, so that what is left was read completely. */
void yaml_prune_cut(struct yaml_node *);

/* True for `key:` with nothing behind it, `~` and `null`. */
bool yaml_is_null(const struct yaml_node *);

#endif
