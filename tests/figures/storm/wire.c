/* Heads are read a line at a time into a small buffer; bodies are compared and dropped as they
 * come. */
#include "tests/figures/storm/wire.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024, LINES_MAX = 64, SILENCE_S = 30 };

void wire_init(struct wire *w, int fd)
{
    w->fd = fd;
    w->at = w->len = 0;
}

int wire_connect(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval silence = {.tv_sec = SILENCE_S};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof(silence));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool wire_send(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

bool wire_send_text(int fd, const char *text)
{
    return wire_send(fd, text, strlen(text));
}

void wire_reset(int fd)
{
    struct linger now = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

static bool more(struct wire *w)
{
    ssize_t n = recv(w->fd, w->buffer, sizeof(w->buffer), 0);

    w->at = 0;
    w->len = n > 0 ? (size_t)n : 0;
    w->end = n;
    return n > 0;
}

/* A line without its CRLF. */
static enum wire_end read_line(struct wire *w, char to[static LINE_MAX_BYTES])
{
    size_t len = 0;

    while (len < LINE_MAX_BYTES) {
        if (w->at == w->len && !more(w))
            return WIRE_CUT;
        char c = w->buffer[w->at++];
        if (c == '\n') {
            if (len == 0 || to[len - 1] != '\r')
                return WIRE_WRONG;
            to[len - 1] = '\0';
            return WIRE_WHOLE;
        }
        to[len++] = c;
    }
    return WIRE_WRONG;
}

static void copy(char to[static WIRE_NAME], const char *from)
{
    strncpy(to, from, WIRE_NAME - 1);
    to[WIRE_NAME - 1] = '\0';
}

static bool read_start(const char *line, struct wire_head *h)
{
    if (strncmp(line, "HTTP/1.", 7) == 0) {
        h->status = atoi(line + 9);
        h->http10 = line[7] == '0';
        return h->status >= 100 && h->status <= 599;
    }
    const char *space = strchr(line, ' '), *last = strrchr(line, ' ');
    if (space == NULL || space == last || space - line >= WIRE_NAME)
        return false;
    h->request = true;
    memcpy(h->method, line, (size_t)(space - line));
    return strcmp(last + 1, "HTTP/1.1") == 0;
}

static void read_field(const char *name, const char *value, struct wire_head *h)
{
    if (strcasecmp(name, "content-length") == 0)
        h->length = strtoll(value, NULL, 10);
    else if (strcasecmp(name, "transfer-encoding") == 0)
        h->chunked = strcasecmp(value, "chunked") == 0;
    else if (strcasecmp(name, "connection") == 0)
        h->close = h->close || strcasecmp(value, "close") == 0;
    else if (strcasecmp(name, "expect") == 0)
        h->expect = true;
    else if (strcasecmp(name, "x-id") == 0)
        h->id = strtoll(value, NULL, 10);
    else if (strcasecmp(name, "content-type") == 0)
        h->event_stream = strcasecmp(value, "text/event-stream") == 0;
    else if (strcasecmp(name, "x-model-version") == 0)
        copy(h->version, value);
    else if (strcasecmp(name, "x-sluice-version") == 0)
        copy(h->sluice_version, value);
}

enum wire_end wire_read_head(struct wire *w, struct wire_head *h)
{
    char line[LINE_MAX_BYTES];
    enum wire_end end = read_line(w, line);

    *h = (struct wire_head){.length = -1, .id = -1};
    if (end != WIRE_WHOLE)
        return end;
    if (!read_start(line, h))
        return WIRE_WRONG;
    for (int i = 0; i < LINES_MAX; i++) {
        if ((end = read_line(w, line)) != WIRE_WHOLE || line[0] == '\0')
            return end;
        char *colon = strchr(line, ':');
        if (colon == NULL || colon == line)
            return WIRE_WRONG;
        *colon = '\0';
        read_field(line, colon + 1 + strspn(colon + 1, " \t"), h);
    }
    return WIRE_WRONG;
}

/* `count` bytes of content. */
static enum wire_end take(struct wire *w, uint64_t count, char letter, uint64_t *ret_bytes)
{
    bool wrong = false;

    while (count > 0) {
        if (w->at == w->len && !more(w))
            return WIRE_CUT;
        size_t n = w->len - w->at < count ? w->len - w->at : (size_t)count;
        for (size_t i = 0; letter != 0 && i < n; i++)
            wrong = wrong || w->buffer[w->at + i] != letter;
        w->at += n;
        count -= n;
        *ret_bytes += n;
    }
    return wrong ? WIRE_WRONG : WIRE_WHOLE;
}

static enum wire_end take_chunks(struct wire *w, char letter, uint64_t *ret_bytes)
{
    char line[LINE_MAX_BYTES], *rest;
    enum wire_end end;

    for (;;) {
        if ((end = read_line(w, line)) != WIRE_WHOLE)
            return end;
        uint64_t size = strtoull(line, &rest, 16);
        if (rest == line || *rest != '\0')
            return WIRE_WRONG;
        if (size == 0)
            break;
        if ((end = take(w, size, letter, ret_bytes)) != WIRE_WHOLE)
            return end;
        if ((end = read_line(w, line)) != WIRE_WHOLE)
            return end;
        if (line[0] != '\0')
            return WIRE_WRONG;
    }
    do
        end = read_line(w, line);
    while (end == WIRE_WHOLE && line[0] != '\0'); /* trailers */
    return end;
}

enum wire_end wire_read_body(struct wire *w, const struct wire_head *h, char letter,
                             uint64_t *ret_bytes)
{
    *ret_bytes = 0;
    if (!h->request && (h->status < 200 || h->status == 204 || h->status == 304))
        return WIRE_WHOLE;
    if (h->chunked)
        return take_chunks(w, letter, ret_bytes);
    if (h->length >= 0)
        return take(w, (uint64_t)h->length, letter, ret_bytes);
    if (h->request)
        return WIRE_WHOLE;
    /* To the end: a FIN is a whole body here, a reset is not. */
    for (;;) {
        uint64_t seen = 0;
        if (w->at == w->len && !more(w))
            return w->end == 0 ? WIRE_WHOLE : WIRE_CUT;
        enum wire_end end = take(w, w->len - w->at, letter, &seen);
        *ret_bytes += seen;
        if (end != WIRE_WHOLE)
            return end;
    }
}
