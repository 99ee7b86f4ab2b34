/* The wire between two processes of the same user, perhaps of different versions: so every message
 * carries magic and version, and what does not fit is refused, never guessed at.
 */
#include "cli/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"

static const char magic[8] = "sluiceHO";

struct packet {
    char magic[8];
    uint32_t version, kind, group, fd_count;
    char text[HANDOVER_TEXT_MAX + 1];
};

union control {
    char bytes[CMSG_SPACE(sizeof(int) * HANDOVER_FDS_MAX)];
    struct cmsghdr align;
};

int handover_pair(int ret[static 2])
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return -errno;
    ret[0] = fds[0];
    ret[1] = fds[1];
    return 0;
}

int handover_send(int socket, const struct handover_message *m)
{
    struct packet packet = {.version = HANDOVER_VERSION,
                            .kind = m->kind,
                            .group = m->group,
                            .fd_count = (uint32_t)m->fd_count};
    struct iovec iov = {.iov_base = &packet, .iov_len = sizeof(packet)};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control;

    CHECK(m->fd_count <= HANDOVER_FDS_MAX);
    memcpy(packet.magic, magic, sizeof(magic));
    memcpy(packet.text, m->text, sizeof(packet.text));
    if (m->fd_count > 0) {
        memset(&control, 0, sizeof(control));
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * m->fd_count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * m->fd_count);
        memcpy(CMSG_DATA(c), m->fds, sizeof(int) * m->fd_count);
    }
    if (sendmsg(socket, &header, MSG_NOSIGNAL) == (ssize_t)sizeof(packet))
        return 0;
    return errno == ECONNRESET ? -EPIPE : -errno;
}

void handover_close_fds(struct handover_message *m)
{
    for (size_t i = 0; i < m->fd_count; i++)
        close(m->fds[i]);
    m->fd_count = 0;
}

static void keep_fds(struct msghdr *header, struct handover_message *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count && m->fd_count < HANDOVER_FDS_MAX; i++)
            memcpy(&m->fds[m->fd_count++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
}

int handover_receive(int socket, struct handover_message *ret)
{
    struct packet packet;
    struct iovec iov = {.iov_base = &packet, .iov_len = sizeof(packet)};
    union control control;
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};
    struct handover_message m = {.fd_count = 0};

    ssize_t n = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    if (n == 0)
        return -EPIPE;
    keep_fds(&header, &m);
    if (n != (ssize_t)sizeof(packet) || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
        memcmp(packet.magic, magic, sizeof(magic)) != 0 || packet.version != HANDOVER_VERSION ||
        packet.kind == 0 || packet.kind >= HANDOVER_KIND_COUNT || packet.fd_count != m.fd_count ||
        memchr(packet.text, '\0', sizeof(packet.text)) == NULL) {
        handover_close_fds(&m);
        return -EPROTO;
    }
    m.kind = (enum handover_kind)packet.kind;
    m.group = packet.group;
    memcpy(m.text, packet.text, sizeof(m.text));
    *ret = m;
    return 0;
}

int handover_await(int socket, int64_t timeout_ms, struct handover_message *ret)
{
    struct pollfd p = {.fd = socket, .events = POLLIN};
    int n;

    while ((n = poll(&p, 1, (int)timeout_ms)) < 0 && errno == EINTR)
        ;
    if (n == 0)
        return -ETIMEDOUT;
    return n < 0 ? -errno : handover_receive(socket, ret);
}

int handover_write_file(const char *name, struct str bytes)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = write(fd, bytes.ptr + done, bytes.len - done);
        if (n <= 0) {
            int code = n == 0 ? -EIO : -errno;
            close(fd);
            return code;
        }
        done += (size_t)n;
    }
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    return fd;
}

char *handover_read_file(int fd, size_t max, size_t *ret_len)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || st.st_size < 0 || (size_t)st.st_size > max)
        return NULL;
    size_t len = (size_t)st.st_size, done = 0;
    char *bytes = xmalloc(len + 1);
    while (done < len) {
        ssize_t n = pread(fd, bytes + done, len - done, (off_t)done);
        if (n <= 0) {
            free(bytes);
            return NULL;
        }
        done += (size_t)n;
    }
    bytes[len] = '\0';
    *ret_len = len;
    return bytes;
}
