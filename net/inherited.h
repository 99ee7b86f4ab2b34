/* net/inherited.h — listening sockets that another process bound for this one: the process that it
 * replaces, or systemd.
 *
 * Rebinding would reset the connections that wait in a socket's queue; a descriptor that is passed
 * on keeps them. One owner, before threads start.
 */
#ifndef NET_INHERITED_H
#define NET_INHERITED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 16 listeners with 64 sockets each, and the admin API's. */
enum { INHERITED_MAX = 1025, INHERITED_ADDRESS_MAX = 63 };

enum inherited_role { INHERITED_ANY, INHERITED_PROXY, INHERITED_ADMIN, INHERITED_ROLE_COUNT };

struct inherited_socket {
    int fd;
    enum inherited_role role;                /* INHERITED_ANY: only its address tells */
    uint32_t group;                          /* sockets of one listener have the same */
    char address[INHERITED_ADDRESS_MAX + 1]; /* as its configuration wrote it; "" = not known */
    bool taken;                              /* somebody owns the descriptor by now */
};

struct inherited {
    struct inherited_socket *sockets; /* heap */
    size_t count;
};

/* False: there are too many; the descriptor stays the caller's. */
bool inherited_add(struct inherited *, int fd, enum inherited_role, uint32_t group,
                   const char *address);
/* Whether a socket is for the listener written as `text`, which is host and port: by that text, or
 * by the address that it is really bound to. */
bool inherited_fits(const struct inherited_socket *, const char *text, const char *host,
                    uint16_t port);
/* The descriptor of the admin API's socket, taken, or -1. */
int inherited_take_admin(struct inherited *, const char *text, const char *host, uint16_t port);
/* Closes what nobody took, and frees. */
void inherited_deinit(struct inherited *);

/* A TCP socket that listens. */
bool inherited_is_listening(int fd);

#endif
