/* One byte at a time through the lines, whole runs through the data. A size line that lies whole in
 * the bytes and has no extension, as nearly all do, is read in one go. */
#include "net/chunked.h"

#include "base/check.h"

enum state {
    SIZE,
    SIZE_SPACE, /* which only an extension may follow */
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* at the start of a trailer line, or of the line that ends the body */
    TRAILER,
    TRAILER_LF,
    END_LF,
    ENDED,
};

void chunked_init(struct chunked *c)
{
    *c = (struct chunked){.state = SIZE};
}

void chunked_deinit(struct chunked *c)
{
    trailers_free(c->trailers);
    c->trailers = NULL;
}

enum { DIGITS_MAX = 15 }; /* 60 bits: more cannot be meant */

/* Of a digit in lower case, which is how we write them. */
static inline int lower_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline int hex_digit(char c)
{
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : lower_digit(c);
}

/* Visible bytes, space and tab; control bytes have no place in a line. */
static bool line_byte(char c)
{
    return (unsigned char)c >= 0x20 ? c != 0x7f : c == '\t';
}

static int after_size(struct chunked *c, char byte)
{
    int digit = hex_digit(byte);

    if (digit >= 0) {
        if (c->digits == DIGITS_MAX)
            return -1;
        c->left = c->left * 16 + (uint64_t)digit;
        c->digits++;
        return SIZE;
    }
    if (c->digits == 0)
        return -1;
    if (byte == '\r')
        return SIZE_LF;
    return byte == ';' ? EXTENSION : byte == ' ' || byte == '\t' ? SIZE_SPACE : -1;
}

static bool count_extension(struct chunked *c)
{
    return ++c->line <= CHUNKED_EXTENSION_MAX && ++c->extensions <= CHUNKED_EXTENSIONS_MAX;
}

/* A new chunk's data makes room for extensions. */
static void earn(struct chunked *c)
{
    uint64_t earned = c->left / CHUNKED_DATA_PER_EXTRA;

    c->line = 0;
    if (c->extensions > 0)
        c->extensions = earned >= c->extensions ? 0 : (uint16_t)(c->extensions - earned);
}

static int trailer(struct chunked *c, char byte, int next)
{
    if (c->trailers == NULL)
        c->trailers = trailers_new();
    return trailers_add(c->trailers, byte) ? next : -1;
}

/* The state after one byte of a line, or -1. */
static int step(struct chunked *c, char byte)
{
    switch ((enum state)c->state) {
    case SIZE:
        return after_size(c, byte);
    case SIZE_SPACE:
        if (!count_extension(c))
            return -1;
        return byte == ';' ? EXTENSION : byte == ' ' || byte == '\t' ? SIZE_SPACE : -1;
    case EXTENSION:
        if (byte == '\r')
            return SIZE_LF;
        return line_byte(byte) && count_extension(c) ? EXTENSION : -1;
    case SIZE_LF:
        earn(c);
        return byte != '\n' ? -1 : c->left == 0 ? TRAILER_START : DATA;
    case DATA_CR:
        return byte == '\r' ? DATA_LF : -1;
    case DATA_LF:
        c->left = 0;
        c->digits = 0;
        return byte == '\n' ? SIZE : -1;
    case TRAILER_START:
        if (byte == '\r')
            return END_LF;
        return trailer(c, byte, TRAILER);
    case TRAILER:
        return trailer(c, byte, byte == '\r' ? TRAILER_LF : TRAILER);
    case TRAILER_LF:
        return byte == '\n' ? trailer(c, byte, TRAILER_START) : -1;
    case END_LF:
        return byte == '\n' ? ENDED : -1;
    case DATA:
    case ENDED:
        break;
    }
    UNREACHABLE();
}

static bool is_crlf(const char *p)
{
    return memcmp(p, "\r\n", 2) == 0;
}

/* A whole size line without extensions at the front of *bytes. False: there is none. */
static bool size_line(struct chunked *c, struct str *bytes)
{
    uint64_t size = 0;
    size_t n = 0;
    int digit;

    for (; n < bytes->len && n < DIGITS_MAX && (digit = hex_digit(bytes->ptr[n])) >= 0; n++)
        size = size * 16 + (uint64_t)digit;
    if (n == 0 || bytes->len - n < 2 || !is_crlf(bytes->ptr + n))
        return false;
    *bytes = (struct str){bytes->ptr + n + 2, bytes->len - n - 2};
    c->left = size;
    earn(c);
    c->state = size == 0 ? TRAILER_START : DATA;
    return true;
}

/* Data of the open chunk, and the line end behind it if that lies here. */
static struct str data(struct chunked *c, struct str *bytes)
{
    size_t n = bytes->len < c->left ? bytes->len : (size_t)c->left;
    struct str run = {bytes->ptr, n};

    *bytes = (struct str){bytes->ptr + n, bytes->len - n};
    c->left -= n;
    if (c->left > 0)
        return run;
    c->state = DATA_CR;
    if (bytes->len >= 2 && is_crlf(bytes->ptr)) {
        *bytes = (struct str){bytes->ptr + 2, bytes->len - 2};
        c->state = SIZE;
        c->digits = 0;
    }
    return run;
}

enum chunked_result chunked_next(struct chunked *c, struct str *bytes, struct str *ret_data)
{
    while (c->state != ENDED) {
        if (bytes->len == 0)
            return CHUNKED_MORE;
        if (c->state == DATA) {
            *ret_data = data(c, bytes);
            return CHUNKED_DATA;
        }
        if (c->state == SIZE && c->digits == 0 && size_line(c, bytes))
            continue;
        int next = step(c, bytes->ptr[0]);
        if (next < 0)
            return CHUNKED_ERROR;
        c->state = (uint8_t)next;
        *bytes = (struct str){bytes->ptr + 1, bytes->len - 1};
    }
    return CHUNKED_END;
}

bool chunked_same(struct chunked *c, struct str bytes, struct str *ret_data)
{
    uint64_t size = 0;
    size_t n = 0;
    int digit;

    if (c->state != SIZE || c->digits != 0 || bytes.len == 0 || bytes.ptr[0] == '0')
        return false;
    for (; n < bytes.len && n < DIGITS_MAX && (digit = lower_digit(bytes.ptr[n])) >= 0; n++)
        size = size * 16 + (uint64_t)digit;
    if (n == 0 || bytes.len - n < 4 || bytes.len - n - 4 != size || !is_crlf(bytes.ptr + n) ||
        !is_crlf(bytes.ptr + bytes.len - 2))
        return false;
    c->left = size;
    earn(c);
    c->left = 0;
    *ret_data = (struct str){bytes.ptr + n + 2, (size_t)size};
    return true;
}

size_t chunked_line(char to[static CHUNKED_LINE_MAX], uint64_t size)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    CHECK(size > 0);
    for (int shift = (63 - __builtin_clzll(size)) & ~3; shift >= 0; shift -= 4)
        to[n++] = hex[(size >> shift) & 15];
    to[n++] = '\r';
    to[n++] = '\n';
    return n;
}
