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
        d->dropped += e->code != 0; /* a warning too many is no failure */
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

/* Text of somebody else on a terminal: nothing in it hides, moves or recolours what follows. */
static void add_visible(struct strbuf *out, struct str text)
{
    for (size_t taken; text.len > 0; text.ptr += taken, text.len -= taken)
        strbuf_add(out, str_utf8_visible(text, &taken));
}

enum { EXCERPT_MAX = 72 }; /* characters: a terminal of 80 shows the line number, too */

static uint32_t count_characters(struct str s)
{
    uint32_t count = 0;

    for (size_t taken; s.len > 0; s.ptr += taken, s.len -= taken, count++)
        str_utf8_visible(s, &taken);
    return count;
}

/* How many characters of a line are left of its excerpt: none, unless the column would be too far
 * to the right to be seen. */
static uint32_t excerpt_start(uint32_t length, uint32_t column)
{
    enum { AFTER = 24 }; /* what is shown behind the column, if there is so much */

    if (length < EXCERPT_MAX || column > length + 1 || column + AFTER <= EXCERPT_MAX)
        return 0;
    return (column + AFTER < length + 1 ? column + AFTER : length + 1) - EXCERPT_MAX;
}

/* The line with a caret beneath the column; of a long one, what is around it between dots. Columns
 * count characters, not bytes; tabs are kept so that the caret stays in place. */
static void print_excerpt(struct str line, uint32_t number, uint32_t column, struct strbuf *out)
{
    enum { DOTS = 3 };
    struct strbuf pad;

    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    uint32_t length = count_characters(line), start = excerpt_start(length, column);
    uint32_t end = length - start > EXCERPT_MAX ? start + EXCERPT_MAX : length;
    strbuf_init(&pad, EXCERPT_MAX);
    strbuf_addf(out, "%5u | ", number);
    uint32_t at = 1; /* the character's column */
    for (size_t taken; at <= end; at++, line.ptr += taken, line.len -= taken) {
        struct str c = str_utf8_visible(line, &taken);
        bool tab = line.ptr[0] == '\t';
        if (at <= start)
            continue;
        if ((start > 0 && at - start <= DOTS) || (end < length && end - at < DOTS))
            c = STR(".");
        else if (tab)
            c = STR("\t");
        strbuf_add(out, c);
        if (at < column)
            strbuf_add_char(&pad, c.ptr[0] == '\t' ? '\t' : ' ');
    }
    strbuf_add_char(out, '\n');
    if (column > 0 && column <= at)
        strbuf_addf(out, "      | %s^\n", strbuf_cstr(&pad));
    strbuf_deinit(&pad);
}

void diagnostics_print(const struct error *e, struct str source, struct strbuf *out)
{
    if (e->at.file != NULL) {
        add_visible(out, str_from(e->at.file));
        strbuf_add_char(out, ':');
    }
    if (e->at.line != 0)
        strbuf_addf(out, "%u:%u:", e->at.line, e->at.column);
    strbuf_addf(out, "%s%s", e->at.file != NULL ? " " : "", e->code == 0 ? "warning: " : "");
    add_visible(out, str_from(e->message));
    strbuf_add_char(out, '\n');
    struct str line = e->at.line == 0 ? (struct str){NULL, 0} : source_line(source, e->at.line);
    if (line.ptr != NULL)
        print_excerpt(line, e->at.line, e->at.column, out);
    if (e->hint[0] != '\0') {
        strbuf_add(out, STR("  hint: "));
        add_visible(out, str_from(e->hint));
        strbuf_add_char(out, '\n');
    }
}
