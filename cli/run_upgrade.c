/* The running process's side of an upgrade (cli/handover.h has the conversation). Until the new
 * process says that it serves, anything that goes wrong leaves everything as it is; a new process
 * that is given up on is killed, which costs nothing: it has not served anybody yet.
 */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/log.h"
#include "cli/handover.h"
#include "cli/respawn.h"
#include "cli/run.h"
#include "controller/state_json.h"

/* Between PREPARED and READY nobody decides, not even a rollback: that has to be short. */
enum { UPGRADE_TIMEOUT_MS = 60 * 1000, FROZEN_TIMEOUT_MS = 5 * 1000, CHILD_SOCKET = 3 };

struct upgrade {
    struct run *run;
    uv_process_t child;
    uv_poll_t poll;
    uv_timer_t deadline;
    int socket;
    int handles; /* not closed yet */
    bool alive;  /* the new process */
    bool failing, done;
    char why[192];
};

/* --- its end --- */

static void finish_failed(struct upgrade *u)
{
    struct run *run = u->run;

    log_error(
        "upgrade.failed", F("error", LOG_STR(u->why)),
        F("note", LOG_STR(run->leaving ? "this process ends as it was told"
                                       : "this process serves on as before; SIGUSR2 tries again")));
    if (!run->leaving)
        notify_send(&run->notify, "READY=1\nSTATUS=serving; the last upgrade failed: %s", u->why);
    if (run->frozen)
        run_freeze(run, false);
    run->upgrade = NULL;
    free(u);
}

static void on_closed(uv_handle_t *handle)
{
    struct upgrade *u = handle->data;

    if (--u->handles > 0)
        return;
    if (u->failing) {
        finish_failed(u);
        return;
    }
    u->run->upgrade = NULL;
    free(u);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void close_talk(struct upgrade *u)
{
    close_handle((uv_handle_t *)&u->poll);
    close_handle((uv_handle_t *)&u->deadline);
    if (u->socket >= 0)
        close(u->socket); /* after uv_close, which takes it out of the poll set */
    u->socket = -1;
}

static void fail(struct upgrade *u, const char *why)
{
    if (u->failing || u->done)
        return;
    u->failing = true;
    snprintf(u->why, sizeof(u->why), "%s", why);
    close_talk(u);
    if (u->alive)
        uv_process_kill(&u->child, SIGKILL); /* on_child_exit closes its handle */
    else
        close_handle((uv_handle_t *)&u->child);
}

static void on_child_exit(uv_process_t *child, int64_t status, int signum)
{
    struct upgrade *u = child->data;
    char why[128];

    u->alive = false;
    if (u->done && (status != 0 || signum != 0)) /* it may well be replaced before this one ends */
        log_error("upgrade.successor_ended", F("pid", LOG_I64(child->pid)),
                  F("status", LOG_I64(status)), F("signal", LOG_I64(signum)));
    if (signum != 0)
        snprintf(why, sizeof(why), "the new process was ended by signal %d", signum);
    else
        snprintf(why, sizeof(why),
                 "the new process ended with status %d; its own lines above say why", (int)status);
    if (!u->done)
        fail(u, why);
    close_handle((uv_handle_t *)child);
}

/* --- the conversation --- */

/* What every rollout stands at, in a memory file; or -errno. */
static int write_states(const struct run *run)
{
    json_t *states = json_object();

    for (size_t i = 0; i < run->set->count; i++)
        json_object_set_new(states, run->set->policies[i]->name,
                            state_to_json(controller_state(run->controller, i)));
    char *text = json_dumps(states, JSON_COMPACT);
    json_decref(states);
    int fd = handover_write_file("sluice-states", str_from(text));
    free(text);
    return fd;
}

static void on_deadline(uv_timer_t *timer);

/* From here on nothing is decided here, so that nothing is decided twice or lost. */
static void on_prepared(struct upgrade *u)
{
    struct handover_message m = {.kind = HANDOVER_STATES, .fd_count = 1};

    run_freeze(u->run, true);
    m.fds[0] = write_states(u->run);
    int rc = m.fds[0] < 0 ? m.fds[0] : handover_send(u->socket, &m);
    if (m.fds[0] >= 0)
        close(m.fds[0]);
    if (rc < 0 && rc != -EPIPE) /* -EPIPE: it ends, and on_child_exit knows why */
        fail(u, strerror(-rc));
    else
        uv_timer_start(&u->deadline, on_deadline, FROZEN_TIMEOUT_MS, 0);
}

static void on_ready(struct upgrade *u)
{
    u->done = true;
    close_talk(u);
    log_info("upgrade.done", F("pid", LOG_I64(u->child.pid)),
             F("note", LOG_STR("the new process serves; this one ends with its last request")));
    notify_send(&u->run->notify, "READY=1\nMAINPID=%ld\nSTATUS=serving", (long)u->child.pid);
    run_replaced(u->run);
}

static void listen_to(struct upgrade *u)
{
    struct handover_message m;
    int rc = 0;

    while (!u->failing && !u->done && (rc = handover_receive(u->socket, &m)) == 0) {
        handover_close_fds(&m);
        if (m.kind == HANDOVER_PREPARED && !u->run->frozen)
            on_prepared(u);
        else if (m.kind == HANDOVER_READY && u->run->frozen)
            on_ready(u);
        else
            fail(u, "the new process broke the rules of the hand-over");
    }
    if (u->failing || u->done || rc == -EAGAIN)
        return;
    if (rc == -EPIPE) /* it ends: on_child_exit knows why */
        uv_poll_stop(&u->poll);
    else
        fail(u,
             rc == -EPROTO ? "the new process hands over in another version's way" : strerror(-rc));
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    /* Also when libuv sees an error, which is how the end of the other side may look: the socket
     * itself says what it is. */
    (void)status, (void)events;
    listen_to(poll->data);
}

static void on_deadline(uv_timer_t *timer)
{
    struct upgrade *u = timer->data;

    listen_to(u);
    fail(u, u->run->frozen ? "the new process has what the rollouts stand at, and was not ready "
                             "within 5 s"
                           : "the new process was not ready within 60 s");
}

/* --- its start --- */

/* One message for each listener, with all its sockets. */
static int send_sockets(const struct run *run, int socket)
{
    struct inherited all = {0};
    int rc = 0;

    proxy_sockets(run->proxy, &all);
    for (uint32_t group = 0; group < run->set->config->listen_count && rc == 0; group++) {
        struct handover_message m = {.kind = HANDOVER_PROXY_SOCKETS, .group = group};
        for (size_t i = 0; i < all.count; i++) {
            if (all.sockets[i].group != group)
                continue;
            CHECK(m.fd_count < HANDOVER_FDS_MAX);
            m.fds[m.fd_count++] = all.sockets[i].fd;
            snprintf(m.text, sizeof(m.text), "%s", all.sockets[i].address);
        }
        rc = handover_send(socket, &m);
    }
    free(all.sockets); /* not inherited_deinit: the descriptors are the proxy's */
    return rc;
}

static int send_all(const struct run *run, int socket)
{
    struct handover_message admin = {.kind = HANDOVER_ADMIN_SOCKET, .fd_count = 1};
    struct handover_message weights = {.kind = HANDOVER_WEIGHTS};
    const struct handover_message complete = {.kind = HANDOVER_COMPLETE};

    snprintf(admin.text, sizeof(admin.text), "%s", run->set->config->admin.text);
    admin.fds[0] = admin_descriptor(run->admin);
    weights.fd_count = proxy_weight_fds(run->proxy, weights.fds);
    int rc = send_sockets(run, socket);
    if (rc == 0)
        rc = handover_send(socket, &admin);
    if (rc == 0)
        rc = handover_send(socket, &weights);
    return rc == 0 ? handover_send(socket, &complete) : rc;
}

static int spawn(struct upgrade *u, int child_socket)
{
    char variable[64];
    uv_stdio_container_t stdio[CHILD_SOCKET + 1];

    snprintf(variable, sizeof(variable), HANDOVER_ENVIRONMENT "=%d", CHILD_SOCKET);
    char **env = respawn_env(variable);
    for (int i = 0; i < CHILD_SOCKET; i++)
        stdio[i] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = i};
    stdio[CHILD_SOCKET] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = child_socket};
    const uv_process_options_t options = {.exit_cb = on_child_exit,
                                          .file = respawn_path(),
                                          .args = respawn_args(),
                                          .env = env,
                                          .stdio_count = CHILD_SOCKET + 1,
                                          .stdio = stdio};
    int rc = uv_spawn(&u->run->loop, &u->child, &options);
    respawn_env_free(env);
    u->alive = rc == 0;
    return rc;
}

static void begin(struct upgrade *u, int sockets[static 2])
{
    struct run *run = u->run;

    CHECK(uv_poll_init(&run->loop, &u->poll, sockets[0]) == 0);
    CHECK(uv_timer_init(&run->loop, &u->deadline) == 0);
    u->socket = sockets[0];
    u->poll.data = u->deadline.data = u;
    u->handles = 3;
    int rc = send_all(run, sockets[0]);
    int spawned = spawn(u, sockets[1]);
    u->child.data = u;
    close(sockets[1]);
    if (rc < 0 || spawned < 0) {
        fail(u, rc < 0 ? strerror(-rc) : uv_strerror(spawned));
        return;
    }
    uv_poll_start(&u->poll, UV_READABLE, on_readable);
    uv_timer_start(&u->deadline, on_deadline, UPGRADE_TIMEOUT_MS, 0);
    log_info("upgrade.started", F("program", LOG_STR(respawn_path())),
             F("pid", LOG_I64(u->child.pid)));
}

void upgrade_start(struct run *run)
{
    int sockets[2];

    if (run->leaving || run->upgrade != NULL) {
        log_warn("upgrade.refused",
                 F("reason", LOG_STR(run->replaced  ? "this process is replaced already"
                                     : run->leaving ? "this process is ending"
                                                    : "one is under way")));
        return;
    }
    int rc = respawn_path() == NULL ? -ENOENT : handover_pair(sockets);
    if (rc < 0) {
        log_error("upgrade.failed", F("error", LOG_STR(strerror(-rc))),
                  F("note", LOG_STR("this process serves on as before; SIGUSR2 tries again")));
        return;
    }
    notify_send(&run->notify, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=upgrading",
                (long long)(clock_mono(&clock_system) / NS_PER_US));
    run->upgrade = xcalloc(1, sizeof(*run->upgrade));
    run->upgrade->run = run;
    begin(run->upgrade, sockets);
}

bool upgrade_abandon(struct run *run)
{
    struct upgrade *u = run->upgrade;

    if (u == NULL)
        return true;
    listen_to(u);
    if (u->done)
        return false;
    fail(u, "this process was told to end");
    return true;
}

void upgrade_forget(struct run *run)
{
    if (run->upgrade != NULL && run->upgrade->done)
        close_handle((uv_handle_t *)&run->upgrade->child);
}
