/* policies/schema_read.h — the parts of the schema's checker. Internal to policies/. */
#ifndef POLICIES_SCHEMA_READ_H
#define POLICIES_SCHEMA_READ_H

#include "policies/schema.h"

/* "a duration": what a row's value must be, for messages. */
const char *schema_type_words(const struct schema_row *);

/* Checks a text against its row: type, range, choices. False when an error was added. */
bool schema_check_text(const struct schema_row *, const struct yaml_node *, struct diagnostics *);

/* Checks that a text is one visible line of a bearable length, as everything is that may get into
 * a log or onto the wire. False when an error was added. */
bool schema_check_line(struct str name, const struct yaml_node *, struct diagnostics *);

/* The nearest key beneath `parent`, by spelling or because it is a known misnomer; or NULL. */
const struct schema_row *schema_nearest_key(const struct schema *, struct str parent,
                                            struct str key);

/* Adds the error for a key that no row has, with what may have been meant. */
void schema_report_unknown(const struct schema *, struct str parent, const struct yaml_node *,
                           struct diagnostics *);

#endif
