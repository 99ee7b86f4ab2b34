/* examples/model-server/vocab.h — words: cutting text into them, and numbering them. */
#ifndef MODEL_SERVER_VOCAB_H
#define MODEL_SERVER_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { VOCAB_NONE = UINT32_MAX, WORD_BYTES_MAX = 32 };

/* Splits the next word (letters, digits, inner ' and -) or punctuation mark off *rest; false at the
 * end. Other bytes separate. Words longer than WORD_BYTES_MAX come in pieces. */
bool word_next(struct str *rest, struct str *ret);
bool word_is_mark(struct str word); /* punctuation: no space before it */
/* ASCII lower case into `to`; the result lives there. */
struct str word_lower(struct str word, char to[static WORD_BYTES_MAX]);

/* Numbers words from 0 in order of appearance. */
struct vocab {
    char **words;
    uint32_t count, cap;
    uint32_t *slots; /* open addressing; VOCAB_NONE = free */
    uint32_t slot_count;
};

void vocab_init(struct vocab *);
void vocab_deinit(struct vocab *);
uint32_t vocab_add(struct vocab *, struct str word);        /* the same word: the same number */
uint32_t vocab_find(const struct vocab *, struct str word); /* VOCAB_NONE when unknown */

#endif
