/* Which socket is for which listener. A port 0 in the configuration can only be recognised by the
 * text, since the socket has a real port by now.
 */
#include "net/inherited.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/str.h"
#include "net/sockaddr.h"

bool inherited_add(struct inherited *i, int fd, enum inherited_role role, uint32_t group,
                   const char *address)
{
    struct inherited_socket s = {.fd = fd, .role = role, .group = group};

    if (i->count == INHERITED_MAX)
        return false;
    if (!str_copy(s.address, sizeof(s.address), str_from(address)))
        s.address[0] = '\0';              /* where it is bound tells */
    if ((i->count & (i->count - 1)) == 0) /* a power of two: full */
        i->sockets = xrealloc(i->sockets, (i->count == 0 ? 1 : 2 * i->count) * sizeof(*i->sockets));
    i->sockets[i->count++] = s;
    return true;
}

static bool bound_to(int fd, const char *host, uint16_t port)
{
    struct sockaddr_storage want, have;
    socklen_t len = sizeof(have);

    if (port == 0 || sockaddr_parse(host, port, &want) == 0)
        return false;
    if (getsockname(fd, (struct sockaddr *)&have, &len) != 0 || have.ss_family != want.ss_family ||
        sockaddr_bound_port(fd) != port)
        return false;
    if (want.ss_family == AF_INET)
        return ((struct sockaddr_in *)&want)->sin_addr.s_addr ==
               ((struct sockaddr_in *)&have)->sin_addr.s_addr;
    return memcmp(&((struct sockaddr_in6 *)&want)->sin6_addr,
                  &((struct sockaddr_in6 *)&have)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

bool inherited_fits(const struct inherited_socket *s, const char *text, const char *host,
                    uint16_t port)
{
    return strcmp(s->address, text) == 0 || bound_to(s->fd, host, port);
}

int inherited_take_admin(struct inherited *i, const char *text, const char *host, uint16_t port)
{
    struct inherited_socket *found = NULL;

    for (size_t n = 0; i != NULL && n < i->count; n++) {
        struct inherited_socket *s = &i->sockets[n];
        if (s->taken || s->role == INHERITED_PROXY)
            continue;
        /* systemd's has no text: its name says what it is for, wherever it is bound. */
        if ((s->role == INHERITED_ADMIN && s->address[0] == '\0') ||
            inherited_fits(s, text, host, port)) {
            found = s;
            break;
        }
    }
    if (found == NULL)
        return -1;
    found->taken = true;
    return found->fd;
}

void inherited_deinit(struct inherited *i)
{
    for (size_t n = 0; n < i->count; n++)
        if (!i->sockets[n].taken)
            close(i->sockets[n].fd);
    free(i->sockets);
    *i = (struct inherited){0};
}

bool inherited_is_listening(int fd)
{
    int value = 0, type = 0;
    socklen_t len = sizeof(value), type_len = sizeof(type);
    struct sockaddr_storage address;
    socklen_t address_len = sizeof(address);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value == 1 &&
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
           getsockname(fd, (struct sockaddr *)&address, &address_len) == 0 &&
           (address.ss_family == AF_INET || address.ss_family == AF_INET6);
}
