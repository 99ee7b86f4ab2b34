/* The pace. Due times come from a timerfd, since libuv's timers know only whole milliseconds, which
 * would be most of a fast server's latency. What is due and not sent yet needs no queue: request
 * n's time follows from n.
 */
#include "examples/traffic/load.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"

enum { TICK_MS = 20 };
#define REOPEN_NS (20 * NS_PER_MS)

struct load {
    uv_loop_t *loop;
    struct load_options options;
    const struct mix *mix;
    struct stats stats;
    struct report_line line;
    struct rng rng;
    uint32_t run; /* marks the ids of this run */
    uint64_t next_id;
    uint64_t next; /* open loop: the next to send; closed: how many were sent */
    struct list clients, idle;
    size_t count, connecting, busy;
    int64_t begin_ns, end_ns, stop_ns, report_ns, reopen_ns;
    bool stopping, finished, pumping;
    unsigned ticks;
    uv_timer_t tick;
    uv_poll_t due;
    int due_fd;
    uv_signal_t term, interrupt;
};

int64_t load_now_ns(void)
{
    return (int64_t)uv_hrtime();
}

struct stats *load_stats(struct load *l)
{
    return &l->stats;
}

uv_loop_t *load_loop(struct load *l)
{
    return l->loop;
}

const struct sockaddr *load_address(const struct load *l)
{
    return (const struct sockaddr *)&l->options.address;
}

/* Eight hexadecimal digits for the run, ten decimal ones for the request. */
void load_next_id(struct load *l, char to[static MIX_ID_LEN + 1])
{
    snprintf(to, MIX_ID_LEN + 1, "%08x-%010llu", l->run,
             (unsigned long long)(l->next_id++ % UINT64_C(10000000000)));
}

static int64_t due_ns(const struct load *l, uint64_t n)
{
    return l->begin_ns + (int64_t)((double)n * ((double)NS_PER_SEC / l->options.rate));
}

/* How many requests should have been sent by now. */
static uint64_t due_count(const struct load *l, int64_t now_ns)
{
    int64_t until_ns = l->end_ns != 0 && now_ns >= l->end_ns ? l->end_ns - 1 : now_ns;
    uint64_t due =
        (uint64_t)((double)(until_ns - l->begin_ns) / (double)NS_PER_SEC * l->options.rate) + 1;

    return l->options.requests != 0 && due > l->options.requests ? l->options.requests : due;
}

/* --- the log --- */

static int64_t wall_ms(const struct load *l, int64_t mono_ns)
{
    return (l->stats.begin_wall_ns + (mono_ns - l->stats.begin_ns)) / NS_PER_MS;
}

static void log_line(struct load *l, int64_t start_ns, int64_t end_ns, int status,
                     struct str version, const char *id, const char *kind)
{
    if (l->options.log == NULL)
        return;
    fprintf(l->options.log, "%lld %lld %d %.*s %s %s\n", (long long)wall_ms(l, start_ns),
            (long long)wall_ms(l, end_ns), status, version.len > 0 ? (int)version.len : 1,
            version.len > 0 ? version.ptr : "-", id, kind);
}

/* --- what clients report --- */

void load_client_opened(struct load *l, struct client *c)
{
    list_push(&l->clients, &c->node);
    l->count++;
    l->connecting++;
}

void load_client_connected(struct load *l)
{
    l->connecting--;
}

void load_client_refused(struct load *l)
{
    int64_t now_ns = load_now_ns();

    l->connecting--;
    l->reopen_ns = now_ns + REOPEN_NS;
    stats_connect_failed(&l->stats, now_ns);
    if (l->options.rate > 0 && !l->stopping && l->next < due_count(l, now_ns)) {
        /* A user would have got an error here: this request is over. */
        log_line(l, due_ns(l, l->next), now_ns, 0, STR(""), "-", "connect");
        l->next++;
    }
}

void load_client_ready(struct load *l, struct client *c)
{
    CHECK(c->state == CLIENT_IDLE);
    list_push(&l->idle, &c->idle);
}

void load_client_ended(struct load *l, struct client *c, struct stats_result *r, int64_t now_ns)
{
    r->kind_index = (size_t)(r->kind - l->mix->kinds);
    l->busy--;
    stats_add(&l->stats, r, now_ns);
    log_line(l, c->sent_ns, now_ns, r->status, r->version, c->id,
             r->status == 0 ? "lost"
             : r->cut       ? "cut"
                            : "answered");
}

static void finish_when_done(struct load *l);

void load_client_closed(struct load *l)
{
    l->count--;
    load_pump(l);
    finish_when_done(l);
}

/* --- the pump --- */

/* The most recently used first, so that few connections are kept when few are needed. */
static struct client *take_idle(struct load *l)
{
    return list_empty(&l->idle) ? NULL : CONTAINER_OF(l->idle.prev, struct client, idle);
}

static void send_one(struct load *l, struct client *c, int64_t scheduled_ns, int64_t now_ns)
{
    size_t template_index;
    const struct mix_kind *kind = mix_draw(l->mix, &l->rng, &template_index);

    l->next++;
    l->busy++;
    client_send(c, kind, template_index, scheduled_ns, now_ns);
}

static void open_missing(struct load *l, size_t wanted, int64_t now_ns)
{
    while (l->connecting < wanted && l->count < l->options.connections && now_ns >= l->reopen_ns)
        client_open(l);
}

static void arm(struct load *l)
{
    int64_t at_ns = due_ns(l, l->next);
    struct itimerspec when = {.it_value = {at_ns / NS_PER_SEC, at_ns % NS_PER_SEC}};

    timerfd_settime(l->due_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void pump_open(struct load *l)
{
    int64_t now_ns = load_now_ns();
    uint64_t due = due_count(l, now_ns);
    struct client *c;

    while (l->next < due && (c = take_idle(l)) != NULL)
        send_one(l, c, due_ns(l, l->next), now_ns);
    if (l->next < due)
        open_missing(l, (size_t)(due - l->next), now_ns);
    else if (l->options.requests == 0 || l->next < l->options.requests)
        arm(l);
}

static void pump_closed(struct load *l)
{
    int64_t now_ns = load_now_ns();
    struct client *c;

    while ((l->options.requests == 0 || l->next < l->options.requests) &&
           (c = take_idle(l)) != NULL)
        send_one(l, c, now_ns, now_ns);
    open_missing(l, l->options.connections, now_ns);
}

void load_pump(struct load *l)
{
    if (l->stopping || l->pumping)
        return;
    l->pumping = true;
    if (l->options.rate > 0)
        pump_open(l);
    else
        pump_closed(l);
    l->pumping = false;
    if (l->options.requests != 0 && l->next >= l->options.requests)
        load_stop(l);
}

/* --- the end --- */

static void finish_when_done(struct load *l)
{
    if (!l->stopping || l->busy > 0 || l->finished)
        return;
    l->finished = true;
    for (struct list *n = l->clients.next; n != &l->clients; n = n->next)
        client_close(CONTAINER_OF(n, struct client, node));
    uv_close((uv_handle_t *)&l->tick, NULL);
    uv_close((uv_handle_t *)&l->due, NULL);
    uv_close((uv_handle_t *)&l->term, NULL);
    uv_close((uv_handle_t *)&l->interrupt, NULL);
}

static void give_up_all(struct load *l)
{
    for (struct list *n = l->clients.next; n != &l->clients; n = n->next)
        client_give_up(CONTAINER_OF(n, struct client, node));
}

void load_stop(struct load *l)
{
    int64_t now_ns = load_now_ns();

    if (l->stopping) {
        give_up_all(l);
        return;
    }
    l->stopping = true;
    l->stop_ns = now_ns;
    if (l->options.rate > 0 && l->next < due_count(l, now_ns))
        l->stats.unsent = due_count(l, now_ns) - l->next;
}

static void give_up_late(struct load *l, int64_t now_ns)
{
    for (struct list *n = l->clients.next, *next; n != &l->clients; n = next) {
        struct client *c = CONTAINER_OF(n, struct client, node);

        next = n->next;
        if (c->state == CLIENT_BUSY && now_ns - c->sent_ns >= l->options.timeout_ns)
            client_give_up(c);
    }
}

static bool stop_file_exists(struct load *l)
{
    return l->options.stop_file != NULL && l->ticks % 5 == 0 &&
           access(l->options.stop_file, F_OK) == 0;
}

static void on_tick(uv_timer_t *timer)
{
    struct load *l = timer->data;
    int64_t now_ns = load_now_ns();

    l->ticks++;
    give_up_late(l, now_ns);
    if (!l->stopping && ((l->end_ns != 0 && now_ns >= l->end_ns) || stop_file_exists(l)))
        load_stop(l);
    if (l->options.report_ns > 0 && now_ns >= l->report_ns) {
        report_progress(&l->stats, &l->line, now_ns, l->options.progress);
        l->report_ns += l->options.report_ns;
        if (l->options.log != NULL)
            fflush(l->options.log);
    }
    load_pump(l);
    finish_when_done(l);
}

static void on_due(uv_poll_t *poll, int status, int events)
{
    struct load *l = poll->data;
    uint64_t expirations;

    (void)status;
    (void)events;
    if (read(l->due_fd, &expirations, sizeof(expirations)) > 0)
        load_pump(l);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    load_stop(handle->data);
}

/* --- life --- */

struct load *load_new(uv_loop_t *loop, const struct load_options *options, const struct mix *mix)
{
    struct load *l = xcalloc(1, sizeof(*l));

    l->loop = loop;
    l->options = *options;
    l->mix = mix;
    list_init(&l->clients);
    list_init(&l->idle);
    rng_seed_system(&l->rng);
    l->run = (uint32_t)rng_u64(&l->rng);
    if (options->seed != 0)
        rng_seed(&l->rng, options->seed);
    l->due_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    CHECK(l->due_fd >= 0);
    uv_timer_init(loop, &l->tick);
    uv_poll_init(loop, &l->due, l->due_fd);
    uv_signal_init(loop, &l->term);
    uv_signal_init(loop, &l->interrupt);
    l->tick.data = l->due.data = l->term.data = l->interrupt.data = l;
    return l;
}

void load_run(struct load *l)
{
    signal(SIGPIPE, SIG_IGN);
    l->begin_ns = load_now_ns();
    l->end_ns = l->options.duration_ns > 0 ? l->begin_ns + l->options.duration_ns : 0;
    l->report_ns = l->begin_ns + l->options.report_ns;
    stats_init(&l->stats, l->begin_ns, clock_wall(&clock_system));
    uv_timer_start(&l->tick, on_tick, TICK_MS, TICK_MS);
    uv_poll_start(&l->due, UV_READABLE, on_due);
    uv_signal_start(&l->term, on_signal, SIGTERM);
    uv_signal_start(&l->interrupt, on_signal, SIGINT);
    load_pump(l);
    uv_run(l->loop, UV_RUN_DEFAULT);
}

void load_free(struct load *l)
{
    close(l->due_fd);
    stats_deinit(&l->stats);
    free(l);
}
