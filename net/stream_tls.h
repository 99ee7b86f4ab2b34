/* net/stream_tls.h — one stream's TLS, between net/stream_tls.c (what the owner sees) and
 * net/stream_tls_io.c (what OpenSSL sees).
 */
#ifndef NET_STREAM_TLS_H
#define NET_STREAM_TLS_H

#include <openssl/ssl.h>

#include "net/held.h"
#include "net/stream_internal.h"
#include "net/tls.h"

enum { STREAM_TLS_MARGIN = 18 * 1024 }; /* over an encrypted record with its header */

struct stream_tls {
    SSL *ssl;
    struct stream *stream;
    struct tls_server *server; /* one of the two; a reference */
    struct tls_client *client;
    struct str in;     /* ciphertext OpenSSL did not take yet; within a callback, or `kept` */
    struct held kept;  /* ciphertext that came when the owner did not read */
    struct held early; /* written before the handshake was done, not encrypted */
    struct loop_task resume;
    char *error;       /* NULL: none */
    uint64_t content;  /* bytes of it, both ways */
    uint32_t messages; /* after the handshake */
    bool sent;         /* a flush since this was cleared did not fail */
    int write_status;  /* of the last flush, when it failed */
    int end_status;    /* what on_end will say, when `end_held` */
    bool end_held;     /* it came with bytes at which the owner stopped reading */
    bool ending;       /* it came with the bytes that the owner has just now */
    bool opened;       /* TCP stands */
    bool greeted;      /* a byte came */
    bool greeted_all;  /* no ClientHello comes any more */
    /* stream_tls_greet's: a ClientHello's header, what is to come of it, the record it lies in. */
    uint8_t hello[4], hello_got, record_got, record_type;
    uint16_t record_len, record_left;
    uint32_t hello_left;
    bool done;   /* the handshake is */
    bool failed; /* nothing is encrypted or decrypted any more */
};

/* Takes `ssl` over, whose bytes are this stream's from now on. 0 or UV_E*; then it was freed. */
int stream_tls_attach(struct stream_tls *, SSL *ssl);
/* Sends what was encrypted. Nothing follows our own FIN. */
void stream_tls_flush(struct stream_tls *);
/* Content from the ciphertext at hand to the front of the loop's buffer. *ret_status: 1 when there
 * is more to come, else what on_end has to say. */
size_t stream_tls_decrypt(struct stream_tls *, int *ret_status);
/* In as few records as can be, not flushed. 0 or UV_EPROTO. */
int stream_tls_encrypt(struct stream_tls *, const uv_buf_t *bufs, unsigned count);
/* The last operation failed: nothing more can be said on this connection but the alert that OpenSSL
 * may have written. */
void stream_tls_fail(struct stream_tls *);
/* The first is the cause, others are dropped. */
void stream_tls_set_error(struct stream_tls *, const char *text);
/* Looks at the ClientHellos of a client's handshake before OpenSSL does. False: what it announces
 * is more than we make room for. */
bool stream_tls_greet(struct stream_tls *, struct str bytes);

#endif
