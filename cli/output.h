/* cli/output.h — text for people: colours when a terminal looks on, tables aligned by what is seen
 * and not by bytes.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/strbuf.h"

enum { OUTPUT_BYTES_MAX = 16 * 1024 * 1024 };

enum colour {
    COLOUR_NONE,
    COLOUR_RED,
    COLOUR_GREEN,
    COLOUR_YELLOW,
    COLOUR_DIM,
    COLOUR_BOLD,
    COLOUR_COUNT
};

/* True when `f` is a terminal that takes colours: not when NO_COLOR is set to anything or TERM is
 * "dumb". */
bool output_colours(FILE *f);

/* Columns that `text` takes on a terminal. Counts UTF-8 characters: none of ours is wide. */
size_t output_width(struct str text);

/* Appends text in a colour when `on`. Control bytes of `text` (which a server sent) become '?'. */
void output_add(struct strbuf *, bool on, enum colour, struct str text);

/* --- tables --- */

enum { TABLE_COLUMNS_MAX = 12, TABLE_ROWS_MAX = 4200 };

enum align { ALIGN_LEFT, ALIGN_RIGHT };

struct table;

/* The headings: one per column, dim when colours are on. */
struct table *table_new(const char *const *headings, const enum align *, size_t columns);
void table_free(struct table *);
/* The next cell, left to right, row by row; copied. */
void table_cell(struct table *, enum colour, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Each line begins with `indent` spaces; columns are two spaces apart; nothing trails. */
void table_print(const struct table *, struct strbuf *out, bool colours, size_t indent);

/* Writes all of `b` to f and flushes. */
void output_write(FILE *f, const struct strbuf *b);
/* Prints JSON for -o json: indented, with a line end. */
void output_json(FILE *f, const json_t *);

/* 1234567 → "1,234,567". Returns `to`. */
enum { COUNT_TEXT_MAX = 32 };
char *output_count(double value, char to[static COUNT_TEXT_MAX]);

#endif
