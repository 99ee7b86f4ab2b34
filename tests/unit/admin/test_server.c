/* The admin API over a real loopback connection, with faked ports: what each path answers, that
 * errors are problem documents, and that event streams resume. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin/server.h"
#include "base/check.h"
#include "base/clock.h"
#include "tests/unit/admin/fake_ports.h"

enum { ANSWER_MAX = 256 * 1024 };

struct fixture {
    uv_loop_t loop;
    struct admin *admin;
    struct fake fake;
    char answer[ANSWER_MAX];
    size_t len;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct admin_ports ports = fake_ports(&f->fake);
    struct error error = {.code = 0};

    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(admin_start(&f->loop, "127.0.0.1", 0, &ports, &f->admin, &error), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    admin_close(f->admin);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

static int dial(struct fixture *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(admin_port(f->admin))};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    f->len = 0;
    f->answer[0] = '\0';
    return fd;
}

static void send_all(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Turns the loop until `until` has arrived, or the connection has ended when NULL. */
static void receive(struct fixture *f, int fd, const char *until)
{
    int64_t deadline = clock_mono(&clock_system) + 10 * NS_PER_SEC;

    for (;;) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        ssize_t n = recv(fd, f->answer + f->len, ANSWER_MAX - 1 - f->len, MSG_DONTWAIT);
        if (n > 0)
            f->len += (size_t)n;
        f->answer[f->len] = '\0';
        if (n == 0 || (until != NULL && strstr(f->answer, until) != NULL))
            return;
        if (clock_mono(&clock_system) > deadline)
            fail_msg("no answer in time; so far:\n%s", f->answer);
    }
}

/* One request on its own connection; the answer is in f->answer. Returns the status. */
static int ask(struct fixture *f, const char *line, const char *fields, const char *body)
{
    char head[1024];
    int fd = dial(f);

    snprintf(head, sizeof(head),
             "%s HTTP/1.1\r\nhost: localhost:9900\r\nconnection: close\r\ncontent-length: %zu\r\n"
             "%s\r\n",
             line, strlen(body), fields);
    send_all(fd, head);
    send_all(fd, body);
    receive(f, fd, NULL);
    close(fd);
    assert_memory_equal(f->answer, "HTTP/1.1 ", 9);
    return atoi(f->answer + 9);
}

static int get(struct fixture *f, const char *path)
{
    char line[256];

    snprintf(line, sizeof(line), "GET %s", path);
    return ask(f, line, "", "");
}

#define JSON_TYPE "content-type: application/json\r\n"

static int post(struct fixture *f, const char *path, const char *body)
{
    char line[256];

    snprintf(line, sizeof(line), "POST %s", path);
    return ask(f, line, JSON_TYPE, body);
}

static void assert_answer_has(const struct fixture *f, const char *text)
{
    if (strcasestr(f->answer, text) == NULL)
        fail_msg("no \"%s\" in:\n%s", text, f->answer);
}

static json_t *answer_json(const struct fixture *f)
{
    const char *body = strstr(f->answer, "\r\n\r\n");
    json_t *value = body == NULL ? NULL : json_loads(body + 4, 0, NULL);

    assert_non_null(value);
    return value;
}

static void documents_and_lists(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, "/v1/rollouts"), 200);
    json_t *all = answer_json(f);
    assert_int_equal(json_array_size(json_object_get(all, "rollouts")), 2);
    json_decref(all);
    assert_int_equal(get(f, "/v1/rollouts/chat"), 200);
    json_t *one = answer_json(f);
    assert_string_equal(json_string_value(json_object_get(one, "rollout")), "chat");
    json_decref(one);
    assert_int_equal(get(f, "/v1/decisions/chat-17"), 200);
    assert_int_equal(get(f, "/"), 200);
    assert_answer_has(f, "\"version\":\"" SLUICE_VERSION "\"");
    assert_int_equal(get(f, "/healthz"), 200);
}

static void every_answer_keeps_browsers_off(void **state)
{
    struct fixture *f = *state;
    static const char *const paths[] = {"/", "/v1/rollouts", "/metrics", "/healthz", "/nothing"};

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        get(f, paths[i]);
        assert_answer_has(f, "x-content-type-options: nosniff\r\n");
        assert_answer_has(f, "x-frame-options: DENY\r\n");
        assert_answer_has(f, "frame-ancestors 'none'");
        assert_answer_has(f, "cache-control: no-store\r\n");
        assert_null(strcasestr(f->answer, "access-control"));
    }
}

static void errors_are_problem_documents(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *line, *fields, *body;
        int status;
        const char *says;
    } errors[] = {
        {"GET /v1/rollouts/nope", "", "", 404, "Known: chat, embed"},
        {"GET /v1/rollouts/nope/verdict", "", "", 404, "Known: chat, embed"},
        {"GET /v1/events?rollout=nope", "", "", 404, "Known: chat, embed"},
        {"GET /v1/events?rollout=", "", "", 404, "Known: chat, embed"},
        {"POST /v1/rollouts/nope/promote", JSON_TYPE, "{}", 404, "Known: chat, embed"},
        {"GET /v1/decisions/chat-18", "", "", 404, "chat-18"},
        {"GET /v2", "", "", 404, "GET / lists"},
        {"GET /v1/rollouts/", "", "", 404, "GET / lists"},
        {"GET /v1/rollouts/a/b/verdict", "", "", 404, "GET / lists"},
        {"DELETE /v1/rollouts/chat", "", "", 405, "GET, HEAD"},
        {"GET /v1/rollouts/chat/promote", "", "", 405, "POST"},
        {"POST /v1/rollouts/chat/promote", JSON_TYPE, "{\"x\":1}", 400, "\\\"x\\\""},
        {"POST /v1/rollouts/chat/promote", "content-type: text/plain\r\n", "{}", 415, "json"},
        {"POST /v1/rollouts/chat/promote", "", "{}", 415, "json"},
        {"GET /v1/events?after=x", "", "", 400, "whole number"},
        {"GET /healthz", "origin: http://evil.example\r\n", "", 403, "web page"},
        {"GET /healthz", "sec-fetch-site: cross-site\r\n", "", 403, "web page"},
    };

    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        int status = ask(f, errors[i].line, errors[i].fields, errors[i].body);
        if (status != errors[i].status)
            fail_msg("%s: %d, want %d", errors[i].line, status, errors[i].status);
        assert_answer_has(f, "content-type: application/problem+json\r\n");
        assert_answer_has(f, errors[i].says);
        json_t *body = answer_json(f);
        assert_int_equal(json_integer_value(json_object_get(body, "status")), status);
        assert_true(json_is_string(json_object_get(body, "title")));
        assert_true(json_is_string(json_object_get(body, "instance")));
        json_decref(body);
    }
    assert_int_equal(f->fake.commands, 0);
    ask(f, "DELETE /v1/rollouts/chat", "", "");
    assert_answer_has(f, "\r\nallow: GET, HEAD\r\n");
}

static void a_rebound_name_is_misdirected(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f);

    send_all(fd, "GET /v1/rollouts HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n");
    receive(f, fd, NULL);
    close(fd);
    assert_memory_equal(f->answer, "HTTP/1.1 421 ", 13);
    assert_null(strstr(f->answer, "chat"));
}

static void verbs_reach_the_controller(void **state)
{
    struct fixture *f = *state;

    for (int k = 0; k < COMMAND_KIND_COUNT; k++) {
        char path[128];
        snprintf(path, sizeof(path), "/v1/rollouts/chat/%s", command_names[k]);
        assert_int_equal(post(f, path, "{\"reason\":\"because\"}"), 200);
        assert_int_equal(f->fake.last.kind, k);
        assert_string_equal(f->fake.last.reason, "because");
        assert_string_equal(f->fake.last.who, "api");
        assert_answer_has(f, "\"detail\":\"on to step 2\"");
        assert_answer_has(f, "\"document\":{");
    }
    assert_int_equal(ask(f, "POST /v1/rollouts/chat/pause", "x-sluice-user: an na\r\n", ""), 200);
    assert_string_equal(f->fake.last.who, "anna");
}

static void a_refusal_is_409_with_the_way_out(void **state)
{
    struct fixture *f = *state;

    f->fake.refuse = true;
    assert_int_equal(post(f, "/v1/rollouts/chat/promote", "{\"expect_step\":2}"), 409);
    assert_answer_has(f, "application/problem+json");
    assert_answer_has(f, "\"title\":\"Not at this step\"");
    assert_answer_has(f, "\"detail\":\"chat is at step 1\"");
}

static void a_body_that_is_too_large_is_413(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f);

    send_all(fd, "POST /v1/rollouts/chat/promote HTTP/1.1\r\nhost: localhost\r\n" JSON_TYPE
                 "content-length: 10000000\r\n\r\n");
    receive(f, fd, "\r\n\r\n");
    close(fd);
    assert_memory_equal(f->answer, "HTTP/1.1 413 ", 13);
    assert_int_equal(f->fake.commands, 0);
}

static void the_verdict_is_a_gate(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, "/v1/rollouts/chat/verdict"), 409);
    assert_answer_has(f, "\"verdict\":\"undecided\"");
    f->fake.verdict_ok = true;
    assert_int_equal(get(f, "/v1/rollouts/chat/verdict"), 200);
}

static void readiness_ends_before_the_process(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(get(f, "/readyz"), 200);
    f->fake.not_ready = "draining";
    assert_int_equal(get(f, "/readyz"), 503);
    assert_answer_has(f, "draining");
    assert_int_equal(get(f, "/healthz"), 200);
}

static void head_has_no_body(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(ask(f, "HEAD /healthz", "", ""), 200);
    assert_string_equal(f->answer + f->len - 4, "\r\n\r\n");
    assert_int_equal(ask(f, "HEAD /v1/events", "", ""), 200);
}

/* --- events --- */

static void add_event(struct fake *f, uint64_t id, const char *type, const char *rollout)
{
    f->events[f->event_count++] = (struct controller_event){
        .id = id, .type = type, .rollout = rollout, .json = "{\"n\":\n1}"};
}

static void events_come_as_they_happen(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f);

    add_event(&f->fake, 1, "rollout.started", "chat");
    send_all(fd, "GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n");
    receive(f, fd, "retry: ");
    assert_answer_has(f, "content-type: text/event-stream");
    add_event(&f->fake, 2, "step.advanced", "chat");
    admin_pump(f->admin);
    receive(f, fd, "id: 2\nevent: step.advanced\ndata: {\"n\": 1}\n\n");
    assert_null(strstr(f->answer, "id: 1\n"));
    close(fd);
}

static void a_command_is_an_event_at_once(void **state)
{
    struct fixture *f = *state;
    int stream = dial(f), verb;

    send_all(stream, "GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n");
    receive(f, stream, "retry: ");
    add_event(&f->fake, 1, "rollout.paused", "chat");
    verb = dial(f);
    send_all(verb, "POST /v1/rollouts/chat/pause HTTP/1.1\r\nhost: localhost\r\n"
                   "content-length: 0\r\n\r\n");
    receive(f, stream, "event: rollout.paused");
    close(stream);
    close(verb);
}

static void events_resume_where_a_client_left_off(void **state)
{
    struct fixture *f = *state;
    int fd;

    add_event(&f->fake, 5, "rollout.started", "chat");
    add_event(&f->fake, 6, "rollout.paused", "embed");
    add_event(&f->fake, 7, "rollout.promoted", "chat");
    static const struct {
        const char *path, *fields;
        bool five, six, lost;
    } resumes[] = {
        {"/v1/events?after=5", "", false, true, false},
        {"/v1/events", "last-event-id: 6\r\n", false, false, false},
        {"/v1/events?after=0", "", true, true, false},
        {"/v1/events?after=2", "", true, true, true},                /* 3 and 4 are gone */
        {"/v1/events", "last-event-id: 900\r\n", true, true, false}, /* of an earlier process */
        {"/v1/events?after=4&rollout=chat", "", true, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(resumes); i++) {
        char request[256];
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nhost: localhost\r\n%s\r\n",
                 resumes[i].path, resumes[i].fields);
        fd = dial(f);
        send_all(fd, request);
        receive(f, fd, "id: 7\n");
        if ((strstr(f->answer, "id: 5\n") != NULL) != resumes[i].five ||
            (strstr(f->answer, "id: 6\n") != NULL) != resumes[i].six ||
            (strstr(f->answer, "events.lost") != NULL) != resumes[i].lost)
            fail_msg("row %zu:\n%s", i, f->answer);
        close(fd);
    }
}

static void streams_are_bounded(void **state)
{
    struct fixture *f = *state;
    int fds[64];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial(f);
        send_all(fds[i], "GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n");
        receive(f, fds[i], "retry: ");
    }
    assert_int_equal(get(f, "/v1/events"), 503);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    for (int i = 0; i < 1000 && get(f, "/healthz") == 200; i++) {
        /* The places of those who left are free again. */
        int fd = dial(f);
        send_all(fd, "GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n");
        receive(f, fd, "\r\n\r\n");
        close(fd);
        if (atoi(f->answer + 9) == 200)
            return;
    }
    fail_msg("no place became free");
}

/* --- where it listens --- */

static void nothing_but_loopback(void **state)
{
    struct fixture *f = *state;
    struct admin_ports ports = fake_ports(&f->fake);
    static const char *const hosts[] = {"0.0.0.0", "::", "10.0.0.1"};
    struct admin *admin = NULL;

    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct error error = {.code = 0};
        assert_int_equal(admin_start(&f->loop, hosts[i], 0, &ports, &admin, &error), -EPERM);
        assert_null(admin);
        assert_non_null(strstr(error.message, hosts[i]));
        assert_non_null(strstr(error.hint, "127.0.0.1"));
    }
}

static void a_taken_port_is_named(void **state)
{
    struct fixture *f = *state;
    struct admin_ports ports = fake_ports(&f->fake);
    struct error error = {.code = 0};
    struct admin *admin = NULL;
    char port[16];

    snprintf(port, sizeof(port), "%u", admin_port(f->admin));
    assert_int_equal(
        admin_start(&f->loop, "127.0.0.1", admin_port(f->admin), &ports, &admin, &error),
        -EADDRINUSE);
    assert_non_null(strstr(error.message, port));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(documents_and_lists),
        TEST(every_answer_keeps_browsers_off),
        TEST(errors_are_problem_documents),
        TEST(a_rebound_name_is_misdirected),
        TEST(verbs_reach_the_controller),
        TEST(a_refusal_is_409_with_the_way_out),
        TEST(a_body_that_is_too_large_is_413),
        TEST(the_verdict_is_a_gate),
        TEST(readiness_ends_before_the_process),
        TEST(head_has_no_body),
        TEST(events_come_as_they_happen),
        TEST(a_command_is_an_event_at_once),
        TEST(events_resume_where_a_client_left_off),
        TEST(streams_are_bounded),
        TEST(nothing_but_loopback),
        TEST(a_taken_port_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
