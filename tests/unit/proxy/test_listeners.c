/* Which socket goes to which worker: every inherited one is served, and no worker is without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sockaddr.h"
#include "proxy/listeners.h"

struct setup {
    struct config config;
    struct config_address addresses[2];
    char texts[2][32];
    struct inherited inherited;
};

static int listening_socket(bool reuseport, uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (reuseport)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static void configure(struct setup *s, size_t listeners, const uint16_t *ports)
{
    memset(s, 0, sizeof(*s));
    s->config.listen = s->addresses;
    s->config.listen_count = listeners;
    for (size_t i = 0; i < listeners; i++) {
        snprintf(s->texts[i], sizeof(s->texts[i]), "127.0.0.1:%u", ports[i]);
        s->addresses[i] =
            (struct config_address){.text = s->texts[i], .host = "127.0.0.1", .port = ports[i]};
    }
}

/* Every worker accepts from some socket of the listener; fills how many there are. */
static void assert_all_workers(const struct listeners *l, size_t listener, size_t workers,
                               size_t *ret_sockets, size_t *ret_fresh, size_t *ret_shared)
{
    bool has[64] = {false};

    *ret_sockets = *ret_fresh = *ret_shared = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (l->sockets[i].listener != listener)
            continue;
        assert_true(l->sockets[i].worker < workers);
        has[l->sockets[i].worker] = true;
        assert_int_equal(sockaddr_bound_port(l->sockets[i].fd), l->ports[listener]);
        ++*ret_sockets;
        *ret_fresh += l->sockets[i].fresh || l->sockets[i].late;
        *ret_shared += l->sockets[i].shared;
    }
    for (size_t w = 0; w < workers; w++)
        assert_true(has[w]);
}

static void finish(struct setup *s, struct listeners *l)
{
    listeners_close(l);
    listeners_deinit(l);
    inherited_deinit(&s->inherited);
}

static void test_fresh_sockets_do_not_listen_until_told(void **state)
{
    size_t sockets, fresh, shared;
    struct error error = {0};
    struct listeners l;
    struct setup s;

    (void)state;
    configure(&s, 2, (const uint16_t[]){0, 0});
    assert_int_equal(listeners_bind(&l, &s.config, 3, NULL, &error), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_all_workers(&l, i, 3, &sockets, &fresh, &shared);
        assert_int_equal(sockets, 3);
        assert_int_equal(fresh, 3);
    }
    assert_int_not_equal(l.ports[0], l.ports[1]);
    for (size_t i = 0; i < l.count; i++)
        assert_false(inherited_is_listening(l.sockets[i].fd));
    assert_int_equal(listeners_listen(&l, &s.config, &error), 0);
    for (size_t i = 0; i < l.count; i++)
        assert_true(inherited_is_listening(l.sockets[i].fd));
    finish(&s, &l);
}

static void test_inherited_sockets_for_any_number_of_workers(void **state)
{
    static const struct {
        size_t inherited, workers;
        bool reuseport;
        size_t sockets, fresh, shared;
    } rows[] = {
        {2, 2, true, 2, 0, 0},  {5, 2, true, 5, 0, 0},  {2, 5, true, 5, 3, 0},
        {1, 3, false, 3, 0, 2}, {1, 1, false, 1, 0, 0},
    };

    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        size_t sockets, fresh, shared;
        struct error error = {0};
        struct listeners l;
        struct setup s;
        int fds[8];

        fds[0] = listening_socket(rows[r].reuseport, 0);
        uint16_t port = sockaddr_bound_port(fds[0]);
        configure(&s, 1, &port);
        for (size_t i = 0; i < rows[r].inherited; i++) {
            fds[i] = i == 0 ? fds[0] : listening_socket(true, port);
            assert_true(inherited_add(&s.inherited, fds[i], INHERITED_PROXY, 0, s.texts[0]));
        }
        assert_int_equal(listeners_bind(&l, &s.config, rows[r].workers, &s.inherited, &error), 0);
        assert_all_workers(&l, 0, rows[r].workers, &sockets, &fresh, &shared);
        assert_int_equal(sockets, rows[r].sockets);
        assert_int_equal(fresh, rows[r].fresh);
        assert_int_equal(shared, rows[r].shared);
        for (size_t i = 0; i < rows[r].inherited; i++)
            assert_true(s.inherited.sockets[i].taken);
        /* A socket beside them would get its share of the connections: not yet. */
        assert_int_equal(listeners_listen(&l, &s.config, &error), 0);
        for (size_t i = 0; i < l.count; i++) {
            assert_int_equal(inherited_is_listening(l.sockets[i].fd), !l.sockets[i].late);
            if (l.sockets[i].late)
                assert_int_equal(listeners_listen_late(&l.sockets[i]), 0);
            assert_true(inherited_is_listening(l.sockets[i].fd));
        }
        finish(&s, &l);
    }
}

/* Two listeners with port 0 have the same text; each keeps its own port. */
static void test_listeners_of_the_same_text_stay_apart(void **state)
{
    struct error error = {0};
    struct listeners l;
    struct setup s;
    uint16_t ports[2];

    (void)state;
    configure(&s, 2, (const uint16_t[]){0, 0});
    for (uint32_t i = 0; i < 2; i++) {
        int fd = listening_socket(true, 0);
        ports[i] = sockaddr_bound_port(fd);
        assert_true(inherited_add(&s.inherited, fd, INHERITED_PROXY, i, s.texts[i]));
        fd = listening_socket(true, ports[i]);
        assert_true(inherited_add(&s.inherited, fd, INHERITED_PROXY, i, s.texts[i]));
    }
    assert_int_equal(listeners_bind(&l, &s.config, 2, &s.inherited, &error), 0);
    assert_int_equal(l.count, 4);
    assert_int_equal(l.ports[0], ports[0]);
    assert_int_equal(l.ports[1], ports[1]);
    finish(&s, &l);
}

static void test_what_is_not_configured_is_left_to_be_closed(void **state)
{
    struct error error = {0};
    struct listeners l;
    struct setup s;

    (void)state;
    int fd = listening_socket(true, 0), admin = listening_socket(false, 0);
    configure(&s, 1, (const uint16_t[]){0});
    assert_true(inherited_add(&s.inherited, fd, INHERITED_PROXY, 0, "127.0.0.1:1"));
    assert_true(inherited_add(&s.inherited, admin, INHERITED_ADMIN, 0, s.texts[0]));
    assert_int_equal(listeners_bind(&l, &s.config, 1, &s.inherited, &error), 0);
    assert_int_equal(l.count, 1);
    assert_false(s.inherited.sockets[0].taken);
    assert_false(s.inherited.sockets[1].taken);
    finish(&s, &l);
    assert_int_equal(send(fd, "", 0, 0), -1);
    assert_int_equal(errno, EBADF);
}

/* Names are systemd's: an address goes before a name, names go in order. */
static void test_sockets_by_name(void **state)
{
    struct error error = {0};
    struct listeners l;
    struct setup s;

    (void)state;
    int named = listening_socket(false, 0), fitting = listening_socket(false, 0);
    uint16_t ports[2] = {1, sockaddr_bound_port(fitting)};
    configure(&s, 2, ports);
    assert_true(inherited_add(&s.inherited, fitting, INHERITED_PROXY, 0, ""));
    assert_true(inherited_add(&s.inherited, named, INHERITED_PROXY, 1, ""));
    assert_int_equal(listeners_bind(&l, &s.config, 1, &s.inherited, &error), 0);
    assert_int_equal(l.ports[0], sockaddr_bound_port(named));
    assert_int_equal(l.ports[1], ports[1]);
    finish(&s, &l);
}

static void test_a_port_in_use_leaves_nothing_open(void **state)
{
    struct error error = {0};
    struct listeners l;
    struct setup s;

    (void)state;
    int taken = listening_socket(true, 0);
    configure(&s, 2, (const uint16_t[]){0, sockaddr_bound_port(taken)});
    int lowest = dup(taken);
    close(lowest);
    assert_int_equal(listeners_bind(&l, &s.config, 2, NULL, &error), -EADDRINUSE);
    assert_true(strstr(error.message, s.texts[1]) != NULL);
    assert_true(strlen(error.hint) > 0);
    assert_int_equal(l.count, 0);
    int again = dup(taken);
    assert_int_equal(again, lowest);
    close(again);
    close(taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fresh_sockets_do_not_listen_until_told),
        cmocka_unit_test(test_inherited_sockets_for_any_number_of_workers),
        cmocka_unit_test(test_listeners_of_the_same_text_stay_apart),
        cmocka_unit_test(test_what_is_not_configured_is_left_to_be_closed),
        cmocka_unit_test(test_sockets_by_name),
        cmocka_unit_test(test_a_port_in_use_leaves_nothing_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
