#ifndef TESTS_BENCH_COMMON_H
#define TESTS_BENCH_COMMON_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/* What the generator, the origin and the forwarder of `make bench` share. They run to be measured
 * or to measure: what cannot work ends the program with a message, nothing is retried. */

enum { COMMON_READ_BYTES = 256 * 1024, COMMON_EVENTS = 256 };

/* Every event of the origin's streams has this byte once, and nothing else that a proxy sends to a
 * client has it: how many events came is how often it came, whatever the chunks were. */
#define COMMON_EVENT_MARK '~'

/* What one read gives; there is one buffer, for what is read is used before the next read. */
extern char common_buffer[COMMON_READ_BYTES];

/* Ends the program with "NAME: what: errno" and status 1. */
_Noreturn void common_die(const char *what);

/* Raises the soft limit of open files to the hard one, ignores SIGPIPE, makes timeouts exact. */
void common_init(const char *name);

/* Prints how to use it, to standard output when the user asked for it, and ends the program. */
_Noreturn void common_usage(const char *help, bool asked);

/* Zeroed memory for free(), never NULL. */
void *common_allocate(size_t size);

/* CLOCK_MONOTONIC. */
uint64_t common_now_ns(void);

/* A whole or decimal number from 0 to max, else the program ends. */
double common_number(const char *option, const char *text, double max);

/* 127.0.0.N:port */
struct sockaddr_in common_address(unsigned n, uint16_t port);

/* Non-blocking sockets with TCP_NODELAY. Port 0 takes a free one; ret_port says which. */
int common_listen(struct sockaddr_in address, uint16_t *ret_port);
int common_accept(int listener); /* -1: none waits */
/* Waits until the connection stands (on loopback it does at once); -1: refused. */
int common_connect(struct sockaddr_in address);

/* epoll_ctl that cannot fail, and epoll_pwait2 until an instant (UINT64_MAX: for ever). */
void common_watch(int epoll, int operation, int fd, uint32_t events, void *data);
int common_wait(int epoll, struct epoll_event *events, uint64_t until_ns);

#endif
