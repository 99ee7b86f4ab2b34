/* Single-producer single-consumer rings; head and tail only grow, the index is their remainder. */
#include "proxy/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"

/* A pipe with room takes a piece whole, so that a write does not block. And because a piece ends
 * with a line, lines stay whole where two processes write to one file, as in an upgrade. */
enum { POLL_MS = 20, LAST_WAIT_MS = 1000, PIECE_MAX = PIPE_BUF };
_Static_assert((int)ACCESS_LOG_LINE_MAX <= (int)PIECE_MAX, "a line is written at once");

struct ring {
    _Alignas(64) _Atomic uint64_t head; /* written by the worker */
    _Alignas(64) _Atomic uint64_t tail; /* written by the log thread */
    char *bytes;
};

struct access_log {
    struct ring *rings;
    size_t workers;
    char *to;
    int fd;              /* the log thread's */
    _Atomic int fd_next; /* to be used from now on; -1: none */
    atomic_bool stop;
    pthread_t thread;
};

bool access_log_add(struct access_log *log, size_t worker, struct str line)
{
    struct ring *r = &log->rings[worker];
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);

    if (line.len > ACCESS_LOG_RING_BYTES - (head - tail))
        return false;
    size_t at = head % ACCESS_LOG_RING_BYTES;
    size_t first = ACCESS_LOG_RING_BYTES - at < line.len ? ACCESS_LOG_RING_BYTES - at : line.len;
    memcpy(r->bytes + at, line.ptr, first);
    memcpy(r->bytes, line.ptr + first, line.len - first);
    atomic_store_explicit(&r->head, head + line.len, memory_order_release);
    return true;
}

/* Waits until the descriptor takes bytes. False: it does not, and we are to stop. A reader that
 * stopped reading must not keep the process from ending. */
static bool may_write(struct access_log *log)
{
    for (int waited_ms = 0; !atomic_load(&log->stop) || waited_ms < LAST_WAIT_MS;) {
        struct pollfd p = {.fd = log->fd, .events = POLLOUT};
        if (poll(&p, 1, POLL_MS) > 0)
            return true;
        waited_ms += atomic_load(&log->stop) ? POLL_MS : 0;
    }
    return false;
}

static bool write_all(struct access_log *log, const char *bytes, size_t len)
{
    while (len > 0) {
        if (!may_write(log))
            return false;
        ssize_t n = write(log->fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return true; /* a full disk: these lines are lost, the next may do */
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* The next whole lines, at most a piece of them. What ends no line within a piece is as it is. */
static size_t next_piece(const struct ring *r, uint64_t tail, uint64_t head, char to[PIECE_MAX])
{
    size_t len = head - tail < PIECE_MAX ? (size_t)(head - tail) : PIECE_MAX;
    size_t at = tail % ACCESS_LOG_RING_BYTES;
    size_t first = ACCESS_LOG_RING_BYTES - at < len ? ACCESS_LOG_RING_BYTES - at : len;

    memcpy(to, r->bytes + at, first);
    memcpy(to + first, r->bytes, len - first);
    const char *end = memrchr(to, '\n', len);
    return end == NULL ? len : (size_t)(end + 1 - to);
}

/* Returns how much there was. */
static uint64_t drain(struct access_log *log, struct ring *r)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed), found = head - tail;
    char piece[PIECE_MAX];

    while (tail < head) {
        size_t n = next_piece(r, tail, head, piece);
        if (!write_all(log, piece, n))
            break;
        tail += n;
    }
    atomic_store_explicit(&r->tail, tail, memory_order_release);
    return found;
}

static void take_next(struct access_log *log)
{
    int fd = atomic_exchange(&log->fd_next, -1);

    if (fd < 0)
        return;
    close(log->fd);
    log->fd = fd;
}

static void *run(void *arg)
{
    struct access_log *log = arg;
    const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
    bool last = false;

    while (!last) {
        last = atomic_load(&log->stop);
        take_next(log);
        uint64_t found = 0;
        for (size_t i = 0; i < log->workers; i++)
            found += drain(log, &log->rings[i]);
        if (!last && found < ACCESS_LOG_RING_BYTES / 16) /* else there is more by now */
            nanosleep(&pause, NULL);
    }
    return NULL;
}

static int open_target(const char *to, struct error *reterr)
{
    int fd;

    if (strcmp(to, "stdout") == 0)
        fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    else if (strcmp(to, "stderr") == 0)
        fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        fd = open(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return error_set(reterr, -errno, "cannot open the access log %s: %s", to, strerror(errno));
    return fd;
}

int access_log_new(const char *to, size_t workers, struct access_log **ret, struct error *reterr)
{
    int fd = open_target(to, reterr);

    if (fd < 0)
        return fd;
    struct access_log *log = xcalloc(1, sizeof(*log));
    log->to = xstrdup(to);
    log->fd = fd;
    atomic_init(&log->fd_next, -1);
    log->workers = workers;
    log->rings = aligned_alloc(64, workers * sizeof(*log->rings));
    if (log->rings == NULL)
        abort();
    memset(log->rings, 0, workers * sizeof(*log->rings));
    for (size_t i = 0; i < workers; i++)
        log->rings[i].bytes = xmalloc(ACCESS_LOG_RING_BYTES);
    if (pthread_create(&log->thread, NULL, run, log) != 0)
        abort();
    *ret = log;
    return 0;
}

int access_log_reopen(struct access_log *log, struct error *reterr)
{
    if (strcmp(log->to, "stdout") == 0 || strcmp(log->to, "stderr") == 0)
        return 0;
    int fd = open_target(log->to, reterr);
    if (fd < 0)
        return fd;
    fd = atomic_exchange(&log->fd_next, fd);
    if (fd >= 0)
        close(fd); /* a reopening that was not even noticed */
    return 0;
}

void access_log_free(struct access_log *log)
{
    if (log == NULL)
        return;
    atomic_store(&log->stop, true);
    pthread_join(log->thread, NULL);
    for (size_t i = 0; i < log->workers; i++)
        free(log->rings[i].bytes);
    free(log->rings);
    take_next(log);
    close(log->fd);
    free(log->to);
    free(log);
}
