/* bench-load: the generator of `make bench`. It opens its connections, sends one request over each
 * so that everything on the way is warm, says "ready", and measures when it is told to: so the
 * processor time that is read around the measurement has nothing of the set-up in it. Connections
 * stay open until standard input ends, so that memory can be read while they stand, and nobody has
 * to stop this program: it ends with whoever started it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/connection.h"
#include "tests/bench/histogram.h"

enum {
    CONNECTIONS_MAX = 19900,
    OPENING_MAX = 64,    /* at a time, so that no accept queue overflows */
    FAILURES_MAX = 1000, /* then it is pointless to go on */
};
static const uint64_t SETTLE_NS = 300000000, DRAIN_NS = 5000000000;

static const char help[] =
    "usage: bench-load --port N [OPTIONS]\n"
    "\n"
    "  --mode closed     every connection sends when it has its answer (default)\n"
    "         open       --rate requests a second, latency from when each was due\n"
    "         new        as closed, and a new connection for every request\n"
    "         sse        every connection reads a stream of events, which are counted\n"
    "         idle       every connection sends one request and stays\n"
    "  --connections N   (64)\n"
    "  --rate N          of --mode open (10000)\n"
    "  --seconds S       to measure (1)\n"
    "  --requests N      ends after N, if that is earlier\n"
    "  --body N          bytes of the request's body (1024)\n"
    "  --answer N        bytes of the answer's body; another number is a failure (256)\n"
    "  --host NAME       of the request (api.example.com)\n"
    "  --tls             TLS 1.3; with --mode new a full handshake for every request\n"
    "  --resume          resumed handshakes instead, but for the first\n"
    "  --wait            says `ready`, waits for a line, measures, reports, and ends with its\n"
    "                    standard input\n"
    "\n"
    "The report is JSON: requests (or events), failed, seconds, and quantiles in microseconds of "
    "the\n"
    "latency, or of the gap between reads of one stream.\n";

enum mode { CLOSED, OPEN, NEW, SSE, IDLE };

static enum {
    OPENING,
    SETTLING, /* streams have their first events behind them */
    READY,    /* waits for a line */
    MEASURING,
    DRAINING, /* nothing new is sent; what is owed may come */
    DONE,
} phase;

static struct connection_plan plan;
static enum mode mode;
static bool waits;
static unsigned count = 64;
static double seconds = 1, rate = 10000;
static uint64_t requests_max = UINT64_MAX;
static struct connection *connections;

static unsigned opened, ready; /* while opening */
static unsigned gone;          /* closed for good, while measuring */
static uint64_t begin_ns, end_ns, due_ns, interval_ns;
static uint64_t sent, answered, owed, failed, ended, failures[FAILURE_RESUMPTION + 1];
static struct connection *idle_first, **idle_end = &idle_first; /* --mode open: free to send */
static struct histogram latencies;

static void report(void)
{
    static const char *const names[] = {"connect", "send", "status", "length", "cut", "resumption"};
    double took = (double)(common_now_ns() - begin_ns) / 1e9;

    phase = DONE;
    failed += owed;
    printf("{\"requests\": %lu, \"failed\": %lu, \"closed\": %lu, \"seconds\": %.6f, ", answered,
           failed, ended, took);
    printf("\"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f, \"failures\": {",
           (double)histogram_quantile(&latencies, 0.5) / 1e3,
           (double)histogram_quantile(&latencies, 0.99) / 1e3,
           (double)histogram_quantile(&latencies, 0.999) / 1e3);
    for (unsigned i = 0; i <= FAILURE_RESUMPTION; i++)
        printf("%s\"%s\": %lu", i > 0 ? ", " : "", names[i], failures[i]);
    printf("}}\n");
    fflush(stdout);
    if (!waits)
        exit(0);
}

static void on_result(struct connection *c, enum connection_result result);

static void owe(struct connection *c, uint64_t start_ns)
{
    c->start_ns = start_ns;
    sent++;
    owed++;
}

static void transmit(struct connection *c)
{
    if (!connection_send(c, &plan))
        on_result(c, CONNECTION_FAILED);
}

static void send_request(struct connection *c, uint64_t start_ns)
{
    owe(c, start_ns);
    transmit(c);
}

/* While measuring, which is --mode new, the request is owed before the handshake. */
static void open_connection(struct connection *c)
{
    if (phase == MEASURING)
        owe(c, common_now_ns());
    on_result(c, connection_open(c, &plan));
}

static bool may_send(void)
{
    return phase == MEASURING && sent < requests_max && failed < FAILURES_MAX;
}

static void put_idle(struct connection *c)
{
    c->next = NULL;
    *idle_end = c;
    idle_end = &c->next;
}

/* --mode open: what is due goes out, over the connection that has been idle longest. */
static void send_due(void)
{
    uint64_t now = common_now_ns();

    while (due_ns <= now && due_ns < end_ns && sent < requests_max && idle_first != NULL) {
        struct connection *c = idle_first;
        idle_first = c->next;
        if (idle_first == NULL)
            idle_end = &idle_first;
        if (c->state != CONNECTION_IDLE)
            continue; /* closed while it was in the list */
        send_request(c, due_ns);
        due_ns += interval_ns;
    }
}

/* Opening: a connection is ready when it has had its answer, or its first event; with --mode new
 * when it has gone again. */
static void one_ready(void)
{
    ready++;
    owed -= owed > 0;
    while (opened < count && opened - ready < OPENING_MAX)
        open_connection(&connections[opened++]);
    if (ready == count && phase == OPENING) {
        end_ns = common_now_ns() + (mode == SSE ? SETTLE_NS : 0);
        phase = SETTLING;
    }
}

static void on_opening(struct connection *c, enum connection_result result)
{
    switch (result) {
    case CONNECTION_OPEN:
        send_request(c, common_now_ns());
        break;
    case CONNECTION_ANSWERED:
        if (mode != NEW)
            one_ready();
        break;
    case CONNECTION_EVENTS:
        if (c->start_ns != 0)
            one_ready();
        c->start_ns = 0;
        break;
    case CONNECTION_ENDED:
        connection_close(c);
        if (mode == NEW)
            one_ready();
        else
            common_die("a connection was closed before the measurement");
        break;
    case CONNECTION_FAILED:
        fprintf(stderr, "bench-load: the first request of a connection failed (%d)\n", c->failure);
        exit(1);
    case CONNECTION_NOTHING:
        break;
    }
}

static void on_answered(struct connection *c)
{
    uint64_t now = common_now_ns();

    histogram_add(&latencies, now - c->start_ns);
    answered++;
    owed--;
    if (mode == OPEN)
        put_idle(c);
    else if (mode == CLOSED && now < end_ns && may_send())
        send_request(c, now);
}

static void on_events(struct connection *c)
{
    uint64_t now = common_now_ns();

    if (phase == MEASURING) {
        answered += c->events;
        if (c->start_ns >= begin_ns)
            histogram_add(&latencies, now - c->start_ns);
    }
    c->start_ns = now;
}

/* The connection is gone: --mode new takes the next one. */
static void on_gone(struct connection *c, bool failure)
{
    if (failure || mode == SSE) {
        failed++;
        failures[failure ? c->failure : FAILURE_CUT]++;
        owed -= mode != SSE && owed > 0;
    } else if (mode != NEW) {
        ended++;
    }
    connection_close(c);
    if (mode != NEW)
        gone++;
    else if (may_send() && common_now_ns() < end_ns)
        open_connection(c);
}

static void on_result(struct connection *c, enum connection_result result)
{
    if (phase == OPENING) {
        on_opening(c, result);
        return;
    }
    switch (result) {
    case CONNECTION_OPEN:
        transmit(c);
        break;
    case CONNECTION_ANSWERED:
        on_answered(c);
        break;
    case CONNECTION_EVENTS:
        on_events(c);
        break;
    case CONNECTION_ENDED:
    case CONNECTION_FAILED:
        on_gone(c, result == CONNECTION_FAILED);
        break;
    case CONNECTION_NOTHING:
        break;
    }
}

static void begin(void)
{
    phase = MEASURING;
    sent = owed = 0;
    begin_ns = due_ns = common_now_ns();
    end_ns = begin_ns + (uint64_t)(seconds * 1e9);
    interval_ns = (uint64_t)(1e9 / rate);
    for (unsigned i = 0; i < count && mode != IDLE; i++) {
        if (mode == CLOSED && may_send())
            send_request(&connections[i], common_now_ns());
        else if (mode == NEW && may_send())
            open_connection(&connections[i]);
        else if (mode == OPEN)
            put_idle(&connections[i]);
    }
}

/* What time and counts bring about. */
static void tick(void)
{
    uint64_t now = common_now_ns();

    if (phase == SETTLING && now >= end_ns) {
        phase = READY;
        if (waits) {
            puts("ready");
            fflush(stdout);
        } else {
            begin();
        }
    }
    if (mode == OPEN && (phase == MEASURING || phase == DRAINING))
        send_due();
    bool pointless = gone == count || (!may_send() && mode != SSE);
    if (phase == MEASURING && (now >= end_ns || mode == IDLE || pointless))
        phase = DRAINING;
    /* --mode open: something is due, and no connection was free for it */
    bool due = mode == OPEN && due_ns < end_ns && sent < requests_max && gone < count;
    if (phase == DRAINING && ((owed == 0 && !due) || mode == SSE || now >= end_ns + DRAIN_NS))
        report();
}

static uint64_t next_tick_ns(void)
{
    if (phase == SETTLING || phase == MEASURING)
        return mode == OPEN && phase == MEASURING && idle_first != NULL && due_ns < end_ns ? due_ns
                                                                                           : end_ns;
    return phase == DRAINING ? end_ns + DRAIN_NS : UINT64_MAX;
}

static void on_stdin(void)
{
    char line[64];

    if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
        exit(0);
    if (phase == READY)
        begin();
}

static void run(void)
{
    struct epoll_event events[COMMON_EVENTS];

    while (opened < count && opened < OPENING_MAX)
        open_connection(&connections[opened++]);
    for (;;) {
        int n = common_wait(plan.epoll, events, next_tick_ns());
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (c == NULL)
                on_stdin();
            else if (c->state != CONNECTION_CLOSED)
                on_result(c, connection_read(c, &plan));
        }
        tick();
    }
}

static enum mode parse_mode(const char *name)
{
    static const char *const names[] = {"closed", "open", "new", "sse", "idle"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum mode)i;
    }
    common_usage(help, false);
}

static const struct option options[] = {
    {"port", required_argument, NULL, 'p'},
    {"mode", required_argument, NULL, 'm'},
    {"connections", required_argument, NULL, 'c'},
    {"rate", required_argument, NULL, 'r'},
    {"seconds", required_argument, NULL, 's'},
    {"requests", required_argument, NULL, 'n'},
    {"body", required_argument, NULL, 'b'},
    {"answer", required_argument, NULL, 'a'},
    {"host", required_argument, NULL, 'H'},
    {"tls", no_argument, NULL, 't'},
    {"resume", no_argument, NULL, 'R'},
    {"wait", no_argument, NULL, 'w'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void parse(int argc, char **argv)
{
    const char *host = "api.example.com";
    size_t body = 1024;
    uint16_t port = 0;
    bool tls = false;
    int option;

    plan.answer_len = 256;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            port = (uint16_t)common_number("--port", optarg, UINT16_MAX);
            break;
        case 'm':
            mode = parse_mode(optarg);
            break;
        case 'c':
            count = (unsigned)common_number("--connections", optarg, CONNECTIONS_MAX);
            break;
        case 'r':
            rate = common_number("--rate", optarg, 1e7);
            break;
        case 's':
            seconds = common_number("--seconds", optarg, 3600);
            break;
        case 'n':
            requests_max = (uint64_t)common_number("--requests", optarg, 1e12);
            break;
        case 'b':
            body = (size_t)common_number("--body", optarg, CONNECTION_REQUEST_BYTES_MAX);
            break;
        case 'a':
            plan.answer_len = (uint64_t)common_number("--answer", optarg, 1e12);
            break;
        case 'H':
            host = optarg;
            break;
        case 't':
            tls = true;
            break;
        case 'R':
            plan.resume = true;
            break;
        case 'w':
            waits = true;
            break;
        default:
            common_usage(help, option == 'h');
        }
    }
    if (port == 0 || count == 0 || rate <= 0 || optind != argc)
        common_usage(help, false);
    plan.address = common_address(1, port);
    plan.stream = mode == SSE;
    if (tls)
        connection_plan_tls(&plan);
    connection_plan_request(&plan, host, body, mode == NEW);
}

int main(int argc, char **argv)
{
    common_init("bench-load");
    parse(argc, argv);
    plan.epoll = epoll_create1(EPOLL_CLOEXEC);
    connections = common_allocate(count * sizeof(*connections));
    if (waits)
        common_watch(plan.epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, NULL);
    run();
}
