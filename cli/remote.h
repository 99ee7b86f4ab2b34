/* cli/remote.h — talks to a running sluice's admin API. Blocking; one at a time.
 *
 * Failures are printed here, once and in one line, on standard error; callers return the exit code.
 */
#ifndef CLI_REMOTE_H
#define CLI_REMOTE_H

#include <jansson.h>

#include "base/error.h"
#include "cli/command.h"

struct remote;

/* From --admin and --token or their variables. NULL: printed why; exit with CLI_USAGE. */
struct remote *remote_new(const struct cli_args *);
void remote_free(struct remote *);
const char *remote_url(const struct remote *);
/* How long one answer may take, from now on; 30 s to begin with. */
void remote_limit(struct remote *, int ms);

/* `method` "GET" or "POST"; body NULL: none (borrowed). 0 and *ret (new reference) for a 2xx with
 * JSON, else a message in reterr: -EHOSTUNREACH nobody answered, -ENOENT 404, -EPROTO the answer
 * is not what sluice sends, REMOTE_REFUSED any other problem. */
enum { REMOTE_REFUSED = -1000 };
int remote_try(struct remote *, const char *method, const char *path, const json_t *body,
               json_t **ret, struct error *reterr);

/* The same, with the error printed. Returns CLI_OK or CLI_FAILED. */
int remote_call(struct remote *, const char *method, const char *path, const json_t *body,
                json_t **ret);

/* GET, for an answer that is no JSON: borrowed until the next call. Returns CLI_OK or CLI_FAILED,
 * which it has printed. */
int remote_fetch(struct remote *, const char *path, struct str *ret);

/* "/v1/rollouts/NAME" plus `suffix`, with NAME escaped. Heap. */
char *remote_rollout_path(const char *name, const char *suffix);

/* What the last call failed with, as text that is not cleaned, and on standard error. */
const char *remote_failure(const struct remote *);
void remote_print_failure(const struct remote *);

#endif
