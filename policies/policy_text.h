/* policies/policy_text.h — what a policy decides by, as a document of its own.
 *
 * A journal carries it, so that decisions can be taken again where neither the file nor its
 * variables are. Internal to policies/.
 */
#ifndef POLICIES_POLICY_TEXT_H
#define POLICIES_POLICY_TEXT_H

#include "base/arena.h"
#include "policies/yaml.h"

/* The document of `root` in JSON, which is YAML: with its variables filled in, and without what
 * decides nothing but may hold secrets (headers that are set, keys, names of files). Read again, it
 * gives the same decisions. Lives in the arena; "" when it is no mapping. */
const char *policy_text(struct arena *, const struct yaml_node *root);

#endif
