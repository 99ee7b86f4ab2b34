/* What the owner of a plain stream may rely on: against a socket of the test's, which does what
 * peers do, on a loop that is stepped by hand. Every callback of libuv's reads the clock once, so
 * the clock counts them: a stream that spins is seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/stream.h"

enum { NEVER = 1, MUCH = 32 * 1024 * 1024, GOT_MAX = 64, TURNS = 50 };

struct side {
    struct stream stream;
    struct loop loop;
    int peer; /* the other end; -1: none */
    int connected, end, ends, drains, reads, closed;
    size_t got_len, pause_after;
    char got[GOT_MAX];
    bool close_at_drain, reset_at_bytes;
};

static unsigned callbacks;

static int64_t count_callback(void *ctx)
{
    (void)ctx;
    return ++callbacks;
}

static const struct clock counting = {.mono_ns = count_callback, .wall_ns = count_callback};

static struct side *side_of(struct stream *s)
{
    return CONTAINER_OF(s, struct side, stream);
}

static void on_connect(struct stream *s, int status)
{
    assert_int_equal(side_of(s)->closed + side_of(s)->drains, 0);
    assert_int_equal(side_of(s)->connected, NEVER);
    side_of(s)->connected = status;
}

static void on_bytes(struct stream *s, struct str bytes)
{
    struct side *e = side_of(s);

    assert_true(!s->closing && e->end == NEVER);
    e->reads++;
    for (size_t i = 0; i < bytes.len && e->got_len + i < GOT_MAX; i++)
        e->got[e->got_len + i] = bytes.ptr[i];
    e->got_len += bytes.len;
    if (e->pause_after > 0 && e->got_len >= e->pause_after)
        stream_pause(s);
    if (e->reset_at_bytes)
        stream_reset(s);
}

static void on_end(struct stream *s, int status)
{
    assert_false(s->closing);
    side_of(s)->end = status;
    side_of(s)->ends++;
}

static void on_drain(struct stream *s)
{
    assert_false(s->closing);
    assert_int_equal(stream_pending(s), 0);
    side_of(s)->drains++;
    if (side_of(s)->close_at_drain)
        stream_close(s);
}

static void on_closed(struct stream *s)
{
    side_of(s)->closed++;
}

static const struct stream_events events = {.on_connect = on_connect,
                                            .on_bytes = on_bytes,
                                            .on_end = on_end,
                                            .on_drain = on_drain,
                                            .on_closed = on_closed};

static void begin(struct side *e)
{
    memset(e, 0, sizeof(*e));
    e->peer = -1;
    e->connected = e->end = NEVER;
    assert_int_equal(loop_init(&e->loop, &counting), 0);
    stream_init(&e->stream, &e->loop, &events);
}

static void turn(struct side *e)
{
    uv_run(&e->loop.uv, UV_RUN_NOWAIT);
}

/* Loopback is quick, but not within the call. */
#define RUN_UNTIL(e, condition)                                                                    \
    do {                                                                                           \
        for (int turns_ = 0; !(condition); turns_++) {                                             \
            assert_true(turns_ < 100000);                                                          \
            turn(e);                                                                               \
        }                                                                                          \
    } while (0)

static unsigned callbacks_of_turns(struct side *e)
{
    unsigned before = callbacks;

    for (int i = 0; i < TURNS; i++)
        turn(e);
    return callbacks - before;
}

static void finish(struct side *e)
{
    stream_close(&e->stream);
    stream_close(&e->stream);
    stream_reset(&e->stream);
    RUN_UNTIL(e, e->closed == 1);
    (void)callbacks_of_turns(e);
    assert_int_equal(e->closed, 1);
    loop_deinit(&e->loop);
    if (e->peer >= 0)
        close(e->peer);
}

static int listen_at(struct sockaddr_in *at)
{
    socklen_t len = sizeof(*at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

/* As an accepted connection. */
static void adopt(struct side *e)
{
    struct sockaddr_in at;
    int listener = listen_at(&at);

    begin(e);
    e->peer = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(e->peer, (struct sockaddr *)&at, sizeof(at)), 0);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listener);
    assert_int_equal(stream_adopt(&e->stream, fd), 0);
}

static void say(struct side *e, const char *text)
{
    assert_int_equal(send(e->peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void hang_up(struct side *e, bool reset)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (reset)
        setsockopt(e->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(e->peer);
    e->peer = -1;
}

static ssize_t write_text(struct side *e, const char *text)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));

    return stream_write(&e->stream, &buf, 1);
}

static bool has(const struct side *e, const char *text)
{
    return e->got_len == strlen(text) && memcmp(e->got, text, e->got_len) == 0;
}

/* Everything that is there. Returns how much; *ret_end: a FIN or, < 0, an error. */
static size_t drink(struct side *e, int *ret_end)
{
    static char sip[1 << 18];
    size_t len = 0;
    ssize_t n;

    while ((n = recv(e->peer, sip, sizeof(sip), MSG_DONTWAIT)) > 0)
        len += (size_t)n;
    *ret_end = n == 0 ? 0 : errno == EAGAIN ? NEVER : -errno;
    return len;
}

/* --- the end of what comes --- */

static void test_bytes_then_fin(void **state)
{
    struct side e;

    (void)state;
    adopt(&e);
    say(&e, "answer");
    hang_up(&e, false);
    stream_read(&e.stream);
    RUN_UNTIL(&e, e.end != NEVER);
    assert_true(has(&e, "answer"));
    assert_int_equal(e.end, 0);
    stream_read(&e.stream); /* nothing comes, and nobody looks */
    assert_int_equal(callbacks_of_turns(&e), 0);
    assert_int_equal(e.ends, 1);
    finish(&e);
}

static void test_bytes_then_rst_is_no_end(void **state)
{
    struct side e;

    (void)state;
    adopt(&e);
    say(&e, "answ");
    hang_up(&e, true);
    stream_read(&e.stream);
    RUN_UNTIL(&e, e.end != NEVER);
    assert_true(has(&e, "answ"));
    assert_int_equal(e.end, UV_ECONNRESET);
    assert_int_equal(callbacks_of_turns(&e), 0);
    finish(&e);
}

/* The kernel tells the error to the write; what is read later must not look complete. */
static void test_rst_that_a_write_was_told_of_is_no_end(void **state)
{
    struct side e;

    (void)state;
    adopt(&e);
    say(&e, "answ");
    hang_up(&e, true);
    assert_int_equal(write_text(&e, "more of the request"), UV_ECONNRESET);
    assert_int_equal(write_text(&e, "and more"), UV_EPIPE);
    stream_read(&e.stream);
    RUN_UNTIL(&e, e.end != NEVER);
    assert_true(has(&e, "answ"));
    assert_int_equal(e.end, UV_ECONNRESET);
    finish(&e);
}

/* A peer that answers early and closes: its FIN came, so what it said is whole, although what we
 * still write is refused. */
static void test_fin_before_a_refused_write_is_an_end(void **state)
{
    struct side e;

    (void)state;
    adopt(&e);
    say(&e, "answer");
    hang_up(&e, false);
    assert_int_equal(write_text(&e, "more of the request"), 0); /* is answered by an RST */
    assert_int_equal(write_text(&e, "and more"), UV_EPIPE);
    stream_read(&e.stream);
    RUN_UNTIL(&e, e.end != NEVER);
    assert_true(has(&e, "answer"));
    assert_int_equal(e.end, 0);
    assert_int_equal(callbacks_of_turns(&e), 0);
    finish(&e);
}

static void test_while_paused_nothing_is_told_and_nothing_spins(void **state)
{
    static const bool resets[] = {false, true};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct side e;
        adopt(&e);
        e.pause_after = 1;
        say(&e, "one");
        stream_read(&e.stream);
        RUN_UNTIL(&e, e.got_len > 0);
        say(&e, "two");
        hang_up(&e, resets[i]);
        assert_int_equal(callbacks_of_turns(&e), 0);
        assert_true(has(&e, "one") && e.end == NEVER);
        e.pause_after = 0;
        stream_read(&e.stream);
        RUN_UNTIL(&e, e.end != NEVER);
        assert_true(has(&e, "onetwo"));
        assert_int_equal(e.end, resets[i] ? UV_ECONNRESET : 0);
        finish(&e);
    }
}

/* --- writing --- */

static void test_what_is_not_taken_goes_in_order_and_then_drains(void **state)
{
    struct side e;
    char *much = xcalloc(1, MUCH);
    size_t drunk = 0;
    int end;

    (void)state;
    adopt(&e);
    uv_buf_t bufs[] = {uv_buf_init(much, 100), uv_buf_init(much, MUCH)};
    assert_true(stream_write(&e.stream, bufs, 2) > 0);
    assert_true(write_text(&e, "last") > 0);
    stream_shutdown(&e.stream);
    (void)callbacks_of_turns(&e);
    assert_int_equal(e.drains, 0);
    assert_int_equal(callbacks_of_turns(&e), 0); /* the peer does not read: nobody is woken */
    size_t pending = stream_pending(&e.stream);
    drunk += drink(&e, &end);
    RUN_UNTIL(&e, stream_pending(&e.stream) < pending);
    do {
        turn(&e);
        drunk += drink(&e, &end);
    } while (end == NEVER);
    assert_int_equal(end, 0); /* the FIN waited for what was pending */
    assert_int_equal(drunk, 100 + MUCH + 4);
    assert_int_equal(e.drains, 1);
    free(much);
    finish(&e);
}

static void test_peer_breaks_while_bytes_are_pending(void **state)
{
    static const bool readings[] = {false, true};
    char *much = xcalloc(1, MUCH);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct side e;
        adopt(&e);
        uv_buf_t buf = uv_buf_init(much, MUCH);
        assert_true(stream_write(&e.stream, &buf, 1) > 0);
        if (readings[i])
            stream_read(&e.stream);
        say(&e, "too late");
        hang_up(&e, true);
        RUN_UNTIL(&e, e.end != NEVER);
        assert_int_equal(e.end, UV_ECONNRESET);
        assert_int_equal(stream_pending(&e.stream), 0);
        assert_int_equal(callbacks_of_turns(&e), 0);
        assert_int_equal(e.ends, 1);
        assert_int_equal(e.drains, 0);
        finish(&e);
    }
    free(much);
}

static void test_back_pressure_reaches_the_peer(void **state)
{
    struct side e;
    char *much = xcalloc(1, MUCH);
    size_t sent = 0;
    ssize_t n;

    (void)state;
    adopt(&e);
    e.pause_after = 1;
    stream_read(&e.stream);
    for (int idle = 0; idle < TURNS; turn(&e))
        if ((n = send(e.peer, much, MUCH - sent, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
            sent += (size_t)n;
        else
            idle++;
    assert_int_equal(e.reads, 1);
    assert_true(sent < MUCH);
    e.pause_after = 0;
    stream_read(&e.stream);
    RUN_UNTIL(&e, e.got_len == sent);
    free(much);
    finish(&e);
}

/* --- connecting --- */

static void test_written_before_it_stands_drains_behind_on_connect(void **state)
{
    struct sockaddr_in at;
    int listener = listen_at(&at), end;
    struct side e;

    (void)state;
    begin(&e);
    assert_int_equal(stream_connect(&e.stream, (struct sockaddr *)&at), 0);
    stream_read(&e.stream);
    assert_int_equal(write_text(&e, "early"), 5);
    assert_int_equal(write_text(&e, "bird"), 9);
    stream_shutdown(&e.stream);
    e.close_at_drain = true;
    RUN_UNTIL(&e, e.connected == 0);
    assert_int_equal(e.drains, 1);
    assert_true(e.stream.closing);
    e.peer = accept(listener, NULL, NULL);
    close(listener);
    assert_int_equal(drink(&e, &end), 9);
    assert_int_equal(end, 0);
    finish(&e);
}

static void test_nobody_listens(void **state)
{
    struct sockaddr_in at;
    struct side e;

    (void)state;
    close(listen_at(&at));
    begin(&e);
    assert_int_equal(stream_connect(&e.stream, (struct sockaddr *)&at), 0);
    assert_int_equal(e.connected, NEVER); /* told by the loop, never from within the call */
    assert_true(write_text(&e, "early") > 0);
    RUN_UNTIL(&e, e.connected != NEVER);
    assert_int_equal(e.connected, UV_ECONNREFUSED);
    assert_int_equal(callbacks_of_turns(&e), 0);
    assert_int_equal(e.drains + e.ends, 0);
    finish(&e);
}

static int lowest_free_descriptor(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

/* No route, or no port to be had: no callback, and closing leaves nothing behind. */
static void test_connecting_fails_at_once(void **state)
{
    struct sockaddr_in nowhere = {.sin_family = AF_INET, .sin_addr.s_addr = INADDR_BROADCAST};
    struct side e;

    (void)state;
    begin(&e);
    int fd = lowest_free_descriptor();
    assert_true(stream_connect(&e.stream, (struct sockaddr *)&nowhere) < 0);
    stream_close(&e.stream);
    assert_int_equal(lowest_free_descriptor(), fd);
    RUN_UNTIL(&e, e.closed == 1);
    assert_int_equal(e.connected, NEVER);
    finish(&e);
}

static void test_adopting_what_cannot_be_watched(void **state)
{
    struct side e;

    (void)state;
    begin(&e);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* no file is */
    assert_true(stream_adopt(&e.stream, fd) < 0);
    assert_int_equal(lowest_free_descriptor(), fd); /* taken over all the same */
    finish(&e);
}

/* --- closing --- */

static void test_closed_before_it_had_a_socket(void **state)
{
    struct side e;

    (void)state;
    begin(&e);
    stream_close(&e.stream);
    assert_int_equal(e.closed, 0);
    finish(&e);
    begin(&e);
    stream_reset(&e.stream);
    finish(&e);
}

static void test_closed_while_it_connects(void **state)
{
    struct sockaddr_in at;
    int listener = listen_at(&at);
    struct side e;

    (void)state;
    begin(&e);
    assert_int_equal(stream_connect(&e.stream, (struct sockaddr *)&at), 0);
    assert_true(write_text(&e, "early") > 0);
    stream_close(&e.stream);
    finish(&e);
    assert_int_equal(e.connected, NEVER);
    close(listener);
}

static void test_reset_tells_the_peer(void **state)
{
    struct side e;
    int end;

    (void)state;
    adopt(&e);
    e.reset_at_bytes = true;
    stream_read(&e.stream);
    assert_int_equal(write_text(&e, "half an answ"), 0);
    say(&e, "go");
    RUN_UNTIL(&e, e.closed == 1);
    (void)drink(&e, &end);
    assert_int_equal(end, -ECONNRESET);
    assert_int_equal(e.ends, 0);
    finish(&e);
}

/* Two connections have something to say in the same turn; the first to be asked closes both, and a
 * new one gets the number of the one that was not asked yet. */
struct crossing {
    struct stream both[2], next;
    int fresh; /* of a pair */
    int asked, closed;
};

static struct crossing crossing;

static void close_both(struct stream *s, struct str bytes)
{
    struct crossing *x = &crossing;
    struct stream *other = s == &x->both[0] ? &x->both[1] : &x->both[0];
    int number = other->fd;

    (void)bytes;
    x->asked++;
    stream_close(other);
    assert_int_equal(dup2(x->fresh, number), number);
    assert_int_equal(stream_adopt(&x->next, number), 0);
    stream_read(&x->next);
    stream_close(s);
}

static void count_closed(struct stream *s)
{
    (void)s;
    crossing.closed++;
}

static void never_told(struct stream *s, struct str bytes)
{
    (void)s;
    fail_msg("%zu bytes of another connection", bytes.len);
}

static void never_ended(struct stream *s, int status)
{
    (void)s;
    fail_msg("the end (%d) of another connection", status);
}

static void test_a_number_used_again_gets_no_old_news(void **state)
{
    static const struct stream_events closing = {.on_bytes = close_both, .on_closed = count_closed},
                                      silent = {.on_bytes = never_told,
                                                .on_end = never_ended,
                                                .on_closed = count_closed};
    struct crossing *x = &crossing;
    int peers[2], pair[2];
    struct side e;

    (void)state;
    begin(&e);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    x->fresh = pair[0];
    int quiet = pair[1];
    stream_init(&x->next, &e.loop, &silent);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        peers[i] = pair[1];
        stream_init(&x->both[i], &e.loop, &closing);
        assert_int_equal(stream_adopt(&x->both[i], pair[0]), 0);
        assert_int_equal(send(peers[i], "x", 1, 0), 1);
        stream_read(&x->both[i]);
    }
    for (int i = 0; i < TURNS; i++)
        turn(&e);
    assert_int_equal(x->asked, 1);
    assert_int_equal(x->closed, 2);
    stream_close(&x->next);
    close(peers[0]);
    close(peers[1]);
    close(x->fresh);
    close(quiet);
    finish(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_then_fin),
        cmocka_unit_test(test_bytes_then_rst_is_no_end),
        cmocka_unit_test(test_rst_that_a_write_was_told_of_is_no_end),
        cmocka_unit_test(test_fin_before_a_refused_write_is_an_end),
        cmocka_unit_test(test_while_paused_nothing_is_told_and_nothing_spins),
        cmocka_unit_test(test_what_is_not_taken_goes_in_order_and_then_drains),
        cmocka_unit_test(test_peer_breaks_while_bytes_are_pending),
        cmocka_unit_test(test_back_pressure_reaches_the_peer),
        cmocka_unit_test(test_written_before_it_stands_drains_behind_on_connect),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_connecting_fails_at_once),
        cmocka_unit_test(test_adopting_what_cannot_be_watched),
        cmocka_unit_test(test_closed_before_it_had_a_socket),
        cmocka_unit_test(test_closed_while_it_connects),
        cmocka_unit_test(test_reset_tells_the_peer),
        cmocka_unit_test(test_a_number_used_again_gets_no_old_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
