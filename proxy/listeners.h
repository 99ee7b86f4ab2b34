/* proxy/listeners.h — the listening sockets of all workers: inherited, bound, handed on.
 *
 * Normally each worker has a SO_REUSEPORT socket of its own for each listener, and so a queue of
 * its own. Inherited ones are all served, whatever their number: a worker may get several, and
 * workers may share one (systemd's single socket). Before threads start. Internal to proxy/.
 */
#ifndef PROXY_LISTENERS_H
#define PROXY_LISTENERS_H

#include "base/error.h"
#include "net/inherited.h"
#include "policies/config.h"

struct listener_socket {
    int fd;
    size_t listener, worker;
    bool fresh;  /* bound here: listens once listeners_listen was called */
    bool late;   /* bound here beside inherited ones: listeners_listen_late */
    bool shared; /* a second descriptor of a socket that another worker has too */
};

struct listeners {
    struct listener_socket *sockets; /* heap */
    size_t count;
    uint16_t ports[LISTEN_MAX]; /* what each really has */
};

/* Binds what is not inherited, without listening yet, so that no connection can be queued in a
 * process that does not come up. On an error nothing stays open. */
int listeners_bind(struct listeners *, const struct config *, size_t workers, struct inherited *,
                   struct error *reterr);
/* Connections to what is new are queued from here on. */
int listeners_listen(struct listeners *, const struct config *, struct error *reterr);
/* One that is late gets its share of the connections from here on: not before this process is sure
 * to serve them, since inherited sockets would have served them too. 0 or -errno. */
int listeners_listen_late(const struct listener_socket *);
/* Closes every descriptor: when nobody took them. */
void listeners_close(struct listeners *);
void listeners_deinit(struct listeners *);

#endif
