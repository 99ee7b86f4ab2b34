/* Nearly every read is one run: of a counted body, or of exactly one chunk. Those two go straight
 * through. Else the runs of content are collected behind a place for the size line, which is
 * written once their sum is known.
 */
#include "net/body.h"

#include "base/check.h"

static uv_buf_t buf_of(struct str s)
{
    return (uv_buf_t){.base = (char *)(uintptr_t)s.ptr, .len = s.len};
}

static void add(struct body_out *out, uv_buf_t buf)
{
    CHECK(out->count < ARRAY_LEN(out->bufs));
    out->bufs[out->count++] = buf;
}

static struct str trailers_of(const struct body *b)
{
    if (b->framing != FRAMING_CHUNKED || b->drop_trailers || b->chunked.trailers == NULL)
        return (struct str){"", 0};
    return trailers_kept(b->chunked.trailers);
}

/* Behind the last chunk's data: its CRLF, the chunk of size 0, trailers, the empty line. */
static void frame_end(const struct body *b, struct body_out *out, bool data)
{
    static const struct str zero = {"\r\n0\r\n\r\n", 7};
    struct str trailers = trailers_of(b);

    if (trailers.len == 0) {
        add(out, buf_of((struct str){zero.ptr + (data ? 0 : 2), data ? 7 : 5}));
        return;
    }
    add(out, buf_of((struct str){zero.ptr + (data ? 0 : 2), data ? 5 : 3}));
    add(out, buf_of(trailers));
    add(out, buf_of((struct str){zero.ptr, 2}));
}

/* Round the runs that stand behind an empty place at `line_at`. Chunks of size 0 would be the end.
 */
static void frame(const struct body *b, struct body_out *out, unsigned line_at, size_t total)
{
    out->count = line_at;
    if (total > 0) {
        size_t n = chunked_line(out->line, total);
        add(out, buf_of((struct str){out->line, n}));
        out->count += out->run_count;
    }
    if (b->done)
        frame_end(b, out, total > 0);
    else if (total > 0)
        add(out, buf_of(STR("\r\n")));
}

static enum body_result next_run(struct body *b, struct str *bytes, struct str *ret_run)
{
    ret_run->len = 0;
    switch (chunked_next(&b->chunked, bytes, ret_run)) {
    case CHUNKED_DATA:
    case CHUNKED_MORE:
        return BODY_MORE;
    case CHUNKED_END:
        return BODY_DONE;
    case CHUNKED_ERROR:
        return BODY_ERROR;
    }
    UNREACHABLE();
}

static enum body_result read_chunks(struct body *b, struct str *bytes, bool chunked,
                                    struct body_out *out)
{
    unsigned line_at = out->count;
    uv_buf_t *runs = out->bufs + line_at + (chunked ? 1 : 0);
    enum body_result result = BODY_MORE;
    unsigned count = 0;
    size_t total = 0;

    CHECK(line_at + 1 + BODY_RUNS_MAX <= ARRAY_LEN(out->bufs));
    while (result == BODY_MORE && bytes->len > 0) {
        if (count == BODY_RUNS_MAX) {
            result = BODY_AGAIN;
            break;
        }
        struct str run;
        result = next_run(b, bytes, &run);
        if (run.len > 0) {
            runs[count++] = buf_of(run);
            total += run.len;
        }
    }
    b->bytes += total;
    b->done = result == BODY_DONE;
    out->runs = runs;
    out->run_count = count;
    if (chunked)
        frame(b, out, line_at, total);
    else
        out->count += count;
    return result;
}

/* A read that is one chunk, spelled as we would, is what framing it anew would give. */
static bool read_one_chunk(struct body *b, struct str *bytes, struct body_out *out)
{
    struct str data;

    if (!chunked_same(&b->chunked, *bytes, &data))
        return false;
    b->bytes += data.len;
    out->whole = buf_of(data);
    out->runs = &out->whole;
    out->run_count = 1;
    add(out, buf_of(*bytes));
    *bytes = (struct str){bytes->ptr + bytes->len, 0};
    return true;
}

/* Counted, or until the connection ends: what there is, is one run, after `before` buffers. */
static inline size_t read_bare(struct body *b, struct str *bytes, unsigned before,
                               struct body_out *out)
{
    size_t n = bytes->len;

    if (b->framing == FRAMING_LENGTH) {
        n = n < b->left ? n : (size_t)b->left;
        b->left -= n;
        b->done = b->left == 0;
    }
    b->bytes += n;
    CHECK(before < ARRAY_LEN(out->bufs));
    out->runs = out->bufs + before;
    out->run_count = n > 0;
    out->bufs[before] = buf_of((struct str){bytes->ptr, n});
    out->count = before + out->run_count;
    *bytes = (struct str){bytes->ptr + n, bytes->len - n};
    return n;
}

/* Either side is chunked. Not part of body_read, so that bare bytes do not pay for it. */
static __attribute__((noinline)) enum body_result read_framed(struct body *b, struct str *bytes,
                                                              bool chunked, struct body_out *out)
{
    unsigned line_at = out->count;

    if (b->framing != FRAMING_CHUNKED) {
        frame(b, out, line_at, read_bare(b, bytes, line_at + 1, out));
        return b->done ? BODY_DONE : BODY_MORE;
    }
    if (chunked && read_one_chunk(b, bytes, out))
        return BODY_MORE;
    return read_chunks(b, bytes, chunked, out);
}

enum body_result body_read(struct body *b, struct str *bytes, enum framing as, struct body_out *out)
{
    bool chunked = as == FRAMING_CHUNKED;

    if (b->done) {
        out->run_count = 0;
        return BODY_DONE;
    }
    if (chunked || b->framing == FRAMING_CHUNKED)
        return read_framed(b, bytes, chunked, out);
    read_bare(b, bytes, out->count, out);
    return b->done ? BODY_DONE : BODY_MORE;
}

void body_close(struct body *b, enum framing as, struct body_out *out)
{
    CHECK(b->framing == FRAMING_CLOSE);
    b->done = true;
    out->run_count = 0;
    if (as == FRAMING_CHUNKED)
        frame_end(b, out, false);
}
