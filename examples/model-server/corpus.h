/* examples/model-server/corpus.h — the text both models are trained on: sentences under a topic. */
#ifndef MODEL_SERVER_CORPUS_H
#define MODEL_SERVER_CORPUS_H

#include <stddef.h>

enum corpus_topic { TOPIC_TIDES, TOPIC_BRIDGES, TOPIC_GARDENS, TOPIC_RELEASES, TOPIC_COUNT };

struct corpus_sentence {
    enum corpus_topic topic;
    const char *text; /* ASCII, one or more whole sentences */
};

extern const struct corpus_sentence corpus[];
extern const size_t corpus_count;
extern const char *const corpus_topic_names[TOPIC_COUNT];

#endif
