/* The text model. Jelinek-Mercer interpolation of the trigram with the bigram,
 * P(w | u v) = L f(w | u v) + (1 - L) f(w | v), over the words seen after v; every trigram is also
 * a bigram, so that list holds all candidates. A prompt has its say through its rarest known word:
 * the text opens like a sentence in which that word stood.
 */
#include "examples/model-server/ngram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/rng.h"
#include "examples/model-server/corpus.h"
#include "examples/model-server/vocab.h"

enum { EDGE = 0, CANDIDATES_MAX = 1024, PAIR_SLOTS = 16384, TEXT_BYTES_MAX = 256 * 1024 };

static const double trigram_share = 0.85;
static const double end_share = 0.4; /* of sentences that are the last */

struct follower {
    uint32_t word, count;
};

struct followers {
    struct follower *items; /* sorted by word once trained */
    uint32_t count, total;
};

struct opening { /* the first two words of a sentence */
    uint32_t first, second;
};

struct postings { /* sentences in which a lower-case word stands */
    struct opening *items;
    uint32_t count;
};

struct ngram {
    struct vocab words; /* EDGE is the edge of a sentence */
    struct vocab lower;
    struct followers *after_word;   /* by word */
    struct followers *after_pair;   /* by pair number */
    uint64_t pair_keys[PAIR_SLOTS]; /* 0 = free; else the pair plus 1 */
    uint32_t pair_numbers[PAIR_SLOTS];
    uint32_t pair_count;
    struct postings *postings; /* by lower-case word */
};

/* --- training --- */

static void follow(struct followers *f, uint32_t word)
{
    f->total++;
    for (uint32_t i = 0; i < f->count; i++) {
        if (f->items[i].word == word) {
            f->items[i].count++;
            return;
        }
    }
    CHECK(f->count < CANDIDATES_MAX);
    if ((f->count & (f->count - 1)) == 0)
        f->items = xrealloc(f->items, (f->count == 0 ? 1 : f->count * 2) * sizeof(*f->items));
    f->items[f->count++] = (struct follower){word, 1};
}

/* The slot of the pair u v, or the free one where it belongs. */
static uint32_t pair_slot(const struct ngram *n, uint32_t u, uint32_t v)
{
    uint64_t key = ((uint64_t)u << 32 | v) + 1;
    uint32_t at = (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 40) % PAIR_SLOTS;

    while (n->pair_keys[at] != 0 && n->pair_keys[at] != key)
        at = (at + 1) % PAIR_SLOTS;
    return at;
}

static struct followers *add_pair(struct ngram *n, uint32_t u, uint32_t v)
{
    uint32_t at = pair_slot(n, u, v);

    if (n->pair_keys[at] == 0) {
        CHECK(n->pair_count < PAIR_SLOTS / 2);
        n->pair_keys[at] = ((uint64_t)u << 32 | v) + 1;
        n->pair_numbers[at] = n->pair_count++;
    }
    return &n->after_pair[n->pair_numbers[at]];
}

static void post(struct ngram *n, struct str word, struct opening opening)
{
    char text[WORD_BYTES_MAX];
    struct postings *p = &n->postings[vocab_add(&n->lower, word_lower(word, text))];

    if ((p->count & (p->count - 1)) == 0)
        p->items = xrealloc(p->items, (p->count == 0 ? 1 : p->count * 2) * sizeof(*p->items));
    p->items[p->count++] = opening;
}

static void learn(struct ngram *n, struct str text)
{
    struct str rest = text, word;
    struct opening opening = {EDGE, EDGE};
    uint32_t u = EDGE, v = EDGE;

    while (word_next(&rest, &word)) {
        uint32_t w = vocab_add(&n->words, word);

        if (opening.first == EDGE)
            opening.first = w;
        else if (opening.second == EDGE)
            opening.second = w;
        follow(&n->after_word[v], w);
        follow(add_pair(n, u, v), w);
        u = v;
        v = w;
    }
    follow(&n->after_word[v], EDGE);
    follow(add_pair(n, u, v), EDGE);
    rest = text;
    while (word_next(&rest, &word))
        if (!word_is_mark(word))
            post(n, word, opening);
}

static int by_word(const void *a, const void *b)
{
    uint32_t x = ((const struct follower *)a)->word, y = ((const struct follower *)b)->word;

    return x < y ? -1 : x > y;
}

static size_t count_corpus_words(void)
{
    size_t count = 1;

    for (size_t i = 0; i < corpus_count; i++)
        count += ngram_count_tokens(str_from(corpus[i].text)) + 1;
    return count;
}

struct ngram *ngram_train(void)
{
    struct ngram *n = xcalloc(1, sizeof(*n));
    size_t bound = count_corpus_words(); /* of distinct words and of pairs */

    vocab_init(&n->words);
    vocab_init(&n->lower);
    vocab_add(&n->words, STR(""));
    n->after_word = xcalloc(bound, sizeof(*n->after_word));
    n->after_pair = xcalloc(bound, sizeof(*n->after_pair));
    n->postings = xcalloc(bound, sizeof(*n->postings));
    for (size_t i = 0; i < corpus_count; i++)
        learn(n, str_from(corpus[i].text));
    for (uint32_t i = 0; i < n->words.count; i++)
        qsort(n->after_word[i].items, n->after_word[i].count, sizeof(struct follower), by_word);
    for (uint32_t i = 0; i < n->pair_count; i++)
        qsort(n->after_pair[i].items, n->after_pair[i].count, sizeof(struct follower), by_word);
    return n;
}

void ngram_free(struct ngram *n)
{
    if (n == NULL)
        return;
    for (uint32_t i = 0; i < n->words.count; i++)
        free(n->after_word[i].items);
    for (uint32_t i = 0; i < n->pair_count; i++)
        free(n->after_pair[i].items);
    for (uint32_t i = 0; i < n->lower.count; i++)
        free(n->postings[i].items);
    free(n->after_word);
    free(n->after_pair);
    free(n->postings);
    vocab_deinit(&n->words);
    vocab_deinit(&n->lower);
    free(n);
}

/* --- drawing the next word --- */

static uint32_t draw_count(const struct followers *f, struct rng *rng)
{
    uint32_t left = rng_below(rng, f->total), i = 0;

    while (left >= f->items[i].count)
        left -= f->items[i++].count;
    return f->items[i].word;
}

struct candidate {
    uint32_t word;
    double weight;
};

static int by_weight(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->weight > y->weight)
        return -1;
    if (x->weight < y->weight)
        return 1;
    return x->word < y->word ? -1 : x->word > y->word;
}

/* The interpolated probabilities of all candidates, both lists being sorted by word. */
static uint32_t interpolate(const struct followers *pair, const struct followers *word,
                            struct candidate *to)
{
    uint32_t j = 0;

    for (uint32_t i = 0; i < word->count; i++) {
        double p = (double)word->items[i].count / word->total;

        if (pair != NULL) {
            p *= 1 - trigram_share;
            if (j < pair->count && pair->items[j].word == word->items[i].word)
                p += trigram_share * pair->items[j++].count / pair->total;
        }
        to[i] = (struct candidate){word->items[i].word, p};
    }
    return word->count;
}

static uint32_t draw_shaped(const struct followers *pair, const struct followers *word,
                            const struct ngram_params *p, struct rng *rng)
{
    struct candidate c[CANDIDATES_MAX];
    uint32_t count = interpolate(pair, word, c), kept = 0;
    double sum = 0, mass = 0;

    qsort(c, count, sizeof(c[0]), by_weight);
    if (p->temperature <= 0)
        return c[0].word;
    for (uint32_t i = 0; i < count; i++) {
        c[i].weight = pow(c[i].weight / c[0].weight, 1 / p->temperature);
        if (i > 0)
            sum += c[i].weight;
    }
    c[0].weight = 1;
    sum += 1;
    while (kept < count && (kept == 0 || mass < p->top_p * sum))
        mass += c[kept++].weight;
    double left = rng_unit(rng) * mass;
    for (uint32_t i = 0; i < kept; i++) {
        left -= c[i].weight;
        if (left < 0)
            return c[i].word;
    }
    return c[kept - 1].word;
}

static uint32_t draw(const struct ngram *n, uint32_t u, uint32_t v, const struct ngram_params *p,
                     struct rng *rng)
{
    const struct followers *word = &n->after_word[v], *pair = NULL;
    uint32_t slot = pair_slot(n, u, v);

    if (n->pair_keys[slot] != 0)
        pair = &n->after_pair[n->pair_numbers[slot]];
    if (p->temperature < 1 || p->temperature > 1 || p->top_p < 1)
        return draw_shaped(pair, word, p, rng);
    return draw_count(pair != NULL && rng_unit(rng) < trigram_share ? pair : word, rng);
}

/* --- text --- */

uint32_t ngram_count_tokens(struct str text)
{
    uint32_t count = 0;
    struct str word;

    while (word_next(&text, &word))
        count++;
    return count;
}

/* The sentences of the prompt's rarest known word; NULL when none is known. */
static const struct postings *topic_of(const struct ngram *n, struct str prompt)
{
    const struct postings *best = NULL;
    struct str word;

    while (word_next(&prompt, &word)) {
        char text[WORD_BYTES_MAX];
        uint32_t id = vocab_find(&n->lower, word_lower(word, text));

        if (id != VOCAB_NONE && (best == NULL || n->postings[id].count < best->count))
            best = &n->postings[id];
    }
    return best;
}

static void add_word(struct ngram_text *t, const char *word)
{
    struct str s = str_from(word);

    if (t->text.len > 0 && !word_is_mark(s))
        strbuf_add_char(&t->text, ' ');
    strbuf_add(&t->text, s);
    t->ends[t->count++] = (uint32_t)t->text.len;
}

/* Cuts the text before a stop sequence that the last token completed. */
static bool hit_stop(struct ngram_text *t, const struct ngram_params *p)
{
    size_t token = t->count > 1 ? t->ends[t->count - 2] : 0;

    for (size_t i = 0; i < p->stop_count; i++) {
        struct str stop = p->stops[i];
        size_t from = token + 1 > stop.len ? token + 1 - stop.len : 0;
        const char *at = memmem(t->text.ptr + from, t->text.len - from, stop.ptr, stop.len);

        if (at == NULL)
            continue;
        t->text.len = (size_t)(at - t->text.ptr);
        t->text.ptr[t->text.len] = '\0';
        while (t->count > 0 && (t->count > 1 ? t->ends[t->count - 2] : 0) >= t->text.len)
            t->count--;
        if (t->count > 0)
            t->ends[t->count - 1] = (uint32_t)t->text.len;
        return true;
    }
    return false;
}

void ngram_generate(const struct ngram *n, struct str prompt, const struct ngram_params *p,
                    struct ngram_text *ret)
{
    const struct postings *topic = topic_of(n, prompt);
    uint32_t max = p->max_tokens < NGRAM_TOKENS_MAX ? p->max_tokens : NGRAM_TOKENS_MAX;
    struct opening opening = {EDGE, EDGE};
    struct rng rng;
    uint32_t u = EDGE, v = EDGE;

    rng_seed(&rng, p->seed);
    strbuf_init(&ret->text, TEXT_BYTES_MAX);
    ret->ends = xmalloc((max + 1) * sizeof(*ret->ends));
    ret->count = 0;
    ret->finish = NGRAM_STOP;
    if (topic != NULL)
        opening = topic->items[rng_below(&rng, topic->count)];
    while (ret->count < max) {
        uint32_t w = opening.first;

        if (w != EDGE) {
            opening = (struct opening){opening.second, EDGE};
        } else {
            w = draw(n, u, v, p, &rng);
        }
        if (w == EDGE) {
            if (rng_unit(&rng) < end_share)
                return;
            u = v = EDGE;
            continue;
        }
        add_word(ret, n->words.words[w]);
        if (p->stop_count > 0 && hit_stop(ret, p))
            return;
        u = v;
        v = w;
    }
    ret->finish = NGRAM_LENGTH;
}

void ngram_text_deinit(struct ngram_text *t)
{
    strbuf_deinit(&t->text);
    free(t->ends);
    t->ends = NULL;
}
