/* policies/schema_docs.h — the table of keys as a JSON Schema and as a reference page. */
#ifndef POLICIES_SCHEMA_DOCS_H
#define POLICIES_SCHEMA_DOCS_H

#include "base/strbuf.h"
#include "policies/schema.h"

/* JSON Schema, draft 2020-12. Keys that are not supported yet are left out, so that editors flag
 * them as `sluice check` does. */
void schema_print_json(const struct schema *, struct strbuf *out);

/* The tables of a reference page, in Markdown: a section for each top-level mapping, then the keys
 * that are not supported yet. */
void schema_print_tables(const struct schema *, struct strbuf *out);

/* The whole page: prose and examples, then the tables. */
void schema_print_page(const struct schema *, struct strbuf *out);

#endif
