/* policies/policy_fields.h — lists of words and mappings of header fields. Internal to policies/.
 */
#ifndef POLICIES_POLICY_FIELDS_H
#define POLICIES_POLICY_FIELDS_H

#include "policies/policy_read.h"

/* A token of RFC 9110, 5.6.2. */
bool policy_is_token(struct str);

/* False when an error was added. */
typedef bool policy_text_fn(struct policy_reader *, const struct yaml_node *);
typedef bool policy_field_fn(struct policy_reader *, struct str name, struct source_pos at);

/* False, with an error, for what is no name of a header field. */
bool policy_check_field_name(struct policy_reader *, struct str name, struct source_pos at);

/* Copies what `check` accepts of a list (NULL: none); the same text twice is an error. Returns how
 * many there are. */
size_t policy_read_texts(struct policy_reader *, const struct yaml_node *list, policy_text_fn *,
                         bool lower_case, const char *const **ret);

/* The same where an empty list is an error, since it would match nothing. policy_match.c */
size_t policy_read_any_of(struct policy_reader *, const struct yaml_node *list, policy_text_fn *,
                          bool lower_case, const char *const **ret);
/* For these lists: a path prefix; a request method. policy_match.c */
bool policy_check_path(struct policy_reader *, const struct yaml_node *);
bool policy_check_method(struct policy_reader *, const struct yaml_node *);

/* The same of a mapping of header fields, whose names end in lower case. */
size_t policy_read_fields(struct policy_reader *, const struct yaml_node *map, policy_field_fn *,
                          size_t most, const struct policy_header **ret);

#endif
