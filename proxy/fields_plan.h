/* proxy/fields_plan.h — which values of a rollout's answers its criteria compare: members of their
 * JSON, the tokens they say they used, their size. Compiled once per policy. Pure.
 *
 * All JSON pointers (RFC 6901) are one tree, so that an answer is read once whatever their number.
 */
#ifndef PROXY_FIELDS_PLAN_H
#define PROXY_FIELDS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "policies/policy.h"

enum { FIELDS_SLOTS_MAX = CRITERIA_MAX + 1 }; /* one per pointer, and one for the tokens used */

#define FIELDS_NO_INDEX UINT32_MAX

/* A step of a pointer. */
struct fields_node {
    struct str token; /* unescaped: the key, where the value it is looked for in is an object */
    uint32_t index;   /* ... and the position where that is an array; FIELDS_NO_INDEX: none */
    uint32_t slots;   /* bits: the values that stand here */
    uint32_t within;  /* bits: ... and those that stand here or beneath */
    struct fields_node *child, *next; /* its first; the next of its parent */
};

struct fields_plan {
    uint32_t criteria;   /* bits: those that compare values */
    uint32_t sizes;      /* ... of them, by the answer's size */
    uint32_t usage;      /* ... by the tokens it says it used */
    uint32_t fields;     /* ... by a member of its JSON */
    uint32_t slots;      /* bits; 0: nothing within an answer is looked for */
    uint32_t usage_slot; /* its bit; 0: none. Several places lead to it, and only numbers count */
    uint8_t slot_of[CRITERIA_MAX]; /* of the criteria that look into answers */
    size_t depth;                  /* steps of the longest pointer */
    size_t key_max;                /* bytes of the longest token */
    struct fields_node *root;
};

/* NULL: no criterion compares values. Lives in the arena and borrows the policy. */
const struct fields_plan *fields_plan_new(const struct policy *, struct arena *);

#endif
