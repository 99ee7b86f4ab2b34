/* storm: sends numbered requests of every kind through a proxy to backends that fail in every
 * scripted way, and accounts for each. tests/figures/million.py drives it: a line "ports …" when
 * the backends listen, then for each line "run COUNT PROXY-PORT" on standard input one line of
 * JSON. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/figures/storm/storm.h"

enum { REQUESTS_MAX = 20 * 1000 * 1000, CONNECTIONS_MAX = 512, SHOWN_MAX = 100 };

struct tally {
    uint64_t fates[FATE_COUNT], aborted, repeated, duplicated, mended, failed, saved, unsaved,
        raced, late;
    uint64_t kinds[ANSWER_COUNT], refused;
};

static bool fails_before_first_byte(enum answer_kind kind)
{
    return kind == ANSWER_RESET || kind == ANSWER_CLOSED || kind == ANSWER_GARBAGE ||
           kind == ANSWER_SILENT || kind == ANSWER_500;
}

/* A canary's failure of a request that RFC 9110 lets a proxy send twice: stable can answer it. */
static bool may_be_saved(const struct script *s, const struct record *r)
{
    return s->repeatable && strcmp(backend_versions[r->first], backend_versions[0]) != 0 &&
           s->answer != ANSWER_429;
}

static bool fails_later(enum answer_kind kind)
{
    return kind >= ANSWER_SHORT;
}

/* What is wrong with this one's fate; NULL: nothing. */
static const char *fault_of(const struct script *s, const struct record *r, struct tally *t)
{
    unsigned seen = atomic_load(&r->seen);

    if (seen > 1 && !s->repeatable) {
        t->duplicated++;
        return "delivered twice";
    }
    t->repeated += seen > 1;
    if (s->aborts) {
        t->aborted++;
        return NULL;
    }
    t->fates[r->fate]++;
    if (r->fate == FATE_LOST)
        return "not answered";
    if (r->fate == FATE_WRONG)
        return "another answer than its own";
    if (r->fate == FATE_VERSION)
        return "the wrong version is named";
    if (fails_before_first_byte(s->answer) || s->answer == ANSWER_429) {
        t->failed++;
        t->saved += r->fate == FATE_OK;
        t->unsaved += r->fate != FATE_OK && may_be_saved(s, r);
        return r->fate == FATE_CUT ? "cut instead of an error" : NULL;
    }
    if (fails_later(s->answer)) {
        t->late++;
        /* There is no body to cut in the answer to HEAD; a second attempt is answered well. */
        if (r->fate == FATE_OK && s->send != SEND_HEAD && seen <= 1) {
            t->mended++;
            return "a broken answer looks whole";
        }
        return NULL;
    }
    if (r->fate == FATE_ERROR && seen == 0 && !s->repeatable) {
        t->raced++; /* the backend closed the connection just then; a POST must not be sent again */
        return NULL;
    }
    if (r->fate != FATE_OK) {
        t->refused++;
        return "a good answer did not arrive";
    }
    return NULL;
}

static uint64_t check(const struct storm *storm, struct tally *t)
{
    uint64_t faults = 0;

    for (uint64_t id = storm->first; id < storm->first + storm->count; id++) {
        struct script s = script_of(id);
        const struct record *r = &storm->records[id];
        const char *fault = fault_of(&s, r, t);
        t->kinds[s.answer]++;
        if (fault != NULL && faults++ < SHOWN_MAX)
            fprintf(stderr,
                    "storm: request %" PRIu64 ": %s (send %d, answer %s, status %u, seen %u)\n", id,
                    fault, s.send, answer_names[s.answer], r->status,
                    (unsigned)atomic_load(&r->seen));
    }
    return faults;
}

static void report(const struct storm *storm, double seconds)
{
    struct tally t = {.aborted = 0};
    uint64_t faults = check(storm, &t);

    printf("{\"requests\": %" PRIu64 ", \"seconds\": %.1f, \"faults\": %" PRIu64
           ", \"ok\": %" PRIu64 ", \"errors\": %" PRIu64 ", \"cut\": %" PRIu64
           ", \"lost\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"wrong_version\": %" PRIu64
           ", \"duplicated\": %" PRIu64,
           storm->count, seconds, faults, t.fates[FATE_OK], t.fates[FATE_ERROR], t.fates[FATE_CUT],
           t.fates[FATE_LOST], t.fates[FATE_WRONG], t.fates[FATE_VERSION], t.duplicated);
    printf(", \"aborted\": %" PRIu64 ", \"sent_again\": %" PRIu64
           ", \"failed_before_first_byte\": %" PRIu64 ", \"saved\": %" PRIu64
           ", \"unsaved\": %" PRIu64 ", \"broken_later\": %" PRIu64 ", \"mended\": %" PRIu64
           ", \"raced\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"corrupted\": %" PRIu64
           ", \"not_http\": %" PRIu64 ", \"kinds\": {",
           t.aborted, t.repeated, t.failed, t.saved, t.unsaved, t.late, t.mended, t.raced,
           t.refused, atomic_load(&storm->corrupted), atomic_load(&storm->not_http));
    for (int k = 0; k < ANSWER_COUNT; k++)
        printf("%s\"%s\": %" PRIu64, k == 0 ? "" : ", ", answer_names[k], t.kinds[k]);
    printf("}}\n");
    fflush(stdout);
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static struct storm storm;
    uint16_t ports[BACKENDS];
    char line[128];
    int connections = argc > 1 ? atoi(argv[1]) : 64;

    signal(SIGPIPE, SIG_IGN);
    storm.records = calloc(REQUESTS_MAX, sizeof(*storm.records));
    if (storm.records == NULL || connections < 1 || connections > CONNECTIONS_MAX ||
        backend_start(&storm, ports) != 0) {
        fprintf(stderr, "usage: storm [CONNECTIONS, at most %d]\n", CONNECTIONS_MAX);
        return 2;
    }
    printf("ports %u %u %u %u\n", ports[0], ports[1], ports[2], ports[3]);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        uint64_t count = 0;
        unsigned port = 0;
        storm.first += storm.count;
        storm.count = 0;
        if (sscanf(line, "run %" SCNu64 " %u", &count, &port) != 2 || port > UINT16_MAX ||
            count > REQUESTS_MAX - storm.first)
            return 2;
        storm.count = count;
        storm.proxy_port = (uint16_t)port;
        double began = now();
        clients_run(&storm, connections);
        double seconds = now() - began;
        backend_drop_all(&storm);
        report(&storm, seconds);
    }
    return 0;
}
