/* The mix: shares in thousandths, chosen so that failures before the first byte stay well below the
 * retry budget and that every combination comes up often in a million. */
#include <stddef.h>

#include "tests/figures/storm/storm.h"

const char *const answer_names[ANSWER_COUNT] = {
    [ANSWER_LENGTH] = "length",
    [ANSWER_CHUNKED] = "chunked",
    [ANSWER_STREAM] = "stream",
    [ANSWER_TO_CLOSE] = "to close",
    [ANSWER_LARGE] = "large",
    [ANSWER_PIECES] = "in pieces",
    [ANSWER_INTERIM] = "interim",
    [ANSWER_NOTHING] = "204",
    [ANSWER_LAST] = "last",
    [ANSWER_SURPLUS] = "surplus",
    [ANSWER_EARLY] = "early",
    [ANSWER_500] = "500",
    [ANSWER_429] = "429",
    [ANSWER_RESET] = "reset",
    [ANSWER_CLOSED] = "closed",
    [ANSWER_GARBAGE] = "garbage",
    [ANSWER_SILENT] = "silent",
    [ANSWER_SHORT] = "short",
    [ANSWER_CUT_CHUNK] = "cut chunk",
    [ANSWER_BAD_CHUNK] = "bad chunk",
    [ANSWER_CUT_RESET] = "cut by reset",
    [ANSWER_STALLED] = "stalled",
};

static const uint16_t sends[SEND_COUNT] = {
    [SEND_GET] = 460,         [SEND_HEAD] = 50,         [SEND_PUT] = 50,
    [SEND_POST] = 240,        [SEND_POST_CHUNKED] = 80, [SEND_POST_EXPECT] = 20,
    [SEND_POST_LARGE] = 10,   [SEND_GET_10] = 20,       [SEND_GET_HALF_CLOSE] = 20,
    [SEND_ABORT_GET] = 15,    [SEND_ABORT_POST] = 10,   [SEND_ABORT_BODY] = 10,
    [SEND_ABORT_ANSWER] = 15,
};

static const uint16_t answers[ANSWER_COUNT] = {
    [ANSWER_LENGTH] = 490,   [ANSWER_CHUNKED] = 160,  [ANSWER_STREAM] = 100,
    [ANSWER_TO_CLOSE] = 10,  [ANSWER_LARGE] = 8,      [ANSWER_PIECES] = 30,
    [ANSWER_INTERIM] = 20,   [ANSWER_NOTHING] = 20,   [ANSWER_LAST] = 20,
    [ANSWER_SURPLUS] = 10,   [ANSWER_EARLY] = 10,     [ANSWER_500] = 30,
    [ANSWER_429] = 10,       [ANSWER_RESET] = 15,     [ANSWER_CLOSED] = 15,
    [ANSWER_GARBAGE] = 10,   [ANSWER_SILENT] = 1,     [ANSWER_SHORT] = 10,
    [ANSWER_CUT_CHUNK] = 10, [ANSWER_BAD_CHUNK] = 10, [ANSWER_CUT_RESET] = 10,
    [ANSWER_STALLED] = 1,
};

static unsigned pick(const uint16_t *shares, unsigned count, uint64_t number)
{
    unsigned left = (unsigned)(number % 1000);

    for (unsigned i = 0; i < count; i++) {
        if (left < shares[i])
            return i;
        left -= shares[i];
    }
    return 0;
}

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

struct script script_of(uint64_t id)
{
    uint64_t a = mix(id), b = mix(a), c = mix(b);
    struct script s = {
        .send = (enum send_kind)pick(sends, SEND_COUNT, a),
        .answer = (enum answer_kind)pick(answers, ANSWER_COUNT, b),
        .letter = (char)('a' + id % 26),
        .request_bytes = 100 + (uint32_t)(c % 900),
        .answer_bytes = 50 + (uint32_t)((c >> 32) % 2000),
    };

    s.aborts = s.send >= SEND_ABORT_GET;
    s.repeatable = s.send == SEND_GET || s.send == SEND_HEAD || s.send == SEND_PUT ||
                   s.send == SEND_GET_10 || s.send == SEND_GET_HALF_CLOSE ||
                   s.send == SEND_ABORT_GET;
    if (s.send == SEND_POST_LARGE)
        s.request_bytes = 200 * 1000;
    if (s.answer == ANSWER_LARGE)
        s.answer_bytes = 256 * 1024;
    return s;
}
