/* The protocol of sd_listen_fds(3): LISTEN_PID says for whom, LISTEN_FDS how many from descriptor 3
 * on, LISTEN_FDNAMES their names with colons between.
 */
#include "cli/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"

int activation_count(const char *listen_pid, const char *listen_fds, pid_t self)
{
    uint64_t pid, count;

    if (listen_pid == NULL || listen_fds == NULL)
        return 0;
    if (!str_to_u64(str_from(listen_pid), &pid) || !str_to_u64(str_from(listen_fds), &count) ||
        count > ACTIVATION_FDS_MAX)
        return -EINVAL;
    return pid == (uint64_t)self ? (int)count : 0;
}

enum inherited_role activation_role(const char *listen_fdnames, size_t index)
{
    struct str rest = listen_fdnames == NULL ? STR("") : str_from(listen_fdnames), name = rest;

    for (size_t i = 0; i <= index; i++) {
        const char *colon = rest.len == 0 ? NULL : memchr(rest.ptr, ':', rest.len);
        name = colon == NULL ? rest : (struct str){rest.ptr, (size_t)(colon - rest.ptr)};
        rest = colon == NULL ? STR("")
                             : (struct str){colon + 1, rest.len - (size_t)(colon + 1 - rest.ptr)};
    }
    if (str_eq(name, STR("admin")))
        return INHERITED_ADMIN;
    if (str_eq(name, STR("proxy")) || str_starts_with(name, STR("proxy-")))
        return INHERITED_PROXY;
    return INHERITED_ANY;
}

void activation_take(struct inherited *to)
{
    const char *names = getenv("LISTEN_FDNAMES");
    int count = activation_count(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getpid());

    if (count < 0)
        log_warn("activation.unknown",
                 F("note", LOG_STR("LISTEN_FDS or LISTEN_PID is no number, or too large: listens "
                                   "by itself")));
    for (int i = 0; i < count; i++) {
        int fd = ACTIVATION_FD_FIRST + i;
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        if (inherited_is_listening(fd) &&
            inherited_add(to, fd, activation_role(names, (size_t)i), (uint32_t)i, ""))
            continue;
        log_warn("activation.unusable", F("descriptor", LOG_I64(fd)),
                 F("note", LOG_STR("no TCP socket that listens; closed")));
        close(fd);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}
