/* proxy/fields_json.h — finds the values that a plan looks for in one JSON text as its bytes pass.
 * Internal to fields. Pure, no allocation.
 *
 * Any cut of the bytes gives the same. What no pointer leads into is passed by its brackets and
 * strings alone, so it may nest as deep as it likes; where a pointer leads, the text must be JSON
 * (RFC 8259), but for Python's NaN and Infinity. Of members of one name the first counts that leads
 * to a value. At the first byte that is no JSON reading stops: what was found before it counts.
 */
#ifndef PROXY_FIELDS_JSON_H
#define PROXY_FIELDS_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/fields_plan.h"
#include "proxy/fields_text.h"

struct fields_level {
    const struct fields_node *node;
    uint32_t index; /* of the element that comes or is under way */
    bool object;
};

struct fields_json {
    const struct fields_plan *plan;
    struct fields_level *levels; /* plan->depth of them */
    char *key;                   /* room for plan->key_max bytes */
    struct field_value *values;  /* by slot */
    uint32_t found;              /* slots for which nothing more is looked for in this text */
    uint32_t skip;               /* brackets open of what no pointer leads into */
    uint16_t depth;
    uint8_t at;   /* enum fields_at */
    bool escaped; /* in a string that is passed by: the byte before was a backslash */
    const struct fields_node *node; /* of the value that comes or is under way; NULL: none */
    struct fields_text string;      /* under way */
    uint8_t scalar_len;             /* over FIELDS_NUMBER_MAX: too long */
    char scalar[FIELDS_NUMBER_MAX];
};

/* Before each text. `slots`: those that are wanted of it; a value that is found replaces what
 * stands in values[]. */
void fields_json_start(struct fields_json *, uint32_t slots);
void fields_json_bytes(struct fields_json *, const char *p, const char *end);
/* The text is whole. */
void fields_json_end(struct fields_json *);
/* Nothing more is looked for: what is left of the text need not be read. */
bool fields_json_done(const struct fields_json *);

#endif
