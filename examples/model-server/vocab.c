/* Words and their numbers. The text is ours and ASCII; prompts may hold anything, and what is not a
 * letter, digit or mark only separates.
 */
#include "examples/model-server/vocab.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_mark(char c)
{
    return c == ',' || c == '.' || c == '?' || c == '!' || c == ';' || c == ':';
}

bool word_next(struct str *rest, struct str *ret)
{
    const char *p = rest->ptr, *end = rest->ptr + rest->len;

    while (p < end && !is_letter(*p) && !is_mark(*p))
        p++;
    if (p == end) {
        *rest = (struct str){end, 0};
        return false;
    }
    const char *begin = p++;
    if (is_letter(*begin))
        while (p < end && p - begin < WORD_BYTES_MAX &&
               (is_letter(*p) || ((*p == '\'' || *p == '-') && p + 1 < end && is_letter(p[1]))))
            p++;
    *ret = (struct str){begin, (size_t)(p - begin)};
    *rest = (struct str){p, (size_t)(end - p)};
    return true;
}

bool word_is_mark(struct str word)
{
    return word.len == 1 && is_mark(word.ptr[0]);
}

struct str word_lower(struct str word, char to[static WORD_BYTES_MAX])
{
    size_t len = word.len < WORD_BYTES_MAX ? word.len : WORD_BYTES_MAX;

    for (size_t i = 0; i < len; i++) {
        char c = word.ptr[i];

        to[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    return (struct str){to, len};
}

void vocab_init(struct vocab *v)
{
    *v = (struct vocab){0};
}

void vocab_deinit(struct vocab *v)
{
    for (uint32_t i = 0; i < v->count; i++)
        free(v->words[i]);
    free(v->words);
    free(v->slots);
    vocab_init(v);
}

/* The slot that holds the word, or the free one where it belongs. */
static uint32_t probe(const struct vocab *v, struct str word)
{
    uint32_t mask = v->slot_count - 1, at = (uint32_t)hash_fnv1a(word) & mask;

    while (v->slots[at] != VOCAB_NONE && !str_eq(str_from(v->words[v->slots[at]]), word))
        at = (at + 1) & mask;
    return at;
}

static void grow(struct vocab *v)
{
    v->slot_count = v->slot_count == 0 ? 1024 : v->slot_count * 2;
    free(v->slots);
    v->slots = xmalloc(v->slot_count * sizeof(*v->slots));
    for (uint32_t i = 0; i < v->slot_count; i++)
        v->slots[i] = VOCAB_NONE;
    for (uint32_t i = 0; i < v->count; i++)
        v->slots[probe(v, str_from(v->words[i]))] = i;
}

uint32_t vocab_add(struct vocab *v, struct str word)
{
    if (v->count * 2 >= v->slot_count)
        grow(v);
    uint32_t at = probe(v, word);
    if (v->slots[at] != VOCAB_NONE)
        return v->slots[at];
    if (v->count == v->cap) {
        v->cap = v->cap == 0 ? 512 : v->cap * 2;
        v->words = xrealloc(v->words, v->cap * sizeof(*v->words));
    }
    v->words[v->count] = xstrndup(word);
    v->slots[at] = v->count;
    return v->count++;
}

uint32_t vocab_find(const struct vocab *v, struct str word)
{
    return v->slot_count == 0 ? (uint32_t)VOCAB_NONE : v->slots[probe(v, word)];
}
