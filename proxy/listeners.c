/* Sockets bound before any thread starts, so that a port in use is an error of `sluice run` and not
 * of a worker. The surprising part: a fresh port is bound alone for a moment, because SO_REUSEPORT
 * would share it with another sluice of the same user without a word.
 */
#include "proxy/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "net/sockaddr.h"

enum { BACKLOG = 4096 };

static int bind_failed(const struct config_address *a, int fd, int error, struct error *reterr)
{
    int code = error_set(reterr, -error, "cannot listen on %s: %s", a->text, strerror(error));

    if (error == EADDRINUSE)
        error_hint(reterr, "another process has that port: stop it (ss -ltnp shows it) or change "
                           "proxy.listen");
    else if (error == EACCES)
        error_hint(reterr, "ports below 1024 need root or CAP_NET_BIND_SERVICE");
    else if (error == EADDRNOTAVAIL)
        error_hint(reterr, "this machine does not have that address");
    if (fd >= 0)
        close(fd);
    return code;
}

static int open_socket(const struct config_address *a, uint16_t port, struct sockaddr_storage *ret,
                       socklen_t *ret_len, struct error *reterr)
{
    int on = 1;

    *ret_len = sockaddr_parse(a->host, port, ret);
    if (*ret_len == 0)
        return error_set(reterr, -EINVAL, "%s is not a numeric address", a->text);
    int fd = socket(ret->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return bind_failed(a, -1, errno, reterr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    return fd;
}

/* Without SO_REUSEPORT: this fails when anybody listens there. */
static int check_alone(const struct config_address *a, struct error *reterr)
{
    struct sockaddr_storage address;
    socklen_t len;

    if (a->port == 0)
        return 0;
    int fd = open_socket(a, a->port, &address, &len, reterr);
    if (fd < 0)
        return fd;
    if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 1) != 0)
        return bind_failed(a, fd, errno, reterr);
    close(fd);
    return 0;
}

/* Bound with SO_REUSEPORT, not listening; or -errno. */
static int bind_one(const struct config_address *a, uint16_t port, struct error *reterr)
{
    struct sockaddr_storage address;
    socklen_t len;
    int on = 1;

    int fd = open_socket(a, port, &address, &len, reterr);
    if (fd < 0)
        return fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, len) != 0)
        return bind_failed(a, fd, errno, reterr);
    return fd;
}

static struct listener_socket *add(struct listeners *l, int fd, size_t listener, size_t worker)
{
    if ((l->count & (l->count - 1)) == 0) /* a power of two: full */
        l->sockets = xrealloc(l->sockets, (l->count == 0 ? 1 : 2 * l->count) * sizeof(*l->sockets));
    l->sockets[l->count] =
        (struct listener_socket){.fd = fd, .listener = listener, .worker = worker};
    return &l->sockets[l->count++];
}

/* --- inherited --- */

static void take(struct listeners *l, struct inherited_socket *s, size_t listener, size_t worker)
{
    /* Both are properties of what is shared with the process that made it, or of the copy. */
    fcntl(s->fd, F_SETFD, FD_CLOEXEC);
    fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) | O_NONBLOCK);
    s->taken = true;
    l->ports[listener] = sockaddr_bound_port(s->fd);
    add(l, s->fd, listener, worker);
}

/* The first group whose socket fits, all of it, dealt out to the workers. Returns how many. */
static size_t take_fitting(struct listeners *l, const struct config *config, size_t listener,
                           size_t workers, struct inherited *in)
{
    const struct config_address *a = &config->listen[listener];
    const struct inherited_socket *first = NULL;
    size_t taken = 0;

    for (size_t i = 0; i < in->count && first == NULL; i++)
        if (!in->sockets[i].taken && in->sockets[i].role != INHERITED_ADMIN &&
            inherited_fits(&in->sockets[i], a->text, a->host, a->port))
            first = &in->sockets[i];
    for (size_t i = 0; first != NULL && i < in->count; i++) {
        struct inherited_socket *s = &in->sockets[i];
        if (s->taken || s->role == INHERITED_ADMIN)
            continue;
        if (s == first || s->group == first->group ||
            (s->address[0] == '\0' && inherited_fits(s, a->text, a->host, a->port)))
            take(l, s, listener, taken++ % workers);
    }
    return taken;
}

/* systemd's sockets that are called "proxy" stand for the listeners in their order, wherever they
 * are bound: the socket unit has the last word. */
static size_t take_named(struct listeners *l, size_t listener, struct inherited *in)
{
    for (size_t i = 0; i < in->count; i++) {
        struct inherited_socket *s = &in->sockets[i];
        if (s->taken || s->role != INHERITED_PROXY || s->address[0] != '\0')
            continue;
        take(l, s, listener, 0);
        return 1;
    }
    return 0;
}

/* Workers without a socket of their own: a new one beside the inherited, or, where those were not
 * made for company, a share in one of them. */
static int complete(struct listeners *l, const struct config *config, size_t listener, size_t have,
                    size_t workers, struct error *reterr)
{
    size_t first = l->count - have;
    int reuseport = 0;
    socklen_t len = sizeof(reuseport);

    (void)getsockopt(l->sockets[first].fd, SOL_SOCKET, SO_REUSEPORT, &reuseport, &len);
    for (size_t w = have; w < workers; w++) {
        int fd = -1;
        if (reuseport)
            fd = bind_one(&config->listen[listener], l->ports[listener], NULL);
        if (fd >= 0) {
            add(l, fd, listener, w)->late = true;
            continue;
        }
        fd = fcntl(l->sockets[first + (w - have) % have].fd, F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return bind_failed(&config->listen[listener], -1, errno, reterr);
        add(l, fd, listener, w)->shared = true;
    }
    return 0;
}

/* --- all of them --- */

static int bind_fresh(struct listeners *l, const struct config *config, size_t listener,
                      size_t workers, struct error *reterr)
{
    const struct config_address *a = &config->listen[listener];

    int rc = check_alone(a, reterr);
    for (size_t w = 0; w < workers && rc == 0; w++) {
        int fd = bind_one(a, w == 0 ? a->port : l->ports[listener], reterr);
        if (fd < 0) {
            rc = fd;
            break;
        }
        l->ports[listener] = sockaddr_bound_port(fd);
        add(l, fd, listener, w)->fresh = true;
    }
    return rc;
}

int listeners_bind(struct listeners *l, const struct config *config, size_t workers,
                   struct inherited *in, struct error *reterr)
{
    size_t have[LISTEN_MAX] = {0};
    int rc = 0;

    *l = (struct listeners){0};
    /* By address before by name, so that a name does not take what belongs to another listener. */
    for (size_t i = 0; in != NULL && rc == 0 && i < config->listen_count; i++) {
        have[i] = take_fitting(l, config, i, workers, in);
        if (have[i] > 0 && have[i] < workers)
            rc = complete(l, config, i, have[i], workers, reterr);
    }
    for (size_t i = 0; rc == 0 && i < config->listen_count; i++) {
        if (have[i] > 0)
            continue;
        if (in != NULL && (have[i] = take_named(l, i, in)) > 0)
            rc = complete(l, config, i, have[i], workers, reterr);
        else
            rc = bind_fresh(l, config, i, workers, reterr);
    }
    if (rc < 0) {
        listeners_close(l);
        listeners_deinit(l);
    }
    return rc;
}

int listeners_listen(struct listeners *l, const struct config *config, struct error *reterr)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->sockets[i].fresh && listen(l->sockets[i].fd, BACKLOG) != 0)
            return bind_failed(&config->listen[l->sockets[i].listener], -1, errno, reterr);
    return 0;
}

int listeners_listen_late(const struct listener_socket *s)
{
    return listen(s->fd, BACKLOG) == 0 ? 0 : -errno;
}

void listeners_close(struct listeners *l)
{
    for (size_t i = 0; i < l->count; i++)
        close(l->sockets[i].fd);
    l->count = 0;
}

void listeners_deinit(struct listeners *l)
{
    free(l->sockets);
    l->sockets = NULL;
    l->count = 0;
}
