/* Lines to a descriptor. The level and the descriptor are set once, before threads start. */
#include "base/log.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"

enum { LINE_MAX_BYTES = 16 * 1024 };

static enum log_level minimum = LOG_INFO;
static enum log_format format = LOG_TEXT;
static int out_fd = STDERR_FILENO;

static const char *const names[LOG_LEVEL_COUNT] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

void log_init(enum log_level level, enum log_format how, int fd)
{
    const char *wanted = getenv("SLUICE_LOG");

    minimum = level;
    format = how;
    out_fd = fd;
    for (int i = 0; wanted != NULL && i < LOG_LEVEL_COUNT; i++)
        if (strcmp(wanted, names[i]) == 0)
            minimum = (enum log_level)i;
}

bool log_enabled(enum log_level level)
{
    return level >= minimum;
}

static bool plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
            return false;
    }
    return s.len > 0;
}

static void add_value(struct strbuf *b, const struct log_value *v)
{
    switch (v->kind) {
    case LOG_KIND_STR:
        if (format == LOG_TEXT && plain(v->str))
            strbuf_add(b, v->str);
        else
            strbuf_add_json(b, v->str);
        break;
    case LOG_KIND_I64:
        strbuf_addf(b, "%" PRId64, v->i64);
        break;
    case LOG_KIND_U64:
        strbuf_addf(b, "%" PRIu64, v->u64);
        break;
    case LOG_KIND_F64:
        if (format == LOG_JSON && !isfinite(v->f64)) /* JSON has no word for it */
            strbuf_add(b, STR("null"));
        else
            strbuf_addf(b, "%.6g", v->f64);
        break;
    case LOG_KIND_BOOL:
        strbuf_addf(b, "%s", v->boolean ? "true" : "false");
        break;
    }
}

/* A field that does not fit is left out whole, so that the line stays a line. */
static void add_field(struct strbuf *b, const struct log_field *f)
{
    size_t before = b->len;

    strbuf_addf(b, format == LOG_JSON ? ",\"%s\":" : " %s=", f->key);
    add_value(b, &f->value);
    if (b->overflow) {
        b->len = before;
        b->overflow = false;
    }
}

void log_write(enum log_level level, const char *event, const struct log_field *fields,
               size_t count)
{
    struct strbuf b;
    char when[WALL_TEXT_MAX];

    strbuf_init(&b, LINE_MAX_BYTES - 2);
    wall_to_text(clock_wall(&clock_system), when);
    if (format == LOG_JSON)
        strbuf_addf(&b, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", when, names[level],
                    event);
    else
        strbuf_addf(&b, "%s %s %s", when, names[level], event);
    for (size_t i = 0; i < count; i++)
        add_field(&b, &fields[i]);
    b.max += 2; /* kept for the end */
    strbuf_add(&b, format == LOG_JSON ? STR("}\n") : STR("\n"));
    struct str line = strbuf_str(&b);
    if (write(out_fd, line.ptr, line.len) < 0) {
        /* A log that cannot be written has nobody to tell. */
    }
    strbuf_deinit(&b);
}
