/* A growing string with a maximum. */
#include "base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"

void strbuf_init(struct strbuf *b, size_t max)
{
    *b = (struct strbuf){.max = max};
}

void strbuf_deinit(struct strbuf *b)
{
    free(b->ptr);
    *b = (struct strbuf){.max = b->max};
}

void strbuf_reset(struct strbuf *b)
{
    b->len = 0;
    b->overflow = false;
}

bool strbuf_reserve(struct strbuf *b, size_t more)
{
    /* After one overflow nothing is taken: a text with a hole is worse than a short one. */
    if (b->overflow || more > b->max || b->len > b->max - more) {
        b->overflow = true;
        return false;
    }
    size_t need = b->len + more + 1;
    if (need <= b->cap)
        return true;
    size_t cap = b->cap < 128 ? 128 : b->cap * 2;
    if (cap < need)
        cap = need;
    if (cap - 1 > b->max) /* so that whatever fits is within the maximum */
        cap = b->max + 1;
    b->ptr = xrealloc(b->ptr, cap);
    b->cap = cap;
    return true;
}

bool strbuf_add_u64(struct strbuf *b, uint64_t number, unsigned digits)
{
    char text[20];
    size_t at = sizeof(text);

    CHECK(digits <= sizeof(text));
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (sizeof(text) - at < digits)
        text[--at] = '0';
    return strbuf_add(b, (struct str){text + at, sizeof(text) - at});
}

bool strbuf_vaddf(struct strbuf *b, const char *fmt, va_list args)
{
    va_list again;

    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    CHECK(n >= 0);
    bool ok = strbuf_reserve(b, (size_t)n);
    if (ok) {
        vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return ok;
}

bool strbuf_addf(struct strbuf *b, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    bool ok = strbuf_vaddf(b, fmt, args);
    va_end(args);
    return ok;
}

const char *strbuf_cstr(const struct strbuf *b)
{
    if (b->ptr == NULL)
        return "";
    b->ptr[b->len] = '\0'; /* strbuf_reserve left room for it */
    return b->ptr;
}

struct str strbuf_str(const struct strbuf *b)
{
    return (struct str){b->ptr == NULL ? "" : b->ptr, b->len};
}

char *strbuf_steal(struct strbuf *b)
{
    char *ptr = b->ptr == NULL ? xstrdup("") : b->ptr;

    ptr[b->len] = '\0';
    *b = (struct strbuf){.max = b->max};
    return ptr;
}

/* How many bytes at the front stand for themselves in a JSON string. */
static size_t plain_run(struct str s)
{
    size_t n = 0;

    while (n < s.len && s.ptr[n] >= ' ' && s.ptr[n] < 0x7f && s.ptr[n] != '"' && s.ptr[n] != '\\')
        n++;
    return n;
}

bool strbuf_add_json(struct strbuf *b, struct str s)
{
    bool ok = strbuf_add_char(b, '"');

    for (size_t i = 0; i < s.len && ok;) {
        size_t run = plain_run((struct str){s.ptr + i, s.len - i});
        if (run > 0) {
            ok = strbuf_add(b, (struct str){s.ptr + i, run});
            i += run;
            continue;
        }
        unsigned char c = (unsigned char)s.ptr[i];
        size_t len = 1;
        if (c == '"' || c == '\\') {
            ok = strbuf_addf(b, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            ok = strbuf_addf(b, "\\u%04x", c);
        } else if ((len = str_utf8_length((struct str){s.ptr + i, s.len - i})) == 0) {
            len = 1;
            ok = strbuf_add(b, STR("\xef\xbf\xbd"));
        } else {
            ok = strbuf_add(b, (struct str){s.ptr + i, len});
        }
        i += len;
    }
    return ok && strbuf_add_char(b, '"');
}
