/* proxy/access_log.h — one JSON line per exchange, written by a thread of its own.
 *
 * Workers never touch a file: each has a ring of bytes that only it writes and only the log thread
 * reads, with no lock. A full ring drops the line and counts it; a slow disk costs lines, not
 * requests.
 */
#ifndef PROXY_ACCESS_LOG_H
#define PROXY_ACCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { ACCESS_LOG_RING_BYTES = 1024 * 1024, ACCESS_LOG_LINE_MAX = 4096 };

struct access_log;

/* `to`: "stdout", "stderr" or a path (appended to). */
int access_log_new(const char *to, size_t workers, struct access_log **ret, struct error *reterr);
/* Opens the path again, which may be another file by now (a log was rotated); nothing to do for the
 * standard streams. Lines go to the old file until the thread has the new one. The control thread.
 * On an error the old file stays in use. */
int access_log_reopen(struct access_log *, struct error *reterr);
/* Writes what is still in the rings, then joins the thread. NULL is fine. */
void access_log_free(struct access_log *);
/* The worker's thread. The line ends with a newline. False: there was no room for it. */
bool access_log_add(struct access_log *, size_t worker, struct str line);

#endif
