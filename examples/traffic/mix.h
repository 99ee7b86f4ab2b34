/* examples/traffic/mix.h — which requests are sent: kinds with their weights, serialised once.
 *
 * A template is a whole request with room for an id of MIX_ID_LEN bytes, so that sending one is a
 * copy and a patch.
 */
#ifndef TRAFFIC_MIX_H
#define TRAFFIC_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rng.h"
#include "base/str.h"

enum { MIX_KINDS_MAX = 16, MIX_ID_LEN = 19, MIX_HEADERS_MAX = 16 };

struct mix_kind {
    char name[64];
    uint32_t weight;
    bool stream; /* its answer is expected to end with [DONE] */
    char **templates;
    size_t *lengths, *id_at;
    size_t template_count;
};

struct mix {
    struct mix_kind kinds[MIX_KINDS_MAX];
    size_t count;
    uint32_t weight_sum;
};

struct mix_target {
    const char *host_field;               /* "127.0.0.1:8080" */
    const char *base;                     /* path put before every path; "" = none */
    const char *headers[MIX_HEADERS_MAX]; /* "Name: value" */
    size_t header_count;
    uint32_t max_tokens; /* of chat and stream */
};

/* "predict=70,chat=20,stream=10,get=/health:5". Errors name the part that is wrong. */
int mix_parse(struct mix *, const struct mix_target *, const char *text, struct error *reterr);
/* The one request of --method, --path and --body. */
void mix_single(struct mix *, const struct mix_target *, const char *method, const char *path,
                const char *content_type, struct str body);
void mix_deinit(struct mix *);
/* Draws a kind and one of its templates. */
const struct mix_kind *mix_draw(const struct mix *, struct rng *, size_t *ret_template);

#endif
