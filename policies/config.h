/* policies/config.h — the platform engineer's file: proxy, controller, where policies are. */
#ifndef POLICIES_CONFIG_H
#define POLICIES_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { LISTEN_MAX = 16, WORKERS_MAX = 64, CERTIFICATES_MAX = 64, NETWORKS_MAX = 64 };

struct config_certificate {
    const char *certificate, *key; /* PEM files, made usable from here */
    struct source_pos at;
};

enum client_auth { CLIENT_AUTH_NONE, CLIENT_AUTH_OPTIONAL, CLIENT_AUTH_REQUIRED };

struct config_tls {
    const struct config_certificate *certificates; /* the first is the default, others by SNI */
    size_t count;                                  /* 1..CERTIFICATES_MAX */
    const char *client_ca;                         /* NULL iff CLIENT_AUTH_NONE */
    enum client_auth client_auth;
    struct source_pos at;
};

struct config_address {
    const char *text;             /* "127.0.0.1:8080", "[::1]:8080", "0.0.0.0:0" */
    const char *host;             /* numeric address, no brackets */
    uint16_t port;                /* 0: any free port; the log says which */
    const struct config_tls *tls; /* proxy.listen only; NULL: plain */
    struct source_pos at;
};

/* Whose X-Forwarded-* is believed. */
struct config_network {
    uint8_t address[16]; /* IPv4 in the first four */
    bool ipv6;
    uint8_t bits; /* of the prefix */
};

/* What a client's FIN means once its request is whole. */
enum client_eof {
    CLIENT_EOF_AUTO,   /* with the request: a half-close, answered; later: it went away */
    CLIENT_EOF_ANSWER, /* always a half-close */
    CLIENT_EOF_CANCEL, /* always gone */
};

enum access_log_errors { ACCESS_LOG_ERRORS_ALL, ACCESS_LOG_ERRORS_SAMPLED };

struct named_file;

struct config {
    const struct config_address *listen; /* default 127.0.0.1:8080 */
    size_t listen_count;
    uint32_t workers; /* 0 = auto: one per usable core */
    struct {
        uint32_t connections;         /* process-wide, default 20000 */
        uint64_t head_bytes;          /* default 64 KiB */
        uint64_t body_bytes;          /* default 64 MiB; 413 beyond */
        int64_t header_timeout_ns;    /* default 10 s */
        int64_t idle_timeout_ns;      /* keep-alive, default 75 s */
        int64_t handshake_timeout_ns; /* TLS with a client, default 10 s */
        int64_t body_timeout_ns;     /* the longest silence inside a request's body, default 60 s */
        uint32_t headers;            /* header lines of one message, default and most 128 */
        uint32_t requests;           /* on one connection, then it is closed; 0 (default): any */
        uint64_t replay_bytes;       /* of one request, held for a second try; default 1 MiB */
        uint64_t replay_total_bytes; /* of all requests; default 64 MiB */
    } limits;
    enum client_eof client_eof;
    const struct config_network *trusted_proxies;
    size_t trusted_proxy_count;
    const char *health_path; /* answered by the listeners themselves; NULL: none */
    int64_t
        drain_delay_ns; /* health_path fails for so long before the listeners close; default 0 */
    int64_t drain_timeout_ns; /* how long SIGTERM waits for requests in flight, default 30 s */
    struct {
        const char *to; /* "stdout", "stderr", "off" or a path; default "off" */
        double sample;  /* share of successful requests; default 1 % */
        enum access_log_errors errors;
    } access_log;
    struct config_address admin; /* default 127.0.0.1:9900 */
    const char *policies;        /* a folder or a file, or NULL; relative to the config's folder */
    struct source_pos policies_at;
    const char *file;               /* NULL: defaults */
    const struct named_file *files; /* that it names; policies/named_file.h */
    struct arena *arena;
};

/* Same contract as policy_parse and policy_from_yaml. */
int config_parse(struct str path, struct str text, struct config **ret, struct diagnostics *reterr);
struct yaml_node;
int config_from_yaml(const char *path, struct yaml_node *root, struct config **ret,
                     struct diagnostics *reterr);
/* The configuration without a file. */
struct config *config_default(void);
void config_free(struct config *);

#endif
