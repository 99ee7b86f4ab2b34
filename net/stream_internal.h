/* net/stream_internal.h — between net/stream.c (TCP) and net/stream_tls.c. */
#ifndef NET_STREAM_INTERNAL_H
#define NET_STREAM_INTERNAL_H

#include "net/stream.h"

/* --- stream.c --- */
/* As stream_write and stream_pending, for bytes as they go over the wire. */
ssize_t stream_write_raw(struct stream *, const uv_buf_t *bufs, unsigned count);
size_t stream_pending_raw(const struct stream *);
/* FIN, now or once what is pending is gone. */
void stream_shutdown_raw(struct stream *);
/* A FIN ends one direction, an error both: it is told even when the FIN was told before. */
void stream_end(struct stream *, int status);
/* The socket is read, or not; what comes goes to stream_tls_bytes and stream_tls_end. */
void stream_poll(struct stream *, bool read);

/* --- stream_tls.c --- */
/* Where it will connect to. */
void stream_tls_address(struct stream *, const struct sockaddr *);
/* TCP stands: begins the client's handshake. Tells on_connect, perhaps at once. */
void stream_tls_start(struct stream *);
/* What the socket gave, or its end: UV_EOF or another UV_E*. */
void stream_tls_bytes(struct stream *, struct str);
void stream_tls_end(struct stream *, int status);
/* The connection broke during the handshake. */
void stream_tls_broken(struct stream *, int status);
ssize_t stream_tls_write(struct stream *, const uv_buf_t *bufs, unsigned count);
/* Bytes that wait for the handshake. */
size_t stream_tls_early(const struct stream *);
void stream_tls_read(struct stream *);
void stream_tls_pause(struct stream *);
/* close_notify. False: later, when the handshake is done. */
bool stream_tls_shutdown(struct stream *);
/* Before the stream is closed: close_notify where nothing was lost. */
void stream_tls_goodbye(struct stream *);
void stream_tls_free(struct stream *);

#endif
