/* Counting. The histogram has 32 slots to each power of two, so a quantile is off by 3 % at most.
 */
#include "examples/traffic/stats.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"

enum { SLOT_BITS = 5, SLOTS_PER_OCTAVE = 1 << SLOT_BITS };

void stats_init(struct stats *s, int64_t now_ns, int64_t wall_ns)
{
    *s = (struct stats){.begin_ns = now_ns, .begin_wall_ns = wall_ns};
}

void stats_deinit(struct stats *s)
{
    free(s->seconds);
    s->seconds = NULL;
}

static size_t slot_of(int64_t ns)
{
    uint64_t v = ns > 0 ? (uint64_t)ns : 0;

    if (v < SLOTS_PER_OCTAVE)
        return (size_t)v;
    unsigned shift = 63 - (unsigned)__builtin_clzll(v) - SLOT_BITS;
    return (size_t)((shift + 1) * SLOTS_PER_OCTAVE + ((v >> shift) & (SLOTS_PER_OCTAVE - 1)));
}

static int64_t slot_value(size_t slot)
{
    size_t octave = slot / SLOTS_PER_OCTAVE, at = slot % SLOTS_PER_OCTAVE;

    if (octave == 0)
        return (int64_t)at;
    uint64_t low = (uint64_t)(SLOTS_PER_OCTAVE + at) << (octave - 1);
    return (int64_t)(low + ((UINT64_C(1) << (octave - 1)) >> 1));
}

static void observe(struct stats_histogram *h, int64_t ns)
{
    size_t slot = slot_of(ns);

    h->slots[slot < STATS_HISTOGRAM_SLOTS ? slot : STATS_HISTOGRAM_SLOTS - 1]++;
    h->count++;
    h->sum_ns += (double)ns;
    if (ns > h->max_ns)
        h->max_ns = ns;
}

int64_t stats_quantile(const struct stats_histogram *h, double q)
{
    uint64_t rank = (uint64_t)(q * (double)h->count), seen = 0;

    if (h->count == 0)
        return 0;
    if (rank >= h->count)
        rank = h->count - 1;
    for (size_t i = 0; i < STATS_HISTOGRAM_SLOTS; i++) {
        seen += h->slots[i];
        if (seen > rank) {
            int64_t ns = slot_value(i);

            return ns < h->max_ns ? ns : h->max_ns;
        }
    }
    return h->max_ns;
}

static struct stats_second *second_at(struct stats *s, int64_t now_ns)
{
    size_t at = now_ns > s->begin_ns ? (size_t)((now_ns - s->begin_ns) / NS_PER_SEC) : 0;

    if (at >= STATS_SECONDS_MAX)
        at = STATS_SECONDS_MAX - 1;
    while (at >= s->second_cap) {
        size_t cap = s->second_cap == 0 ? 64 : s->second_cap * 2;

        s->seconds = xrealloc(s->seconds, cap * sizeof(*s->seconds));
        s->second_cap = cap;
    }
    while (at >= s->second_count)
        s->seconds[s->second_count++] = (struct stats_second){0};
    return &s->seconds[at];
}

static size_t version_index(struct stats *s, struct str name)
{
    if (name.ptr == NULL || name.len == 0)
        name = STR("-");
    if (name.len >= STATS_VERSION_BYTES)
        name.len = STATS_VERSION_BYTES - 1;
    for (size_t i = 0; i < s->version_count; i++)
        if (str_eq(name, str_from(s->versions[i].name)))
            return i;
    if (s->version_count == STATS_VERSIONS_MAX)
        return STATS_VERSIONS_MAX - 1;
    str_copy(s->versions[s->version_count].name, STATS_VERSION_BYTES, name);
    return s->version_count++;
}

static void add_stream(struct stats *s, const struct stats_result *r)
{
    switch (r->stream) {
    case STATS_NO_STREAM:
        return;
    case STATS_STREAM_DONE:
        s->streams_done++;
        break;
    case STATS_STREAM_CUT:
        s->streams_cut++;
        break;
    case STATS_STREAM_ERROR:
        s->streams_error++;
        break;
    }
    if (r->first_token_ns > 0)
        observe(&s->first_token, r->first_token_ns);
}

void stats_add(struct stats *s, const struct stats_result *r, int64_t now_ns)
{
    struct stats_second *second = second_at(s, now_ns);

    if (r->status == 0) {
        s->lost++;
        s->timed_out += r->timed_out;
        s->lost_reused += r->reused && !r->timed_out;
        second->classes[0]++;
        return;
    }
    size_t class = (size_t)(r->status / 100), version = version_index(s, r->version);
    struct stats_version *v = &s->versions[version];
    s->statuses[r->status < 600 ? r->status : 599]++;
    second->classes[class < STATS_CLASSES ? class : 5]++;
    second->versions[version]++;
    v->classes[class < STATS_CLASSES ? class : 5]++;
    add_stream(s, r);
    if (r->cut) {
        s->cut++;
        v->cut++;
        return;
    }
    s->answered++;
    if (r->latency_ns > second->max_ns)
        second->max_ns = r->latency_ns;
    observe(&s->latency, r->latency_ns);
    observe(&s->by_kind[r->kind_index], r->latency_ns);
    observe(&v->latency, r->latency_ns);
}

void stats_connect_failed(struct stats *s, int64_t now_ns)
{
    s->connect_failures++;
    second_at(s, now_ns)->connect_failures++;
}
