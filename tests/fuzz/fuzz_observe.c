/* Watching streams: the first byte of the input chooses protocol and type, the second how the rest
 * is cut into runs. The oracle: whole, byte by byte and in runs of any size, and after streams with
 * the same events, the pieces and the outcome are the same; asking how it ended changes nothing;
 * plain framing alone decides "plain".
 */
#include <stddef.h>

#include "base/check.h"
#include "base/rng.h"
#include "proxy/observe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AFTER = 3 }; /* streams of the same bytes */

struct result {
    unsigned pieces;
    enum outcome_kind whole, broken;
};

static struct observe *open_stream(enum stream_protocol protocol, bool lines,
                                   struct observe_shapes *shapes)
{
    static struct head h;
    bool unseen;

    h.status = 200;
    h.framing = FRAMING_CHUNKED;
    h.count = 1;
    h.index[FIELD_CONTENT_TYPE] = 1;
    h.fields[0].id = FIELD_CONTENT_TYPE;
    h.fields[0].name = STR("content-type");
    h.fields[0].value = lines ? STR("application/x-ndjson") : STR("text/event-stream");
    struct observe *o = observe_new(protocol, &h, shapes, &unseen);
    CHECK(o != NULL && !unseen);
    return o;
}

/* Runs of at most `cut` bytes; 0: all at once. */
static struct result watch(enum stream_protocol protocol, bool lines, struct str bytes,
                           uint32_t cut, uint64_t seed, struct observe_shapes *shapes)
{
    struct observe *o = open_stream(protocol, lines, shapes);
    struct result r = {.pieces = 0};
    struct rng rng;

    rng_seed(&rng, seed);
    while (bytes.len > 0) {
        size_t n = cut == 0 ? bytes.len : 1 + rng_below(&rng, cut);
        n = n < bytes.len ? n : bytes.len;
        r.pieces += observe_bytes(o, (struct str){bytes.ptr, n});
        bytes.ptr += n;
        bytes.len -= n;
    }
    r.broken = observe_end(o, false);
    r.whole = observe_end(o, true);
    CHECK(observe_end(o, true) == r.whole && observe_end(o, false) == r.broken);
    observe_free(o);
    return r;
}

static void check_same(const struct result *all, struct result r)
{
    CHECK(r.pieces == all->pieces && r.whole == all->whole && r.broken == all->broken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum stream_protocol protocol = data[0] % PROTOCOL_COUNT;
    bool lines = (data[0] & 0x80) != 0;
    struct str bytes = {(const char *)data + 2, size - 2};
    struct result all = watch(protocol, lines, bytes, 0, 0, NULL);
    const uint32_t cuts[] = {1, 2 + data[1] % 7u, 2 + data[1]};

    for (size_t i = 0; i < ARRAY_LEN(cuts); i++)
        check_same(&all, watch(protocol, lines, bytes, cuts[i], data[1], NULL));
    struct observe_shapes *shapes = observe_shapes_new();
    for (size_t i = 0; i < AFTER; i++)
        check_same(&all, watch(protocol, lines, bytes, 0, 0, shapes));
    check_same(&all, watch(protocol, lines, bytes, cuts[2], data[1], shapes));
    observe_shapes_free(shapes);
    CHECK(all.pieces <= bytes.len);
    CHECK(all.broken == OUTCOME_STREAM_ERROR || all.broken == OUTCOME_TRUNCATED);
    CHECK((all.whole == OUTCOME_STREAM_ERROR) == (all.broken == OUTCOME_STREAM_ERROR));
    if (protocol == PROTOCOL_PLAIN)
        CHECK(all.whole == OUTCOME_OK && all.broken == OUTCOME_TRUNCATED);
    return 0;
}
