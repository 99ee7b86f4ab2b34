/* examples/model-server/ngram.h — a small language model: an interpolated trigram over words.
 *
 * Trained once, then read only. The same prompt, parameters and seed give the same text.
 */
#ifndef MODEL_SERVER_NGRAM_H
#define MODEL_SERVER_NGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/strbuf.h"

enum { NGRAM_STOPS_MAX = 4, NGRAM_TOKENS_MAX = 4096 };

struct ngram;

struct ngram_params {
    double temperature; /* 0 = always the likeliest; 1 = as learned */
    double top_p;       /* (0, 1] */
    uint32_t max_tokens;
    uint64_t seed;
    struct str stops[NGRAM_STOPS_MAX]; /* the text ends before the first of them */
    size_t stop_count;
};

enum ngram_finish { NGRAM_STOP, NGRAM_LENGTH };

struct ngram_text {
    struct strbuf text;
    uint32_t *ends; /* of each token in `text` */
    uint32_t count;
    enum ngram_finish finish;
};

struct ngram *ngram_train(void); /* on corpus.h */
void ngram_free(struct ngram *);
uint32_t ngram_count_tokens(struct str text);
void ngram_generate(const struct ngram *, struct str prompt, const struct ngram_params *,
                    struct ngram_text *ret);
void ngram_text_deinit(struct ngram_text *);

#endif
