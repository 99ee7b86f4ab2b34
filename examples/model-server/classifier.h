/* examples/model-server/classifier.h — which topic a text is about: multinomial naive Bayes.
 *
 * Trained once on the labelled sentences of corpus.h, then read only.
 */
#ifndef MODEL_SERVER_CLASSIFIER_H
#define MODEL_SERVER_CLASSIFIER_H

#include "base/str.h"
#include "examples/model-server/corpus.h"

struct classifier;

struct classifier_answer {
    enum corpus_topic label;
    double score[TOPIC_COUNT]; /* probabilities; sum 1 */
};

struct classifier *classifier_train(void);
void classifier_free(struct classifier *);
struct classifier_answer classifier_judge(const struct classifier *, struct str text);

#endif
