/* net/stream.h — bytes over one TCP connection, plain or within TLS.
 *
 * Pushes what arrives, writes at once what the kernel takes and keeps the rest. Reading stays on
 * and is paused only for back-pressure: while it is paused nobody learns that the peer went away.
 *
 * One loop, one thread. The owner embeds the stream and may free it only in on_closed. No callback
 * runs after stream_close but on_closed. A callback may close the stream it was called for.
 *
 * Within TLS everything means the same, and: the stream is `connecting` until the handshake is
 * done; the peer's close_notify is its end; a FIN without one is on_end(UV_EPROTO), since what came
 * may have been cut by anybody.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "net/loop.h"

struct stream;
struct stream_tls;
struct tls_server;
struct tls_client;

struct stream_events {
    /* Only after stream_connect and stream_secure_server. UV_EPROTO: the handshake failed; what is
     * left to do is to close, or first to stream_shutdown and let the peer read why. UV_EOF: the
     * peer left without a byte of a handshake. */
    void (*on_connect)(struct stream *, int status);
    void (*on_bytes)(struct stream *, struct str); /* valid during the call */
    /* status 0: the peer's FIN, nothing more comes. UV_E*: broken both ways, also after a FIN. */
    void (*on_end)(struct stream *, int status);
    void (*on_drain)(struct stream *); /* nothing is pending any more */
    void (*on_closed)(struct stream *);
};

/* What the kernel holds unsent for a peer that does not read, beside what the peer's window took.
 */
enum { STREAM_UNSENT_BYTES = 128 * 1024 };

struct stream_out; /* bytes the kernel did not take yet */

struct stream {
    union {
        uv_poll_t poll;     /* once there is a socket */
        uv_idle_t unopened; /* of one that is closed before that */
    } handle;
    struct loop *loop;
    const struct stream_events *events;
    struct stream_out *out; /* NULL: nothing pending */
    struct stream_tls *tls; /* NULL: plain */
    int fd;                 /* -1: no socket yet, or no more */
    uint8_t polled;         /* UV_READABLE, UV_WRITABLE: what the loop watches for */
    bool opening;           /* connect(2) is under way */
    bool refused;           /* and it failed at once */
    bool connecting;        /* that, or the handshake */
    bool reading, closing;
    bool ended;  /* nothing more comes: its FIN, or broken */
    bool broken; /* nothing more goes either; told once */
    bool shut;   /* our FIN */
    bool torn;   /* a write was told of a reset, and so no read will be */
};

/* Sets the stream up on its loop; it must be closed. */
void stream_init(struct stream *, struct loop *, const struct stream_events *);
/* Takes over an accepted descriptor (net/acceptor.h). 0 or UV_E*. */
int stream_adopt(struct stream *, int fd);
/* Right after stream_adopt: waits for the client's handshake; on_connect tells. Takes a reference.
 * 0 or UV_E*. */
int stream_secure_server(struct stream *, struct tls_server *);
/* Before stream_connect. `server_name` (a name or an address) is asked for and checked. Takes a
 * reference. 0 or UV_E*. */
int stream_secure_client(struct stream *, struct tls_client *, const char *server_name);
/* Starts to connect; on_connect tells. Writes are kept until then. 0 or UV_E* (then no callback).
 */
int stream_connect(struct stream *, const struct sockaddr *);

void stream_read(struct stream *);  /* idempotent */
void stream_pause(struct stream *); /* idempotent */

/* Hands bytes to the kernel in one gathered call; copies what is left. Returns the number of bytes
 * pending afterwards (0: all gone; else on_drain comes), or a negative UV_E* when the connection
 * is broken. The caller bounds what is pending by pausing its source until on_drain. */
ssize_t stream_write(struct stream *, const uv_buf_t *bufs, unsigned count);
/* What the kernel has not taken yet: it shrinks as the peer reads, until on_drain. */
size_t stream_pending(const struct stream *);
/* FIN once everything pending is written. Reading goes on. */
void stream_shutdown(struct stream *);

/* Whether it is known that nothing more comes: also while on_bytes has the last bytes, before
 * on_end says so. */
bool stream_is_ending(const struct stream *);

/* Asynchronous, idempotent. What is pending is dropped. */
void stream_close(struct stream *);
/* Closes with RST where the kernel allows, so that the peer cannot take a cut answer for whole. */
void stream_reset(struct stream *);

static inline bool stream_is_secure(const struct stream *s)
{
    return s->tls != NULL;
}
/* What the client asked for by SNI, or "". Lives as long as the stream. */
const char *stream_server_name(const struct stream *);
/* The protocol that was agreed on: "http/1.1" or "". */
const char *stream_alpn(const struct stream *);
/* Why TLS failed, after UV_EPROTO: "certificate has expired". "" otherwise. */
const char *stream_tls_error(const struct stream *);
/* Of a server's stream: whether the certificate that was shown covers this host too. True for plain
 * ones. */
bool stream_covers(const struct stream *, struct str host);
/* True when an earlier session was taken up again. */
bool stream_tls_resumed(const struct stream *);

static inline struct loop *stream_loop(const struct stream *s)
{
    return s->loop;
}

#endif
