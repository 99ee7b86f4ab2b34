/* Whatever goes wrong here ends this process, and the one before goes on as if nothing had been. */
#include "cli/successor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"

enum { FIRST_WAIT_MS = 10 * 1000, STATES_WAIT_MS = 30 * 1000 };
#define STATES_BYTES_MAX ((size_t)16 * 1024 * 1024)

static int failed(struct successor *s, int code, struct error *reterr)
{
    if (code == -EPIPE)
        error_set(reterr, code,
                  "the process to be replaced has gone away, or given up on this one");
    else if (code == -EPROTO)
        error_set(
            reterr, code,
            "the process to be replaced hands over in another version's way: restart instead");
    else
        error_set(reterr, code, "the hand-over failed: %s", strerror(-code));
    successor_end(s);
    return code;
}

static bool add_sockets(struct inherited *to, struct handover_message *m)
{
    enum inherited_role role = m->kind == HANDOVER_ADMIN_SOCKET ? INHERITED_ADMIN : INHERITED_PROXY;
    size_t i = 0;

    while (i < m->fd_count && inherited_is_listening(m->fds[i]) &&
           inherited_add(to, m->fds[i], role, m->group, m->text))
        i++;
    bool all = i == m->fd_count;
    while (i < m->fd_count)
        close(m->fds[i++]);
    return all;
}

static bool add_weights(struct successor *s, struct handover_message *m)
{
    for (size_t i = 0; i < m->fd_count; i++) {
        if (s->weight_count < PROXY_PREDECESSORS_MAX)
            s->weights[s->weight_count++] = m->fds[i];
        else
            close(m->fds[i]);
    }
    return true;
}

static bool add_message(struct successor *s, struct inherited *to, struct handover_message *m)
{
    switch (m->kind) {
    case HANDOVER_PROXY_SOCKETS:
    case HANDOVER_ADMIN_SOCKET:
        return add_sockets(to, m);
    case HANDOVER_WEIGHTS:
        return add_weights(s, m);
    case HANDOVER_COMPLETE:
    case HANDOVER_PREPARED:
    case HANDOVER_STATES:
    case HANDOVER_READY:
    case HANDOVER_KIND_COUNT:
        break;
    }
    handover_close_fds(m);
    return false;
}

/* The descriptor named by the environment, or -1 without one. */
static int find_socket(struct error *reterr)
{
    const char *text = getenv(HANDOVER_ENVIRONMENT);
    int type = 0;
    socklen_t len = sizeof(type);
    uint64_t fd = 0;

    if (text == NULL)
        return -1;
    bool number = str_to_u64(str_from(text), &fd) && fd > 2 && fd < 1024;
    unsetenv(HANDOVER_ENVIRONMENT);
    if (!number || getsockopt((int)fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
        type != SOCK_SEQPACKET)
        return error_set(reterr, -EINVAL,
                         HANDOVER_ENVIRONMENT " is set, but names no socket: it is for a process "
                                              "that replaces another");
    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    return (int)fd;
}

int successor_begin(struct successor *s, struct inherited *inherited, struct error *reterr)
{
    struct handover_message m;

    *s = (struct successor){.socket = find_socket(reterr)};
    if (s->socket < -1)
        return s->socket;
    for (int rc = 0; s->socket >= 0;) {
        rc = handover_await(s->socket, FIRST_WAIT_MS, &m);
        if (rc < 0)
            return failed(s, rc, reterr);
        if (m.kind == HANDOVER_COMPLETE)
            break;
        if (!add_message(s, inherited, &m))
            return failed(s, -EPROTO, reterr);
    }
    return 0;
}

int successor_states(struct successor *s, json_t **ret, struct error *reterr)
{
    struct handover_message m = {.kind = HANDOVER_PREPARED};
    size_t len = 0;

    int rc = handover_send(s->socket, &m);
    if (rc == 0)
        rc = handover_await(s->socket, STATES_WAIT_MS, &m);
    if (rc < 0)
        return failed(s, rc, reterr);
    if (m.kind != HANDOVER_STATES || m.fd_count != 1) {
        handover_close_fds(&m);
        return failed(s, -EPROTO, reterr);
    }
    char *text = handover_read_file(m.fds[0], STATES_BYTES_MAX, &len);
    handover_close_fds(&m);
    json_t *states = text == NULL ? NULL : json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    if (!json_is_object(states)) {
        json_decref(states);
        return failed(s, -EPROTO, reterr);
    }
    *ret = states;
    return 0;
}

int successor_ready(struct successor *s, struct error *reterr)
{
    const struct handover_message m = {.kind = HANDOVER_READY};
    int rc = handover_send(s->socket, &m);

    if (rc < 0)
        return failed(s, rc, reterr);
    successor_end(s);
    return 0;
}

void successor_end(struct successor *s)
{
    if (s->socket >= 0)
        close(s->socket);
    s->socket = -1;
}
