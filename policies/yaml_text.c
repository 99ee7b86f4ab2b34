/* Checks bytes before libyaml sees them, so that "invalid leading UTF-8 octet" becomes a position
 * and a way out; and expands variables after it, so that a value never becomes structure. */
#include "policies/yaml_text.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/strbuf.h"

struct str yaml_text_strip_mark(struct str text)
{
    if (str_starts_with(text, STR("\xef\xbb\xbf")))
        return (struct str){text.ptr + 3, text.len - 3};
    return text;
}

/* The code point of a valid sequence. */
static uint32_t decode(const char *p, size_t len)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (unsigned char)p[0] & masks[len];

    for (size_t i = 1; i < len; i++)
        c = c << 6 | ((unsigned char)p[i] & 0x3f);
    return c;
}

static bool is_forbidden(uint32_t c)
{
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7f && c < 0xa0) ||
           c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe || c == 0xffff;
}

/* Adds the error for the bytes at `rest`, if they are one. */
static bool check_one(struct str rest, size_t len, struct source_pos at, struct diagnostics *d)
{
    if (rest.ptr[0] == '\0') {
        diagnostics_addf(d, at, "save it as UTF-8 text", "a NUL byte: this is not a text file");
        return false;
    }
    if (len == 0) {
        diagnostics_addf(d, at, "save the file as UTF-8", "byte 0x%02x is not valid UTF-8",
                         (unsigned)(unsigned char)rest.ptr[0]);
        return false;
    }
    if (rest.ptr[0] == '\r' && (rest.len < 2 || rest.ptr[1] != '\n')) {
        diagnostics_addf(d, at, "end lines with LF or CR LF",
                         "a carriage return that does not end a line");
        return false;
    }
    uint32_t c = decode(rest.ptr, len);
    if (is_forbidden(c)) {
        diagnostics_addf(d, at, "remove it; in double quotes it can be written as an escape",
                         "the invisible character U+%04X is not allowed", c);
        return false;
    }
    return true;
}

bool yaml_text_check(const char *path, struct str text, struct diagnostics *d)
{
    struct source_pos at = {path, 1, 1};

    if (text.len > YAML_BYTES_MAX) {
        diagnostics_addf(d, at, "split it into several files", "the file is larger than 1MiB");
        return false;
    }
    if (str_starts_with(text, STR("\xff\xfe")) || str_starts_with(text, STR("\xfe\xff"))) {
        diagnostics_addf(d, at, "save it as UTF-8", "the file is UTF-16");
        return false;
    }
    for (size_t i = 0; i < text.len;) {
        struct str rest = {text.ptr + i, text.len - i};
        size_t len = str_utf8_length(rest);
        if (!check_one(rest, len, at, d))
            return false;
        at.column++;
        if (rest.ptr[0] == '\n') {
            at.line++;
            at.column = 1;
        }
        i += len;
    }
    return true;
}

size_t yaml_text_offset(struct str text, struct source_pos at)
{
    size_t i = 0;

    for (uint32_t line = 1; line < at.line && i < text.len; i++)
        if (text.ptr[i] == '\n')
            line++;
    for (uint32_t column = 1; column < at.column && i < text.len && text.ptr[i] != '\n'; column++) {
        size_t len = str_utf8_length((struct str){text.ptr + i, text.len - i});
        i += len > 0 ? len : 1;
    }
    return i;
}

/* Moves a position over the characters from p to end. */
static void advance(struct source_pos *at, const char *p, const char *end)
{
    for (; p < end; p++) {
        if (*p == '\n') {
            at->line++;
            at->column = 1;
        } else if (((unsigned char)*p & 0xc0) != 0x80) {
            at->column++;
        }
    }
}

struct source_pos yaml_text_end(const char *path, struct str text)
{
    struct source_pos at = {path, 1, 1};

    while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]) != NULL)
        text.len--;
    advance(&at, text.ptr, text.ptr + text.len);
    return at;
}

/* --- variables --- */

static bool is_name_char(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* The name in "${NAME}" at the start of s; empty when it is not one. */
static struct str variable_name(struct str s)
{
    size_t end = 2;

    while (end < s.len && is_name_char(s.ptr[end], end == 2))
        end++;
    if (end == 2 || end == s.len || s.ptr[end] != '}')
        return (struct str){s.ptr, 0};
    return (struct str){s.ptr + 2, end - 2};
}

/* Where `what` (a part of the node's text) stands in the source: found again from the node's start,
 * which is right unless a double-quoted escape spells it. */
static struct source_pos position_of(const struct yaml_node *node, struct str source,
                                     struct str what)
{
    size_t from = yaml_text_offset(source, node->at);
    struct source_pos at = node->at;
    const char *found =
        from < source.len ? memmem(source.ptr + from, source.len - from, what.ptr, what.len) : NULL;

    if (found == NULL)
        return at;
    advance(&at, source.ptr + from, found);
    return at;
}

/* The value is data of somebody else: it must be plain text of one line. */
static bool is_plain(struct str value)
{
    for (size_t i = 0; i < value.len;) {
        size_t len = str_utf8_length((struct str){value.ptr + i, value.len - i});
        if (len == 0 || decode(value.ptr + i, len) < 0x20 ||
            is_forbidden(decode(value.ptr + i, len)))
            return false;
        i += len;
    }
    return true;
}

/* Appends the value of the variable at the start of `rest`; its length in the text, or 0. */
static size_t expand_one(struct yaml_node *node, struct str source, struct str rest, size_t *used,
                         struct strbuf *out, struct diagnostics *d)
{
    struct str name = variable_name(rest);
    char text[YAML_SHOWN_MAX];

    if (name.len == 0) {
        diagnostics_addf(d, position_of(node, source, STR("${")),
                         "write ${NAME}, or $${ for the two characters themselves",
                         "\"${\" does not begin a variable");
        return 0;
    }
    struct str whole = {rest.ptr, name.len + 3};
    char *terminated = xstrndup(name);
    const char *value = getenv(terminated);
    free(terminated);
    yaml_shown(name, text);
    if (value == NULL) {
        diagnostics_addf(d, position_of(node, source, whole),
                         "set it before starting, or write the value here",
                         "the environment variable %s is not set", text);
        return 0;
    }
    struct str v = str_from(value);
    if (!is_plain(v)) {
        diagnostics_addf(d, position_of(node, source, whole), NULL,
                         "the environment variable %s is not one line of text", text);
        return 0;
    }
    *used += v.len;
    if (*used > YAML_BYTES_MAX) {
        diagnostics_addf(d, position_of(node, source, whole), NULL,
                         "environment variables make the file larger than 1MiB");
        return 0;
    }
    strbuf_add(out, v);
    return whole.len;
}

bool yaml_text_expand(struct yaml_node *node, struct str source, size_t *used, struct arena *arena,
                      struct diagnostics *d)
{
    struct str s = node->text;
    struct strbuf out;
    bool ok = true;

    if (s.len < 2 || memmem(s.ptr, s.len, "${", 2) == NULL)
        return true;
    strbuf_init(&out, 2 * YAML_BYTES_MAX);
    for (size_t i = 0; i < s.len && ok;) {
        struct str rest = {s.ptr + i, s.len - i};
        size_t taken = 1;
        if (str_starts_with(rest, STR("$${"))) {
            strbuf_add(&out, STR("${"));
            taken = 3;
        } else if (str_starts_with(rest, STR("${"))) {
            taken = expand_one(node, source, rest, used, &out, d);
            ok = taken > 0;
        } else {
            strbuf_add_char(&out, s.ptr[i]);
        }
        i += taken;
    }
    if (ok)
        node->text = (struct str){arena_strdup(arena, strbuf_str(&out)), out.len};
    strbuf_deinit(&out);
    return ok;
}

char *yaml_shown(struct str text, char to[static YAML_SHOWN_MAX])
{
    enum { KEEP = YAML_SHOWN_MAX - 4 };
    size_t n = 0;

    for (size_t i = 0; i < text.len;) {
        size_t taken;
        struct str c = str_utf8_visible((struct str){text.ptr + i, text.len - i}, &taken);
        if (n + c.len > KEEP) {
            memcpy(to + n, "...", 4);
            return to;
        }
        memcpy(to + n, c.ptr, c.len);
        n += c.len;
        i += taken;
    }
    to[n] = '\0';
    return to;
}
