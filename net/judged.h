/* net/judged.h — heads read the long way: byte by byte, and again by llhttp, which must agree.
 *
 * For all that is not plain (net/head.h, whose only reader this is, says what that is). Both fill
 * in the start line as it came, the fields, length, keep_alive and what Connection names; Host and
 * the like are not looked into.
 */
#ifndef NET_JUDGED_H
#define NET_JUDGED_H

#include "net/head.h"

/* Where the head ends. > 0: its length, the empty line included. 0: not all there yet. -1: a bare
 * LF or a NUL, which no head may hold. `from` is how much was looked at before (0 at first). */
ptrdiff_t judged_end(struct str bytes, size_t from);

/* As head_parse_request and head_parse_response (net/head.h). */
int judged_request(struct str bytes, size_t scanned, struct head_limits limits, struct head *ret,
                   const char **ret_why);
int judged_response(struct str bytes, size_t scanned, struct head_limits limits, struct head *ret,
                    const char **ret_why);

#endif
