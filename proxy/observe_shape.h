/* proxy/observe_shape.h — events that are like one seen before but for their texts. Internal to
 * observe. Pure.
 *
 * A model's answer is hundreds of events whose bytes are the same but for a piece of text, an id, a
 * time. A shape is one event that was read: the bytes that must be the same, and holes between them
 * where a string that is not empty, or a number, stands of which nothing is asked but that it is
 * there. Whatever fits is read by the JSON machine through the same states, so it proves the same,
 * and need not be read by it.
 */
#ifndef PROXY_OBSERVE_SHAPE_H
#define PROXY_OBSERVE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/observe_judge.h"

enum {
    OBSERVE_SHAPES_MAX = 8,
    OBSERVE_SHAPE_BYTES_MAX = 512, /* without what is in the holes */
    OBSERVE_HOLES_MAX = 16,
};

/* What of an event's bytes may be another in the next; filled while it is read. */
struct observe_holes {
    unsigned count; /* over OBSERVE_HOLES_MAX: too many */
    struct {
        const char *from, *to;
        bool text; /* a string's; else a number */
    } at[OBSERVE_HOLES_MAX];
};

static inline void observe_hole(struct observe_holes *h, const char *from, const char *to,
                                bool text)
{
    if (h->count < OBSERVE_HOLES_MAX) {
        h->at[h->count].from = from;
        h->at[h->count].to = to;
        h->at[h->count].text = text;
    }
    h->count += h->count <= OBSERVE_HOLES_MAX;
}

/* The shapes seen last, of all streams of a worker. All zeros: none. */
struct observe_shapes {
    struct observe_shape {
        uint16_t len; /* of bytes; 0: no shape */
        bool lines;   /* of a stream of JSON lines */
        uint8_t holes;
        struct {
            uint16_t literal; /* bytes */
            bool text;        /* the hole behind them; the last part has none */
        } parts[OBSERVE_HOLES_MAX + 1];
        struct observe_event proves;
        char bytes[OBSERVE_SHAPE_BYTES_MAX];
    } shapes[OBSERVE_SHAPES_MAX];
    uint8_t next;    /* to be replaced */
    uint8_t unknown; /* events that fitted none, wrapping */
};

/* The shape of the event that begins at p, which ends at *ret_end; or NULL. *hint is where to look
 * first, and is brought up to date. */
const struct observe_shape *observe_shape_find(const struct observe_shapes *, uint8_t *hint,
                                               bool lines, const char *p, const char *end,
                                               const char **ret_end);
/* An event from `p` up to `end` that fitted none. Not each is kept: those that come often are kept
 * soon, and streams without any two alike cost little. */
void observe_shape_learn(struct observe_shapes *, bool lines, const char *p, const char *end,
                         const struct observe_holes *, const struct observe_event *proves);

#endif
