/* Comparing is all there is to it: the literal bytes, then a hole, and so on. */
#include "proxy/observe_shape.h"

#include <string.h>

#include "proxy/observe_scan.h"

enum { LEARN_EVERY = 8 };

/* A string's bytes up to its closing quote, which is literal; at least one, so that it is filled.
 */
static const char *text_hole(const char *p, const char *end)
{
    bool escapes;
    const char *stop = observe_string_end(p, end, &escapes);

    return stop == p ? NULL : stop;
}

/* By its first byte it is no null and no true. */
static const char *number_hole(const char *p, const char *end)
{
    if (p == end || !(*p == '-' || (*p >= '0' && *p <= '9')))
        return NULL;
    return observe_scalar_end(observe_digits_end(p + 1, end), end);
}

static const char *fit(const struct observe_shape *s, const char *p, const char *end)
{
    const char *literal = s->bytes;

    for (unsigned i = 0;; i++) {
        size_t n = s->parts[i].literal;
        if ((size_t)(end - p) < n || memcmp(p, literal, n) != 0)
            return NULL;
        p += n;
        literal += n;
        if (i == s->holes)
            return p;
        p = s->parts[i].text ? text_hole(p, end) : number_hole(p, end);
        if (p == NULL)
            return NULL;
    }
}

const struct observe_shape *observe_shape_find(const struct observe_shapes *all, uint8_t *hint,
                                               bool lines, const char *p, const char *end,
                                               const char **ret_end)
{
    for (unsigned i = 0; i < OBSERVE_SHAPES_MAX; i++) {
        unsigned index = (*hint + i) % OBSERVE_SHAPES_MAX;
        const struct observe_shape *s = &all->shapes[index];
        if (s->len == 0 || s->lines != lines || (*ret_end = fit(s, p, end)) == NULL)
            continue;
        *hint = (uint8_t)index;
        return s;
    }
    return NULL;
}

void observe_shape_learn(struct observe_shapes *all, bool lines, const char *p, const char *end,
                         const struct observe_holes *holes, const struct observe_event *proves)
{
    struct observe_shape *s = &all->shapes[all->next];
    size_t len = (size_t)(end - p);

    if (all->unknown++ % LEARN_EVERY != 0 || holes->count > OBSERVE_HOLES_MAX)
        return;
    for (unsigned i = 0; i < holes->count; i++)
        len -= (size_t)(holes->at[i].to - holes->at[i].from);
    if (len > OBSERVE_SHAPE_BYTES_MAX)
        return;
    s->len = 0;
    for (unsigned i = 0; i <= holes->count; i++) {
        bool last = i == holes->count;
        size_t n = (size_t)((last ? end : holes->at[i].from) - p);
        memcpy(s->bytes + s->len, p, n);
        s->len = (uint16_t)(s->len + n);
        s->parts[i].literal = (uint16_t)n;
        s->parts[i].text = !last && holes->at[i].text;
        p = last ? end : holes->at[i].to;
    }
    s->holes = (uint8_t)holes->count;
    s->lines = lines;
    s->proves = *proves;
    all->next = (uint8_t)((all->next + 1) % OBSERVE_SHAPES_MAX);
}
