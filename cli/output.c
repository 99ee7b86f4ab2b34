/* Tables and colours. Everything that came over the wire passes add_clean: a version label or a
 * reason must not be able to move an operator's cursor. */
#include "cli/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"

enum { CELL_BYTES_MAX = 1024 };

static const char *const colour_codes[COLOUR_COUNT] = {
    [COLOUR_NONE] = "",           [COLOUR_RED] = "\033[31m", [COLOUR_GREEN] = "\033[32m",
    [COLOUR_YELLOW] = "\033[33m", [COLOUR_DIM] = "\033[2m",  [COLOUR_BOLD] = "\033[1m"};

struct cell {
    char *text;
    enum colour colour;
};

struct table {
    const char *const *headings;
    const enum align *aligns;
    size_t columns;
    struct cell *cells;
    size_t count, capacity;
};

bool output_colours(FILE *f)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

    return (no_color == NULL || no_color[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0) && isatty(fileno(f)) == 1;
}

size_t output_width(struct str text)
{
    size_t width = 0;

    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return width;
}

/* Characters that reorder what follows them: U+202A to U+202E, U+2066 to U+2069. */
static bool reorders(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;

    return s.len >= 3 && p[0] == 0xe2 &&
           ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) ||
            (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

static void add_clean(struct strbuf *b, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        /* C1 controls arrive as 0xc2 0x80..0x9f. */
        if (c == 0xc2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] < 0xa0) {
            strbuf_add_char(b, '?');
            i++;
        } else if (reorders((struct str){text.ptr + i, text.len - i})) {
            strbuf_add_char(b, '?');
            i += 2;
        } else {
            strbuf_add_char(b, c < 0x20 || c == 0x7f ? '?' : text.ptr[i]);
        }
    }
}

void output_add(struct strbuf *b, bool on, enum colour colour, struct str text)
{
    bool coloured = on && colour != COLOUR_NONE;

    if (coloured)
        strbuf_add(b, str_from(colour_codes[colour]));
    add_clean(b, text);
    if (coloured)
        strbuf_add(b, STR("\033[0m"));
}

struct table *table_new(const char *const *headings, const enum align *aligns, size_t columns)
{
    struct table *t = xcalloc(1, sizeof(*t));

    CHECK(columns <= TABLE_COLUMNS_MAX);
    t->headings = headings;
    t->aligns = aligns;
    t->columns = columns;
    return t;
}

void table_free(struct table *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i].text);
    free(t->cells);
    free(t);
}

void table_cell(struct table *t, enum colour colour, const char *fmt, ...)
{
    struct strbuf raw, clean;
    va_list args;

    if (t->count >= t->columns * TABLE_ROWS_MAX)
        return;
    if (t->count == t->capacity) {
        t->capacity = t->capacity == 0 ? 64 : t->capacity * 2;
        t->cells = xrealloc(t->cells, t->capacity * sizeof(*t->cells));
    }
    strbuf_init(&raw, CELL_BYTES_MAX);
    strbuf_init(&clean, CELL_BYTES_MAX);
    va_start(args, fmt);
    strbuf_vaddf(&raw, fmt, args);
    va_end(args);
    add_clean(&clean, strbuf_str(&raw));
    strbuf_deinit(&raw);
    t->cells[t->count++] = (struct cell){.text = strbuf_steal(&clean), .colour = colour};
}

static void add_spaces(struct strbuf *out, size_t n)
{
    while (n-- > 0)
        strbuf_add_char(out, ' ');
}

/* One cell of column `c`, padded; the last column of a line is not padded on its right. */
static void print_cell(const struct table *t, struct strbuf *out, size_t c, size_t width,
                       const char *text, enum colour colour, bool colours)
{
    size_t padding = width - output_width(str_from(text));

    if (t->aligns[c] == ALIGN_RIGHT)
        add_spaces(out, padding);
    output_add(out, colours && text[0] != '\0', colour, str_from(text));
    if (t->aligns[c] == ALIGN_LEFT && c + 1 < t->columns)
        add_spaces(out, padding);
}

static void end_line(struct strbuf *out)
{
    while (out->len > 0 && out->ptr[out->len - 1] == ' ')
        out->ptr[--out->len] = '\0';
    strbuf_add_char(out, '\n');
}

void table_print(const struct table *t, struct strbuf *out, bool colours, size_t indent)
{
    size_t widths[TABLE_COLUMNS_MAX];

    for (size_t c = 0; c < t->columns; c++)
        widths[c] = output_width(str_from(t->headings[c]));
    for (size_t i = 0; i < t->count; i++) {
        size_t width = output_width(str_from(t->cells[i].text));
        if (width > widths[i % t->columns])
            widths[i % t->columns] = width;
    }
    add_spaces(out, indent);
    for (size_t c = 0; c < t->columns; c++) {
        if (c > 0)
            add_spaces(out, 2);
        print_cell(t, out, c, widths[c], t->headings[c], COLOUR_DIM, colours);
    }
    end_line(out);
    for (size_t i = 0; i < t->count; i++) {
        size_t c = i % t->columns;
        add_spaces(out, c == 0 ? indent : 2);
        print_cell(t, out, c, widths[c], t->cells[i].text, t->cells[i].colour, colours);
        if (c + 1 == t->columns || i + 1 == t->count)
            end_line(out);
    }
}

void output_write(FILE *f, const struct strbuf *b)
{
    if (b->len > 0)
        fwrite(b->ptr, 1, b->len, f);
    fflush(f);
}

void output_json(FILE *f, const json_t *value)
{
    json_dumpf(value, f, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
    fputc('\n', f);
    fflush(f);
}

char *output_count(double value, char to[static COUNT_TEXT_MAX])
{
    char digits[COUNT_TEXT_MAX];
    size_t n = 0;

    snprintf(digits, sizeof(digits), "%.0f", value < 0 ? 0 : value > 1e15 ? 1e15 : value);
    size_t len = strlen(digits);
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            to[n++] = ',';
        to[n++] = digits[i];
    }
    to[n] = '\0';
    return to;
}
