/* Escapes may be cut anywhere, so a string is decoded byte by byte behind a backslash and in runs
 * elsewhere. Half a surrogate pair is kept until the next character says whether it stays alone.
 */
#include "proxy/fields_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proxy/observe_scan.h"

static const uint64_t fnv_basis = UINT64_C(0xcbf29ce484222325);
static const uint64_t fnv_prime = UINT64_C(0x100000001b3);

static uint64_t hash_bytes(uint64_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * fnv_prime;
    return h;
}

/* --- strings --- */

void fields_text_start(struct fields_text *t, char *keep, size_t max)
{
    *t = (struct fields_text){.keep = keep, .max = max, .hash = fnv_basis};
}

static void emit(struct fields_text *t, const char *p, size_t n)
{
    if (t->keep == NULL) {
        t->hash = hash_bytes(t->hash, p, n);
    } else if (t->len > t->max || n > t->max - t->len) {
        t->len = t->max + 1;
    } else {
        memcpy(t->keep + t->len, p, n);
        t->len += n;
    }
}

static void emit_character(struct fields_text *t, uint32_t c)
{
    char utf8[4];
    size_t n = 0;

    if (c < 0x80) {
        utf8[n++] = (char)c;
    } else if (c < 0x800) {
        utf8[n++] = (char)(0xc0 | c >> 6);
        utf8[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        utf8[n++] = (char)(0xe0 | c >> 12);
        utf8[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        utf8[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        utf8[n++] = (char)(0xf0 | c >> 18);
        utf8[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        utf8[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        utf8[n++] = (char)(0x80 | (c & 0x3f));
    }
    emit(t, utf8, n);
}

/* Half a pair that stays alone is no character, but it is told from others. */
static void flush_high(struct fields_text *t)
{
    if (t->high != 0)
        emit_character(t, t->high);
    t->high = 0;
}

static void unit_ended(struct fields_text *t)
{
    uint32_t unit = t->unit;

    t->escape = 0;
    if (t->high != 0 && unit >= 0xdc00 && unit < 0xe000) {
        emit_character(t, 0x10000 + ((uint32_t)(t->high - 0xd800) << 10) + (unit - 0xdc00));
        t->high = 0;
        return;
    }
    flush_high(t);
    if (unit >= 0xd800 && unit < 0xdc00)
        t->high = (uint16_t)unit;
    else
        emit_character(t, unit);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte behind a backslash. False: it is no escape. */
static bool escaped_byte(struct fields_text *t, char c)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";

    if (t->escape == 1) {
        if (c == 'u') {
            t->escape = 2;
            t->unit = 0;
            return true;
        }
        const char *name = c == '\0' ? NULL : strchr(names, c);
        if (name == NULL)
            return false;
        flush_high(t);
        emit(t, &meant[name - names], 1);
        t->escape = 0;
        return true;
    }
    int digit = hex_digit(c);
    if (digit < 0)
        return false;
    t->unit = (uint16_t)(t->unit << 4 | digit);
    if (++t->escape == 6)
        unit_ended(t);
    return true;
}

enum fields_text_result fields_text_bytes(struct fields_text *t, const char *p, const char *end,
                                          const char **ret_stop)
{
    *ret_stop = end;
    while (p < end) {
        if (t->escape != 0) {
            if (!escaped_byte(t, *p++))
                return TEXT_BROKEN;
            continue;
        }
        const char *stop = observe_text_end(p, end);
        if (stop > p) {
            flush_high(t);
            emit(t, p, (size_t)(stop - p));
        }
        if (stop == end)
            return TEXT_MORE;
        p = stop + 1;
        if (*stop == '"') {
            flush_high(t);
            *ret_stop = p;
            return TEXT_END;
        }
        if (*stop != '\\')
            return TEXT_BROKEN; /* a control byte */
        t->escape = 1;
    }
    return TEXT_MORE;
}

/* --- numbers and literals --- */

/* RFC 8259, 6. */
static bool is_number(const char *p)
{
    p += *p == '-';
    if (*p == '0')
        p++;
    else if (*p >= '1' && *p <= '9')
        p += strspn(p, "0123456789");
    else
        return false;
    if (*p == '.') {
        size_t digits = strspn(p + 1, "0123456789");
        if (digits == 0)
            return false;
        p += 1 + digits;
    }
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        size_t digits = strspn(p, "0123456789");
        if (digits == 0)
            return false;
        p += digits;
    }
    return *p == '\0';
}

/* Told from strings by the NUL before them. */
static bool is_literal(struct str text, uint64_t *ret_category)
{
    static const struct str literals[] = {{"true", 4}, {"false", 5},    {"null", 4},
                                          {"NaN", 3},  {"Infinity", 8}, {"-Infinity", 9}};

    for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
        if (str_eq(text, literals[i])) {
            *ret_category = hash_bytes(hash_bytes(fnv_basis, "", 1), text.ptr, text.len);
            return true;
        }
    }
    return false;
}

bool fields_scalar(struct str scalar, struct field_value *ret)
{
    char text[FIELDS_NUMBER_MAX + 1];

    *ret = (struct field_value){.kind = FIELD_MISSING};
    if (!str_copy(text, sizeof(text), scalar))
        return true; /* who knows */
    if (is_number(text)) {
        ret->number = strtod(text, NULL);
        ret->kind = isfinite(ret->number) ? FIELD_NUMBER : FIELD_MISSING;
        return true;
    }
    if (!is_literal(scalar, &ret->category))
        return false;
    ret->kind = FIELD_CATEGORY;
    return true;
}
