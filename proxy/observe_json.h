/* proxy/observe_json.h — reads one JSON object as its bytes pass, and keeps of it which of the
 * places that matter are there and hold something. Internal to observe. Pure, no allocation.
 *
 * Brackets, keys, commas and strings are followed exactly, at any cut, so that words inside a
 * string are never taken for structure. Numbers and literals are not checked for spelling, nor
 * strings for UTF-8: Python's NaN within log probabilities must not hide a token.
 */
#ifndef PROXY_OBSERVE_JSON_H
#define PROXY_OBSERVE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/observe_shape.h"
#include "proxy/observe_words.h"

enum {
    OBSERVE_JSON_DEPTH_MAX = 256, /* deeper is not read */
    OBSERVE_JSON_PLACES_MAX = 6,  /* levels that can hold a place that matters */
};

struct observe_json {
    uint64_t named;             /* places that are there, as bits */
    uint64_t present;           /* ... and hold anything but null */
    uint64_t filled;            /* ... a string, array or object that is not empty, or true */
    uint64_t choices, finished; /* their indices, as bits */
    uint16_t words;             /* set of enum word */
    /* the machine */
    uint16_t depth;
    uint8_t at;
    bool escaped; /* the byte before was a backslash */
    bool some;    /* the string has any byte */
    bool odd;     /* ... an escape: it is none of our words */
    bool choice_finished;
    uint8_t choice;
    uint8_t place; /* enum place of the value that comes or is under way */
    uint8_t text_len;
    uint8_t places[OBSERVE_JSON_PLACES_MAX];
    uint8_t objects[OBSERVE_JSON_DEPTH_MAX / 8]; /* by level: an object, not an array */
    /* Of a key, word or number that began in bytes before. Free between lines: neither goes on over
     * a line's end. */
    char text[OBSERVE_WORD_MAX];
};

void observe_json_start(struct observe_json *);
/* Reads up to the next CR or LF, or to the end; returns where it stopped. Adds to *holes the texts
 * and numbers for which others might stand as well. */
const char *observe_json_bytes(struct observe_json *, const char *p, const char *end,
                               struct observe_holes *holes);
/* The line ends: white space, or the end of the object inside a string. */
void observe_json_newline(struct observe_json *);
/* One whole object was read, and nothing but white space after it. */
bool observe_json_whole(const struct observe_json *);

#endif
