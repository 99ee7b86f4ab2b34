/* proxy/fields.h — takes from an answer, as it passes, the values that criteria compare: members of
 * its JSON, and the tokens that it says it used. Pure; one allocation per answer that is looked at,
 * of a size that the policy alone sets. The bytes are read where they lie and never changed, held
 * or delayed.
 *
 * Looked at are answers of status 2xx without a Content-Encoding: JSON (application/json, or a type
 * that ends in +json), and the streams that proxy/observe.h knows. Of a stream's events the last
 * one counts that has the value. Of members of the same name within one text the first counts.
 */
#ifndef PROXY_FIELDS_H
#define PROXY_FIELDS_H

#include "base/str.h"
#include "net/head.h"
#include "proxy/fields_json.h"
#include "proxy/fields_plan.h"

struct fields;

/* NULL: nothing of it is looked at. `criteria`: bits, those that the request belongs to. Keeps the
 * plan, not the head. */
struct fields *fields_new(const struct fields_plan *, uint32_t criteria,
                          const struct head *response);
void fields_free(struct fields *); /* NULL is fine */

/* The next bytes of the content, without any transfer coding. */
void fields_bytes(struct fields *, struct str run);
/* The answer is whole; before the values are asked for. */
void fields_end(struct fields *);

/* What was found for one of the criteria. FIELD_MISSING as well when it is not one of `criteria`.
 */
struct field_value fields_value(const struct fields *, size_t criterion);
/* The tokens it says it used; -1: it did not say, or was not asked. */
int64_t fields_tokens(const struct fields *);

#endif
