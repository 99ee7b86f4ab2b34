/* proxy/fields_text.h — the values of JSON: strings without their escapes, as their bytes come, and
 * numbers and literals. Internal to fields. Pure, no allocation.
 */
#ifndef PROXY_FIELDS_TEXT_H
#define PROXY_FIELDS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { FIELDS_NUMBER_MAX = 128 }; /* bytes; a longer number is no value */

enum field_kind {
    FIELD_MISSING,  /* not there, an object or array, or a number beyond what a double holds */
    FIELD_NUMBER,   /* as strtod reads it */
    FIELD_CATEGORY, /* a string, true, false, null, NaN, Infinity or -Infinity */
};

struct field_value {
    enum field_kind kind;
    union {
        double number;
        uint64_t category; /* a hash of the string as it is without escapes */
    };
};

/* A string under way. */
struct fields_text {
    char *keep;     /* where it is kept; NULL: only its hash */
    size_t max;     /* bytes that there is room for */
    size_t len;     /* ... that it has; more than max: too long to be kept */
    uint64_t hash;  /* of a string that is not kept */
    uint16_t unit;  /* of \u */
    uint16_t high;  /* the first half of a surrogate pair; 0: none */
    uint8_t escape; /* 0: none; 1: behind a backslash; else behind \u and escape - 2 digits */
};

enum fields_text_result { TEXT_MORE, TEXT_END, TEXT_BROKEN };

/* Behind the quote that opens it. */
void fields_text_start(struct fields_text *, char *keep, size_t max);
/* Up to and with the quote that closes it (*ret_stop is behind), or all bytes. */
enum fields_text_result fields_text_bytes(struct fields_text *, const char *p, const char *end,
                                          const char **ret_stop);

/* A number or literal, whole. False: it is neither. */
bool fields_scalar(struct str text, struct field_value *ret);

#endif
