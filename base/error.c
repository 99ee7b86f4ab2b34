/* Errors as values, and the list of them that a file's check produces. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/strbuf.h"

int error_set(struct error *reterr, int code, const char *fmt, ...)
{
    if (reterr == NULL)
        return code;

    va_list args;
    *reterr = (struct error){.code = code};
    va_start(args, fmt);
    vsnprintf(reterr->message, sizeof(reterr->message), fmt, args);
    va_end(args);
    return code;
}

int error_at(struct error *reterr, struct source_pos at, int code, const char *fmt, ...)
{
    if (reterr == NULL)
        return code;

    va_list args;
    *reterr = (struct error){.code = code, .at = at};
    va_start(args, fmt);
    vsnprintf(reterr->message, sizeof(reterr->message), fmt, args);
    va_end(args);
    return code;
}

void error_context(struct error *reterr, const char *fmt, ...)
{
    if (reterr == NULL)
        return;

    char prefix[sizeof(reterr->message)], whole[2 * sizeof(reterr->message)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(prefix, sizeof(prefix), fmt, args);
    va_end(args);
    snprintf(whole, sizeof(whole), "%s%s", prefix, reterr->message);
    str_copy(reterr->message, sizeof(reterr->message), str_from(whole));
}

void error_hint(struct error *reterr, const char *fmt, ...)
{
    if (reterr == NULL)
        return;

    va_list args;
    va_start(args, fmt);
    vsnprintf(reterr->hint, sizeof(reterr->hint), fmt, args);
    va_end(args);
}

void diagnostics_init(struct diagnostics *d)
{
    *d = (struct diagnostics){0};
}

void diagnostics_deinit(struct diagnostics *d)
{
    free(d->items);
    *d = (struct diagnostics){0};
}

void diagnostics_add(struct diagnostics *d, const struct error *e)
{
    if (d->count == DIAGNOSTICS_MAX) {
        d->dropped++;
        return;
    }
    d->items = xrealloc(d->items, (d->count + 1) * sizeof(*d->items));
    d->items[d->count++] = *e;
    if (e->code == 0)
        d->warnings++;
}

static void add(struct diagnostics *d, int code, struct source_pos at, const char *hint,
                const char *fmt, va_list args)
{
    struct error e = {.code = code, .at = at};

    vsnprintf(e.message, sizeof(e.message), fmt, args);
    if (hint != NULL)
        str_copy(e.hint, sizeof(e.hint), str_from(hint));
    diagnostics_add(d, &e);
}

void diagnostics_addf(struct diagnostics *d, struct source_pos at, const char *hint,
                      const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(d, -EINVAL, at, hint, fmt, args);
    va_end(args);
}

void diagnostics_warnf(struct diagnostics *d, struct source_pos at, const char *hint,
                       const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    add(d, 0, at, hint, fmt, args);
    va_end(args);
}

bool diagnostics_ok(const struct diagnostics *d)
{
    return d->count == d->warnings && d->dropped == 0;
}

static int compare(const struct error *a, const struct error *b)
{
    const char *fa = a->at.file == NULL ? "" : a->at.file;
    const char *fb = b->at.file == NULL ? "" : b->at.file;
    int by_file = strcmp(fa, fb);

    if (by_file != 0)
        return by_file;
    if (a->at.line != b->at.line)
        return a->at.line < b->at.line ? -1 : 1;
    if (a->at.column != b->at.column)
        return a->at.column < b->at.column ? -1 : 1;
    return 0;
}

void diagnostics_sort(struct diagnostics *d)
{
    /* Insertion sort: stable, and at most DIAGNOSTICS_MAX items that are nearly in order. */
    for (size_t i = 1; i < d->count; i++) {
        struct error e = d->items[i];
        size_t j = i;
        for (; j > 0 && compare(&d->items[j - 1], &e) > 0; j--)
            d->items[j] = d->items[j - 1];
        d->items[j] = e;
    }
}

static struct str source_line(struct str source, uint32_t line)
{
    struct str one = {NULL, 0};

    for (uint32_t i = 0; i < line; i++)
        if (!str_split(&source, '\n', &one))
            return (struct str){NULL, 0};
    return one;
}

/* The line with a caret beneath the column; tabs are kept so that the caret stays in place. */
static void print_excerpt(struct str line, uint32_t number, uint32_t column, struct strbuf *out)
{
    enum { EXCERPT_MAX = 160 };
    struct str shown = {line.ptr, line.len > EXCERPT_MAX ? EXCERPT_MAX : line.len};

    if (shown.len > 0 && shown.ptr[shown.len - 1] == '\r')
        shown.len--;
    strbuf_addf(out, "%5u | ", number);
    for (size_t i = 0; i < shown.len; i++)
        strbuf_add_char(out, (unsigned char)shown.ptr[i] < 0x20 && shown.ptr[i] != '\t'
                                 ? '?'
                                 : shown.ptr[i]);
    strbuf_add_char(out, '\n');
    if (column == 0 || column > shown.len + 1)
        return;
    strbuf_add(out, STR("      | "));
    for (uint32_t i = 1; i < column; i++) {
        char c = shown.ptr[i - 1];
        if ((c & 0xc0) != 0x80) /* one column per UTF-8 character */
            strbuf_add_char(out, c == '\t' ? '\t' : ' ');
    }
    strbuf_add(out, STR("^\n"));
}

void diagnostics_print(const struct error *e, struct str source, struct strbuf *out)
{
    if (e->at.file != NULL)
        strbuf_addf(out, "%s:", e->at.file);
    if (e->at.line != 0)
        strbuf_addf(out, "%u:%u:", e->at.line, e->at.column);
    strbuf_addf(out, "%s%s%s\n", e->at.file != NULL ? " " : "", e->code == 0 ? "warning: " : "",
                e->message);
    struct str line = e->at.line == 0 ? (struct str){NULL, 0} : source_line(source, e->at.line);
    if (line.ptr != NULL)
        print_excerpt(line, e->at.line, e->at.column, out);
    if (e->hint[0] != '\0')
        strbuf_addf(out, "  hint: %s\n", e->hint);
}
