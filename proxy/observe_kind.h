/* proxy/observe_kind.h — whether an answer is a stream of events, by its head. Internal to observe.
 * Pure.
 */
#ifndef PROXY_OBSERVE_KIND_H
#define PROXY_OBSERVE_KIND_H

#include <stdbool.h>

#include "net/head.h"

enum stream_kind { STREAM_NONE, STREAM_EVENTS, STREAM_LINES };

/* *ret_unseen: it is one, and cannot be read. */
enum stream_kind observe_kind(const struct head *response, bool *ret_unseen);
/* Its content is compressed, or encoded otherwise. */
bool observe_is_encoded(const struct head *response);

#endif
