/* Runs of content are collected first; the size line goes before them once their sum is known. */
#include "net/body.h"

#include "base/check.h"

void body_init(struct body *b, enum framing framing, uint64_t length)
{
    *b = (struct body){.framing = framing,
                       .done = framing == FRAMING_NONE,
                       .left = framing == FRAMING_LENGTH ? length : 0};
    chunked_init(&b->chunked);
}

void body_deinit(struct body *b)
{
    chunked_deinit(&b->chunked);
}

static uv_buf_t buf_of(struct str s)
{
    return uv_buf_init((char *)(uintptr_t)s.ptr, (unsigned)s.len);
}

/* The next run of content. BODY_MORE with an empty run: nothing there. */
static enum body_result next_run(struct body *b, struct str *bytes, struct str *ret_run)
{
    *ret_run = (struct str){NULL, 0};
    if (b->done)
        return BODY_DONE;
    if (b->framing == FRAMING_CHUNKED) {
        switch (chunked_next(&b->chunked, bytes, ret_run)) {
        case CHUNKED_DATA:
        case CHUNKED_MORE:
            return BODY_MORE;
        case CHUNKED_END:
            return BODY_DONE;
        case CHUNKED_ERROR:
            return BODY_ERROR;
        }
    }
    size_t n = bytes->len;
    if (b->framing == FRAMING_LENGTH && n > b->left)
        n = (size_t)b->left;
    *ret_run = (struct str){bytes->ptr, n};
    *bytes = (struct str){bytes->ptr + n, bytes->len - n};
    if (b->framing == FRAMING_LENGTH)
        b->left -= n;
    return b->framing == FRAMING_LENGTH && b->left == 0 ? BODY_DONE : BODY_MORE;
}

static void add(struct body_out *out, uv_buf_t buf)
{
    CHECK(out->count < ARRAY_LEN(out->bufs));
    out->bufs[out->count++] = buf;
}

static struct str trailers_of(const struct body *b)
{
    if (b->drop_trailers || b->chunked.trailers == NULL)
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

/* The runs, with chunk framing round them where it is asked for. */
static void frame(const struct body *b, struct body_out *out, const uv_buf_t *runs, unsigned count,
                  size_t total, bool chunked)
{
    if (chunked && total > 0)
        add(out, uv_buf_init(out->line, (unsigned)chunked_line(out->line, total)));
    out->run_first = out->count;
    out->run_count = count;
    for (unsigned i = 0; i < count; i++)
        add(out, runs[i]);
    if (chunked && b->done)
        frame_end(b, out, total > 0);
    else if (chunked && total > 0)
        add(out, buf_of(STR("\r\n")));
}

enum body_result body_read(struct body *b, struct str *bytes, enum framing as, struct body_out *out)
{
    uv_buf_t runs[BODY_RUNS_MAX];
    unsigned count = 0;
    size_t total = 0;
    enum body_result result = BODY_MORE;
    bool was_done = b->done;

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
    if (was_done) {
        out->run_first = out->count;
        out->run_count = 0;
        return BODY_DONE;
    }
    b->bytes += total;
    b->done = result == BODY_DONE;
    frame(b, out, runs, count, total, as == FRAMING_CHUNKED);
    return result;
}

void body_close(struct body *b, enum framing as, struct body_out *out)
{
    CHECK(b->framing == FRAMING_CLOSE);
    b->done = true;
    frame(b, out, NULL, 0, 0, as == FRAMING_CHUNKED);
}
