/* cli/activation.h — sockets that systemd opened for us ($LISTEN_FDS). */
#ifndef CLI_ACTIVATION_H
#define CLI_ACTIVATION_H

#include <sys/types.h>

#include <stddef.h>

#include "net/inherited.h"

enum { ACTIVATION_FDS_MAX = 64, ACTIVATION_FD_FIRST = 3, ACTIVATION_NAME_MAX = 255 };

/* What the variables mean for process `self`; NULL: not set. The number of descriptors, from 3 on;
 * 0: none, or they are for another process; -EINVAL: they do not make sense. */
int activation_count(const char *listen_pid, const char *listen_fds, pid_t self);
/* What descriptor number `index` is for, by $LISTEN_FDNAMES: "admin", "proxy" or "proxy-…"; any
 * other name leaves it to the address. */
enum inherited_role activation_role(const char *listen_fdnames, size_t index);

/* Reads the environment, clears those variables, and adds the sockets. What is no listening TCP
 * socket is closed, with a line in the log. */
void activation_take(struct inherited *);

#endif
