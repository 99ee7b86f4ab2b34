/* The topic classifier. log P(topic | words) up to a constant is the sum of log P(word | topic)
 * with add-one smoothing; the topics are equally frequent, so there is no prior. Naive Bayes counts
 * dependent words as independent evidence and is far too sure of itself, so the sum is divided by
 * the root of the number of known words before it becomes a probability: the order stays, the
 * scores are usable.
 */
#include "examples/model-server/classifier.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "examples/model-server/vocab.h"

struct weights {
    double log_share[TOPIC_COUNT];
};

struct classifier {
    struct vocab words;      /* lower case */
    struct weights *weights; /* by word */
};

static bool next_word(struct str *rest, char buffer[static WORD_BYTES_MAX], struct str *ret)
{
    while (word_next(rest, ret)) {
        if (word_is_mark(*ret))
            continue;
        *ret = word_lower(*ret, buffer);
        return true;
    }
    return false;
}

/* Counts every word per topic; the counts become logarithms once all are known. */
static void count_words(struct classifier *c, uint32_t totals[static TOPIC_COUNT])
{
    uint32_t cap = 0;

    for (size_t i = 0; i < corpus_count; i++) {
        struct str rest = str_from(corpus[i].text), word;
        char buffer[WORD_BYTES_MAX];

        while (next_word(&rest, buffer, &word)) {
            uint32_t known = c->words.count, id = vocab_add(&c->words, word);

            if (id == cap) {
                cap = cap == 0 ? 512 : cap * 2;
                c->weights = xrealloc(c->weights, cap * sizeof(*c->weights));
            }
            if (id == known)
                c->weights[id] = (struct weights){0};
            c->weights[id].log_share[corpus[i].topic] += 1;
            totals[corpus[i].topic]++;
        }
    }
}

struct classifier *classifier_train(void)
{
    struct classifier *c = xcalloc(1, sizeof(*c));
    uint32_t totals[TOPIC_COUNT] = {0};

    vocab_init(&c->words);
    count_words(c, totals);
    for (uint32_t id = 0; id < c->words.count; id++)
        for (int t = 0; t < TOPIC_COUNT; t++)
            c->weights[id].log_share[t] =
                log((c->weights[id].log_share[t] + 1) / (totals[t] + c->words.count));
    return c;
}

void classifier_free(struct classifier *c)
{
    if (c == NULL)
        return;
    vocab_deinit(&c->words);
    free(c->weights);
    free(c);
}

struct classifier_answer classifier_judge(const struct classifier *c, struct str text)
{
    struct classifier_answer answer = {.label = 0};
    double sum = 0, *score = answer.score;
    char buffer[WORD_BYTES_MAX];
    uint32_t known = 0;
    struct str word;

    while (next_word(&text, buffer, &word)) {
        uint32_t id = vocab_find(&c->words, word);

        if (id == VOCAB_NONE)
            continue;
        known++;
        for (int t = 0; t < TOPIC_COUNT; t++)
            score[t] += c->weights[id].log_share[t];
    }
    for (int t = 1; t < TOPIC_COUNT; t++)
        if (score[t] > score[answer.label])
            answer.label = (enum corpus_topic)t;
    double best = score[answer.label], scale = known > 0 ? sqrt(known) : 1;
    for (int t = 0; t < TOPIC_COUNT; t++)
        sum += score[t] = exp((score[t] - best) / scale);
    for (int t = 0; t < TOPIC_COUNT; t++)
        score[t] /= sum;
    return answer;
}
