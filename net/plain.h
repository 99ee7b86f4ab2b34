/* net/plain.h — heads as nearly all messages have them, read in one pass over their bytes.
 *
 * What a plain head is stands in net/head.h, whose only reader this is. Neither of these refuses
 * anything: what is not plain, not whole, or wrong gets false and is read the long way.
 */
#ifndef NET_PLAIN_H
#define NET_PLAIN_H

#include "net/head.h"

/* The head at the front of `bytes`. True: ret has its start line (path and query too), its fields,
 * length and keep_alive, and what is not in it is cleared; Host, Expect and the like are not looked
 * into. False: ret is in any state. */
bool plain_request(struct str bytes, struct head_limits limits, struct head *ret);
bool plain_response(struct str bytes, struct head_limits limits, struct head *ret);

#endif
