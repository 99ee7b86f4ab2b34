/* policies/policy_read.h — what the parts of the policy reader share. Internal to policies/. */
#ifndef POLICIES_POLICY_READ_H
#define POLICIES_POLICY_READ_H

#include "base/arena.h"
#include "base/error.h"
#include "policies/policy.h"
#include "policies/yaml.h"

struct policy_reader {
    struct arena *arena;   /* of the policy */
    struct arena *scratch; /* until it is read */
    struct diagnostics *errors;
    const char *file; /* the policy's own copy of its path */
    const char *path; /* the same, for diagnostics, which outlive the policy */
    bool cut;         /* the document broke off: nothing is said about what is missing */
};

/* A position that lives as long as the policy. */
static inline struct source_pos policy_reader_keep(const struct policy_reader *r,
                                                   struct source_pos at)
{
    return (struct source_pos){r->file, at.line, at.column}; /* defaults: line 0 */
}

/* Each reads one section (NULL: it is not written) and adds what is wrong with it. */
void policy_read_match(struct policy_reader *, struct yaml_node *, struct policy_match *);
void policy_read_version(struct policy_reader *, enum variant, struct yaml_node *,
                         struct policy_version *);
void policy_read_steps(struct policy_reader *, struct yaml_node *, struct policy *);
void policy_read_upstream(struct policy_reader *, struct yaml_node *root, struct policy *);
/* burst_guard, hard_down, evidence and what happens when something is missing. */
void policy_read_guard(struct policy_reader *, struct yaml_node *root, struct policy *);
/* The bits of a list of outcomes; the same one twice is an error. */
uint32_t policy_read_kinds(struct policy_reader *, const struct yaml_node *list);
void policy_read_bake(struct policy_reader *, struct yaml_node *root, struct policy *);
/* After the guard, which says what an error is, and `match`. */
void policy_read_criteria(struct policy_reader *, struct yaml_node *, struct policy *);
/* After the criteria, which are compared with the timeouts. */
void policy_check_timeouts(struct policy_reader *, struct yaml_node *root, struct policy *);

#endif
