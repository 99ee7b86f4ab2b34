/* Cutting text to a terminal. Widths are not asked of the C library, whose answer depends on the
 * locale: the ranges here are the ones that occur in names and reasons that people write. */
#include "cli/screen.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

#define ESC '\033'

/* The bytes of the CSI sequence that `s` begins with; 0: it does not begin with one. */
static size_t sequence_len(struct str s)
{
    if (s.len < 2 || s.ptr[0] != ESC || s.ptr[1] != '[')
        return 0;
    for (size_t i = 2; i < s.len; i++)
        if (s.ptr[i] >= '@' && s.ptr[i] <= '~')
            return i + 1;
    return s.len;
}

/* The bytes of the character that `s`, which is not empty, begins with. A byte that is no UTF-8
 * counts as a character of its own. */
static size_t decode(struct str s, uint32_t *ret)
{
    unsigned char first = (unsigned char)s.ptr[0];
    size_t len = first >= 0xf0 && first < 0xf8 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 1;

    *ret = first;
    if (first >= 0xf8 || len == 1 || len > s.len)
        return 1;
    uint32_t code = first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        unsigned char next = (unsigned char)s.ptr[i];
        if ((next & 0xc0) != 0x80)
            return 1;
        code = code << 6 | (next & 0x3f);
    }
    *ret = code;
    return len;
}

static size_t width_of(uint32_t c)
{
    static const struct {
        uint32_t first, last;
        size_t width;
    } ranges[] = {
        {0x0300, 0x036f, 0},   {0x1100, 0x115f, 2},   {0x200b, 0x200f, 0},   {0x2e80, 0x303e, 2},
        {0x3041, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},   {0xf900, 0xfaff, 2},   {0xfe00, 0xfe0f, 0},
        {0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},   {0xffe0, 0xffe6, 2},   {0x1f300, 0x1f64f, 2},
        {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1faff, 2}, {0x20000, 0x3fffd, 2},
    };

    for (size_t i = 0; i < ARRAY_LEN(ranges) && c >= ranges[i].first; i++)
        if (c <= ranges[i].last)
            return ranges[i].width;
    return 1;
}

/* Bytes of `line` that fit into `columns`; *ret_styled: a colour is on there. */
static size_t fitting(struct str line, size_t columns, bool *ret_styled)
{
    size_t at = 0, used = 0;
    uint32_t c;

    *ret_styled = false;
    while (at < line.len) {
        struct str rest = {line.ptr + at, line.len - at};
        size_t len = sequence_len(rest);
        if (len > 0) {
            *ret_styled = !str_eq((struct str){rest.ptr, len}, STR("\033[0m"));
        } else {
            len = decode(rest, &c);
            used += width_of(c);
            if (used > columns)
                return at;
        }
        at += len;
    }
    return at;
}

static void add_clipped(struct str line, size_t columns, struct strbuf *out)
{
    bool styled;
    size_t len = fitting(line, columns, &styled);
    bool cut = len < line.len;

    if (cut)
        len = fitting(line, columns - 1, &styled);
    strbuf_add(out, (struct str){line.ptr, len});
    if (cut)
        strbuf_add(out, STR("…"));
    if (styled)
        strbuf_add(out, STR("\033[0m"));
    strbuf_add_char(out, '\n');
}

static size_t count_lines(struct str page)
{
    size_t count = 0;

    for (size_t i = 0; i < page.len; i++)
        count += page.ptr[i] == '\n' || i + 1 == page.len;
    return count;
}

/* The next line without its end. `rest` is not empty. */
static struct str take_line(struct str *rest)
{
    size_t len = 0;

    while (len < rest->len && rest->ptr[len] != '\n')
        len++;
    struct str line = {rest->ptr, len};
    size_t used = len < rest->len ? len + 1 : len;
    *rest = (struct str){rest->ptr + used, rest->len - used};
    return line;
}

void screen_clip(struct str page, size_t columns, size_t rows, struct strbuf *out)
{
    size_t lines = count_lines(page);
    struct strbuf more;

    columns = columns == 0 ? 1 : columns;
    rows = rows == 0 ? 1 : rows;
    /* A single row is the page's first line, not a count of those left out. */
    size_t shown = lines <= rows ? lines : rows == 1 ? 1 : rows - 1;
    for (size_t i = 0; i < shown; i++)
        add_clipped(take_line(&page), columns, out);
    if (lines <= rows || rows == 1)
        return;
    strbuf_init(&more, 64);
    strbuf_addf(&more, "… %zu more lines", lines - shown);
    add_clipped(strbuf_str(&more), columns, out);
    strbuf_deinit(&more);
}

void screen_insert(struct str page, size_t after, struct str notice, struct strbuf *out)
{
    for (size_t i = 0; i < after && page.len > 0; i++) {
        strbuf_add(out, take_line(&page));
        strbuf_add_char(out, '\n');
    }
    strbuf_add(out, notice);
    strbuf_add_char(out, '\n');
    strbuf_add(out, page);
}
