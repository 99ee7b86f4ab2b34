/* A list of what is dropped, not of what passes: trailers are for names nobody has thought of yet,
 * checksums and costs of a generated answer among them.
 */
#include "net/trailers.h"

#include <stdlib.h>
#include <strings.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/field.h"

static const char *const denied[] = {
    /* framing and the connection */
    "connection",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    /* routing */
    "forwarded",
    "host",
    "max-forwards",
    "traceparent",
    "tracestate",
    "via",
    "x-real-ip",
    "x-request-id",
    /* authentication and sessions */
    "authorization",
    "cookie",
    "set-cookie",
    "www-authenticate",
    /* request modifiers */
    "cache-control",
    "expect",
    "pragma",
    "range",
    /* response control */
    "age",
    "date",
    "expires",
    "last-modified",
    "location",
    "retry-after",
    "vary",
    "warning",
};

static const char *const denied_prefixes[] = {
    "content-", "if-", "proxy-", "sec-", "x-forwarded-", "x-sluice-",
};

bool trailers_allowed(struct str name)
{
    if (str_ieq(name, STR("content-digest"))) /* RFC 9530, 3: made for trailers */
        return true;
    for (size_t i = 0; i < ARRAY_LEN(denied); i++)
        if (str_ieq(name, str_from(denied[i])))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(denied_prefixes); i++) {
        size_t n = strlen(denied_prefixes[i]);
        if (name.len >= n && strncasecmp(name.ptr, denied_prefixes[i], n) == 0)
            return false;
    }
    return true;
}

struct trailers *trailers_new(void)
{
    struct trailers *t = xcalloc(1, sizeof(*t));

    strbuf_init(&t->lines, TRAILERS_BYTES_MAX + 1);
    return t;
}

void trailers_free(struct trailers *t)
{
    if (t == NULL)
        return;
    strbuf_deinit(&t->lines);
    free(t);
}

static bool end_line(struct trailers *t)
{
    struct str line = {t->lines.ptr + t->open, t->lines.len - t->open};
    struct field_cut cut;

    if (++t->count > TRAILERS_FIELDS_MAX || field_cut(line, false, &cut) != NULL ||
        cut.line.len != line.len)
        return false;
    if (!trailers_allowed(cut.name))
        t->lines.len = t->open;
    t->open = t->lines.len;
    return true;
}

bool trailers_add(struct trailers *t, char byte)
{
    if (++t->bytes > TRAILERS_BYTES_MAX || !strbuf_add_char(&t->lines, byte))
        return false;
    return byte != '\n' || end_line(t);
}

struct str trailers_kept(const struct trailers *t)
{
    return (struct str){t->lines.ptr, t->open};
}
