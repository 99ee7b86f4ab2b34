/* policies/schema.h — every key of the policy and configuration languages, once.
 *
 * One row per key drives the parser, its messages ("did you mean"), the defaults, the JSON Schemas
 * and the reference pages. Rows are in policies/schema_keys.c. A key that is known but not built
 * yet has `later` set: it is refused when written.
 */
#ifndef POLICIES_SCHEMA_H
#define POLICIES_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "policies/yaml.h"

enum schema_type {
    SCHEMA_MAP,      /* has rows beneath it */
    SCHEMA_TEXT_MAP, /* any keys, text values */
    SCHEMA_TEXT,
    SCHEMA_CHOICE,   /* one of `choices` */
    SCHEMA_COUNT,    /* a whole number */
    SCHEMA_DURATION, /* "10s" */
    SCHEMA_SIZE,     /* "64KiB" */
    SCHEMA_SHARE,    /* "1%" or 0.01 */
    SCHEMA_WEIGHT,   /* "10%" or 10: percent; basis points inside */
    SCHEMA_BOOL,     /* true or false */
    SCHEMA_RATIO,    /* "1.3" or "1.3x" */
    SCHEMA_LIMIT,    /* a share, a duration or a number, as its criterion's metric says */
    SCHEMA_TYPE_COUNT,
};

enum schema_many { SCHEMA_ONE, SCHEMA_MANY, SCHEMA_ONE_OR_MANY };

struct schema_row {
    const char *path; /* "analysis.burst_guard.slot"; of a list's items: "steps.weight" */
    enum schema_type type;
    enum schema_many many;
    const char *default_text; /* as one would write it, lists too; NULL: none */
    /* What it is instead when the lists that it depends on are written the other way, and how the
     * reference pages say that; its reader knows which lists. NULL: there is one default. */
    const char *default_other, *default_case;
    const char *min, *max;        /* bounds, in the type's notation; NULL: none */
    bool above_min, below_max;    /* the bounds themselves are outside */
    const char *choices;          /* "auto|manual": the index is the value */
    const char *later_choices;    /* known, not supported yet */
    const char *choice_misnomers; /* "revert=rollback|warn=report" */
    const char *word;             /* COUNT, DURATION: a word that stands for 0 ("auto", "cut") */
    const char *shorthand;        /* SCHEMA_MAP: plain text stands for this one key */
    const char *misnomers;        /* "percent|traffic": what people write instead */
    const char *example;          /* how to write it */
    size_t items_max;             /* lists; 0: by the file's limits only */
    const char *pattern;          /* SCHEMA_TEXT: for the JSON Schema; the readers check it in C */
    bool required;
    bool later;
    bool may_be_empty; /* a list of nothing says something */
    bool decides;      /* while its value is wrong, its siblings are not looked at */
    const char *doc;   /* what it does: one or two sentences */
};

struct schema {
    const char *name;  /* "policy" */
    const char *title; /* "a policy" */
    const struct schema_row *rows;
    size_t count;
};

extern const struct schema schema_policy, schema_config;

struct schema_value {
    int64_t ns;   /* DURATION */
    uint64_t n;   /* COUNT, SIZE, WEIGHT (basis points), CHOICE (index), BOOL */
    double share; /* SHARE, RATIO */
    struct str text;
};

/* The row of `key` beneath `parent` ("" = top level), or NULL. */
const struct schema_row *schema_find(const struct schema *, struct str parent, struct str key);
const struct schema_row *schema_row(const struct schema *, const char *path);
/* "slot" of "analysis.burst_guard.slot"; and "analysis.burst_guard", or "". */
struct str schema_leaf(const struct schema_row *);
struct str schema_parent(const struct schema_row *);

/* Checks names, shapes, types and ranges of everything beneath `root`; adds all errors. Bad nodes
 * are marked. Shorthands are rewritten, so that afterwards lists are lists and items mappings. */
void schema_check(const struct schema *, struct yaml_node *root, struct arena *,
                  struct diagnostics *);

/* Decimal digits with or without a point, at most 20 characters: "1.3". */
bool schema_read_number(struct str, double *ret);

/* Reads text as the row's type, without range. False when it is not of that type. */
bool schema_read(const struct schema_row *, struct str text, struct schema_value *ret);

/* Where a row's value goes in a struct. The field's type is the schema type's: int64_t for
 * durations, uint32_t or uint64_t for counts and sizes, double for shares, const char * for text,
 * an enum for choices, bool. */
struct schema_binding {
    const char *path;
    size_t offset, size;
};
#define SCHEMA_BIND(path_, struct_, field_)                                                        \
    {                                                                                              \
        .path = (path_), .offset = offsetof(struct_, field_),                                      \
        .size = sizeof(((struct_ *)0)->field_)                                                     \
    }

/* Fills `into` from the members of `map` (NULL: all defaults). `prefix` is the path of `map` in
 * the schema. Bad and absent values give the default; without one the field stays as it is. */
void schema_fill(const struct schema *, const char *prefix, struct yaml_node *map,
                 const struct schema_binding *, size_t count, struct arena *, void *into);

/* A row's default as checked nodes without positions; the row has one. */
struct yaml_node *schema_default(const struct schema *, const char *path, struct arena *);

/* The choice's index-th word, for messages. */
struct str schema_choice(const char *choices, size_t index);
/* The nearest of the words in "a|b|c" that a slip of the keyboard can explain, or an empty slice.
 */
struct str schema_nearest(struct str word, const char *choices);

#endif
