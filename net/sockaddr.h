/* net/sockaddr.h — numeric addresses and ports of sockets. Any thread. */
#ifndef NET_SOCKADDR_H
#define NET_SOCKADDR_H

#include <sys/socket.h>

#include <stdint.h>

/* A numeric IPv4 or IPv6 address without brackets. Returns its length, or 0 when it is neither. */
socklen_t sockaddr_parse(const char *host, uint16_t port, struct sockaddr_storage *ret);
/* The port a bound socket really has; 0 when it has none. */
uint16_t sockaddr_bound_port(int fd);

#endif
