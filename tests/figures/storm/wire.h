/* tests/figures/storm/wire.h — just enough HTTP/1.1 over a blocking socket, sharing nothing with
 * the proxy: what it says of a message is a second opinion.
 */
#ifndef STORM_WIRE_H
#define STORM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { WIRE_BUFFER = 16 * 1024, WIRE_NAME = 32 };

struct wire {
    int fd;
    size_t at, len;
    ssize_t end; /* what the last recv gave: 0 for a FIN, -1 for a reset or silence */
    char buffer[WIRE_BUFFER];
};

/* The fields that matter here; an absent number is -1, an absent text empty. */
struct wire_head {
    bool request, http10, chunked, close, expect, event_stream;
    char method[WIRE_NAME], version[WIRE_NAME], sluice_version[WIRE_NAME];
    int status;
    int64_t length, id;
};

enum wire_end {
    WIRE_WHOLE,
    WIRE_CUT,   /* it ended before its end: closed, reset, or silent for too long */
    WIRE_WRONG, /* not HTTP, or bytes that are not the expected ones */
};

void wire_init(struct wire *, int fd);
/* A connected socket with timeouts, or -1. */
int wire_connect(uint16_t port);
bool wire_send(int fd, const void *bytes, size_t len);
bool wire_send_text(int fd, const char *text);
/* Closes with a reset instead of a FIN. */
void wire_reset(int fd);
enum wire_end wire_read_head(struct wire *, struct wire_head *);
/* Reads a body as `h` frames it; every byte of it must be `letter` (0: any). */
enum wire_end wire_read_body(struct wire *, const struct wire_head *h, char letter,
                             uint64_t *ret_bytes);

#endif
