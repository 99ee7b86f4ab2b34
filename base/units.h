/* base/units.h — text to numbers and back. The only place where "5s", "64KiB" and "1%" exist.
 *
 * Inside: nanoseconds, bytes, and shares as doubles in [0, 1] (weights in basis points).
 */
#ifndef BASE_UNITS_H
#define BASE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* "250ms", "10s", "5m", "1h", "1m30s", "2d", "1.5s". Units ns us ms s m h d, largest first; a bare
 * "0" is allowed, any other bare number is not. False on anything else, negatives, overflow. */
bool units_parse_duration(struct str, int64_t *ret_ns);
/* "512", "512B", "64KiB", "10MiB", "1GiB" (powers of two) and "64KB" "10MB" "1GB" (powers of ten).
 */
bool units_parse_size(struct str, uint64_t *ret_bytes);
/* "1%", "0.1%", "0.01"; 0 to 1 inclusive. */
bool units_parse_share(struct str, double *ret);

enum { UNITS_TEXT_MAX = 32 };
/* All return `to`. Durations print as people write them: "10m", "1m30s", "250ms", "1.5s" ("4.2s"
 * keeps at most three digits behind the point and drops zeros), exact for whole ms. */
char *units_duration_text(int64_t ns, char to[static UNITS_TEXT_MAX]);
char *units_size_text(uint64_t bytes, char to[static UNITS_TEXT_MAX]);
/* Percent with up to 4 significant digits: "0.5%", "12.3%", "100%", "0.0012%". */
char *units_share_text(double share, char to[static UNITS_TEXT_MAX]);

#endif
