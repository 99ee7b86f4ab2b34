/* Shares are a matter of the outcome's kind, and of whether the answer was an event stream: a table
 * of masks. Only times are compared one by one, and of a good answer that was faster than the
 * lowest limit of all not even these. */
#include "analysis/judge.h"

#include <string.h>

#include "base/check.h"

static const double rare_share = 0.05 + 1e-9; /* 1 - 0.95 is a little more than 0.05 */

static uint32_t bit(size_t criterion)
{
    return UINT32_C(1) << criterion;
}

/* --- the tables ---------------------------------------------------------------------------- */

static bool is_about_streams(enum criterion_metric metric)
{
    switch (metric) {
    case METRIC_STREAM_TRUNCATION_RATE:
    case METRIC_STREAM_STALL_RATE:
    case METRIC_STREAM_EMPTY_RATE:
    case METRIC_STREAM_ERROR_RATE:
    case METRIC_TIME_TO_FIRST_TOKEN:
    case METRIC_INTER_TOKEN_GAP:
    case METRIC_TIME_PER_OUTPUT_TOKEN:
        return true;
    default:
        return false;
    }
}

/* The outcomes that are bad; client_abort apart. */
static uint32_t bad_kinds(const struct policy_criterion *c, uint32_t error_kinds)
{
    switch (c->metric) {
    case METRIC_ERROR_RATE:
        return error_kinds;
    case METRIC_OUTCOME:
        return c->kinds;
    case METRIC_STREAM_TRUNCATION_RATE:
        return outcome_bit(OUTCOME_TRUNCATED);
    case METRIC_STREAM_STALL_RATE:
        return outcome_bit(OUTCOME_STALLED);
    case METRIC_STREAM_EMPTY_RATE:
        return outcome_bit(OUTCOME_EMPTY);
    case METRIC_STREAM_ERROR_RATE:
        return outcome_bit(OUTCOME_STREAM_ERROR);
    default:
        return 0;
    }
}

/* The criterion does not look at answers of this kind. */
static bool is_other_kind(const struct policy_criterion *c, enum outcome_stream stream)
{
    if (stream == STREAM_NO)
        return is_about_streams(c->metric) || c->where.stream == WHERE_STREAM;
    return stream == STREAM_YES && c->where.stream == WHERE_NO_STREAM;
}

enum mark { MARK_OK, MARK_BAD, MARK_EXCLUDED };

/* What is never the outcome of a stream that had begun. */
static const uint32_t never_streams = 1u << OUTCOME_4XX | 1u << OUTCOME_429 | 1u << OUTCOME_5XX |
                                      1u << OUTCOME_CONNECT | 1u << OUTCOME_UNAVAILABLE;

static enum mark mark_share(const struct policy_criterion *c, uint32_t error_kinds, unsigned kind,
                            enum outcome_stream stream)
{
    bool abort = kind == OUTCOME_CLIENT_ABORT || kind == JUDGE_LATE_ABORT;
    enum outcome_kind real = abort ? OUTCOME_CLIENT_ABORT : (enum outcome_kind)kind;

    if (is_other_kind(c, stream))
        return MARK_EXCLUDED;
    /* Asked for a stream is not yet answered with one. */
    if (is_about_streams(c->metric) &&
        (stream != STREAM_YES || (never_streams & outcome_bit(real))))
        return MARK_EXCLUDED;
    if (c->metric == METRIC_CLIENT_ABORT_RATE)
        return kind == OUTCOME_CLIENT_ABORT ? MARK_BAD : MARK_OK;
    if ((bad_kinds(c, error_kinds) & outcome_bit(real)) != 0)
        return MARK_BAD;
    return abort ? MARK_EXCLUDED : MARK_OK;
}

static void add_share(struct judge *j, const struct policy_criterion *c, size_t index)
{
    for (unsigned kind = 0; kind < JUDGE_KINDS; kind++)
        for (unsigned s = 0; s < JUDGE_STREAMS; s++) {
            enum mark mark = mark_share(c, j->error_kinds, kind, (enum outcome_stream)s);
            j->bad[kind][s] |= mark == MARK_BAD ? bit(index) : 0;
            j->excluded[kind][s] |= mark == MARK_EXCLUDED ? bit(index) : 0;
        }
}

/* Of latency, whatever the answer is. */
static bool is_plain(const struct policy_criterion *c)
{
    return c->metric == METRIC_LATENCY && c->where.stream == WHERE_ANY;
}

static void add_time(struct judge *j, const struct policy_criterion *c, size_t index)
{
    bool latency = c->metric == METRIC_LATENCY, first = c->metric == METRIC_TIME_TO_FIRST_TOKEN;

    j->time[j->time_count++] = (struct judge_time){
        .criterion = (uint8_t)index,
        .metric = (uint8_t)c->metric,
        .limit_ns = criterion_follows_stable(c) ? JUDGE_NO_LIMIT : c->limit_ns,
    };
    j->plain_count += is_plain(c);
    j->times |= bit(index);
    if (criterion_follows_stable(c))
        j->moving |= bit(index);
    if (first)
        j->first_token |= bit(index);
    if (latency || first)
        j->in_flight |= bit(index);
    if (is_plain(c))
        j->plain |= bit(index);
    else if (latency || first)
        j->by_answer |= bit(index);
    for (unsigned kind = 0; kind < JUDGE_KINDS; kind++)
        for (unsigned s = 0; s < JUDGE_STREAMS; s++)
            if (is_other_kind(c, (enum outcome_stream)s))
                j->excluded[kind][s] |= bit(index);
}

static bool is_rare(const struct policy_criterion *c)
{
    if (criterion_is_time(c))
        return 1 - c->quantile <= rare_share;
    return c->metric == METRIC_ERROR_RATE || (c->test == TEST_MAX && c->p0 <= rare_share);
}

void judge_init(struct judge *j, const struct policy_analysis *a)
{
    memset(j, 0, sizeof *j);
    j->error_kinds = a->error_kinds;
    for (size_t i = 0; i < a->criteria_count; i++) {
        const struct policy_criterion *c = &a->criteria[i];
        for (unsigned s = 0; s < JUDGE_STREAMS; s++)
            if (is_other_kind(c, (enum outcome_stream)s))
                j->other_kind[s] |= bit(i);
        if (c->test == TEST_SHIFT) {
            j->shifts |= bit(i);
            j->sizes |= c->metric == METRIC_RESPONSE_SIZE ? bit(i) : 0;
            j->tokens |= c->metric == METRIC_TOKEN_USAGE ? bit(i) : 0;
            continue;
        }
        j->counted |= bit(i);
        j->rare |= is_rare(c) ? bit(i) : 0;
        if (!criterion_is_time(c))
            add_share(j, c, i);
    }
    for (unsigned plain = 2; plain-- > 0;)
        for (size_t i = 0; i < a->criteria_count; i++) {
            const struct policy_criterion *c = &a->criteria[i];
            if (c->test != TEST_SHIFT && criterion_is_time(c) && is_plain(c) == plain)
                add_time(j, c, i);
        }
}

void judge_steps(const struct judge *j, const int64_t *limits, struct judge_step *ret)
{
    for (size_t i = 0; i < j->plain_count; i++) {
        size_t at = i;
        for (; at > 0 && ret[at - 1].limit_ns > limits[i]; at--)
            ret[at] = ret[at - 1];
        ret[at] = (struct judge_step){limits[i], bit(j->time[i].criterion)};
    }
    ret[j->plain_count] = (struct judge_step){JUDGE_NO_LIMIT, 0};
}

int64_t judge_lowest(const struct judge *j, const int64_t *limits, uint32_t criteria)
{
    int64_t lowest = JUDGE_NO_LIMIT;

    for (size_t i = 0; i < j->time_count; i++)
        if ((criteria >> j->time[i].criterion & 1) != 0 && limits[i] < lowest)
            lowest = limits[i];
    return lowest;
}

/* --- an attempt that ended ----------------------------------------------------------------- */

int64_t judge_time_of(enum criterion_metric metric, const struct outcome *o)
{
    switch (metric) {
    case METRIC_LATENCY:
        return o->latency_ns;
    case METRIC_TIME_TO_FIRST_TOKEN:
        return o->first_token_ns;
    case METRIC_INTER_TOKEN_GAP:
        return o->longest_gap_ns;
    case METRIC_TIME_PER_OUTPUT_TOKEN:
        return o->per_token_ns;
    default:
        return -1;
    }
}

/* How long the first token was waited for in vain. Of an attempt without an answer that may have
 * been none of a stream only when it failed: the client of a slow plain answer leaves too. */
static int64_t waited_ns(const struct outcome *o, int64_t elapsed_ns)
{
    if (o->kind == OUTCOME_OK)
        return -1;
    return o->stream == STREAM_YES || o->kind != OUTCOME_CLIENT_ABORT ? elapsed_ns : -1;
}

/* An answer that came to nothing says little about how long answers take, so it is left out: a
 * canary that fails fast must not look fast. It counts when it took too long on top of it. Without
 * a known time an answer cannot be judged either. */
static enum mark mark_time(enum criterion_metric metric, const struct outcome *o,
                           int64_t elapsed_ns, int64_t limit_ns)
{
    bool latency = metric == METRIC_LATENCY, first = metric == METRIC_TIME_TO_FIRST_TOKEN;
    int64_t known_ns = latency ? elapsed_ns : judge_time_of(metric, o);
    int64_t ns = first && known_ns < 0 ? waited_ns(o, elapsed_ns) : known_ns;

    if (ns > limit_ns)
        return MARK_BAD;
    if (o->kind == OUTCOME_TIMEOUT)
        return latency || known_ns < 0 ? MARK_BAD : MARK_EXCLUDED;
    if (o->kind == OUTCOME_STALLED)
        return first && known_ns >= 0 ? MARK_EXCLUDED : MARK_BAD;
    return o->kind == OUTCOME_OK && known_ns >= 0 ? MARK_OK : MARK_EXCLUDED;
}

struct marks {
    uint32_t bad, excluded;
};

/* One by one, out of the way of the requests that need no such look. */
static __attribute__((noinline)) struct marks mark_times(const struct judge *j,
                                                         const struct outcome *o,
                                                         int64_t elapsed_ns, const int64_t *limits,
                                                         uint32_t times)
{
    struct marks marks = {0, 0};

    for (size_t i = 0; times != 0; i++) {
        uint32_t mask = bit(j->time[i].criterion);
        if ((times & mask) == 0)
            continue;
        times &= ~mask;
        enum mark mark =
            mark_time((enum criterion_metric)j->time[i].metric, o, elapsed_ns, limits[i]);
        marks.bad |= mark == MARK_BAD ? mask : 0;
        marks.excluded |= mark == MARK_EXCLUDED ? mask : 0;
    }
    return marks;
}

void judge_end(const struct judge *j, const struct outcome *o, int64_t elapsed_ns,
               const int64_t *limits, const struct judge_step *steps, uint32_t open,
               uint32_t *ret_bad, uint32_t *ret_excluded)
{
    unsigned kind = o->kind == OUTCOME_CLIENT_ABORT && o->first_byte_ns >= 0
                        ? (unsigned)JUDGE_LATE_ABORT
                        : (unsigned)o->kind;
    uint32_t bad = j->bad[kind][o->stream] & open;
    uint32_t excluded = j->excluded[kind][o->stream] & open;
    uint32_t times = j->times & open & ~excluded;

    /* A good answer, as nearly all are: a matter of its latency alone. */
    if (o->kind == OUTCOME_OK && elapsed_ns >= 0) {
        for (uint32_t plain = times; elapsed_ns > steps->limit_ns; steps++)
            bad |= steps->criteria & plain;
        times &= ~j->plain;
    }
    if (times != 0) {
        struct marks marks = mark_times(j, o, elapsed_ns, limits, times);
        bad |= marks.bad;
        excluded |= marks.excluded;
    }
    *ret_bad = bad;
    *ret_excluded = excluded;
}

/* --- an attempt in flight ------------------------------------------------------------------ */

uint32_t judge_may_break(const struct judge *j, enum outcome_stream stream, bool first_token,
                         uint32_t open)
{
    uint32_t may = j->in_flight & open & ~j->other_kind[stream];

    if (stream == STREAM_UNKNOWN)
        may &= ~j->by_answer;
    return first_token ? may & ~j->first_token : may;
}

uint32_t judge_in_flight(const struct judge *j, enum outcome_stream stream, bool first_token,
                         int64_t elapsed_ns, const int64_t *limits, uint32_t open)
{
    uint32_t left = judge_may_break(j, stream, first_token, open), bad = 0;

    for (size_t i = 0; left != 0; i++) {
        uint32_t mask = bit(j->time[i].criterion);
        if ((left & mask) != 0 && elapsed_ns > limits[i])
            bad |= mask;
        left &= ~mask;
    }
    return bad;
}
