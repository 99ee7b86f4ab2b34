/* policies/config.h — the platform engineer's file: proxy, controller, where policies are. */
#ifndef POLICIES_CONFIG_H
#define POLICIES_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { LISTEN_MAX = 16, WORKERS_MAX = 64 };

struct config_address {
    const char *text; /* "127.0.0.1:8080", "[::1]:8080", "0.0.0.0:0" */
    const char *host; /* numeric address, no brackets */
    uint16_t port;    /* 0: any free port; the log says which */
    struct source_pos at;
};

enum access_log_errors { ACCESS_LOG_ERRORS_ALL, ACCESS_LOG_ERRORS_SAMPLED };

struct config {
    const struct config_address *listen; /* default 127.0.0.1:8080 */
    size_t listen_count;
    uint32_t workers; /* 0 = auto: one per usable core */
    struct {
        uint32_t connections;      /* process-wide, default 20000 */
        uint64_t head_bytes;       /* default 64 KiB */
        uint64_t body_bytes;       /* default 64 MiB; 413 beyond */
        int64_t header_timeout_ns; /* default 10 s */
        int64_t idle_timeout_ns;   /* keep-alive, default 75 s */
    } limits;
    struct {
        const char *to; /* "stdout", "stderr", "off" or a path; default "off" */
        double sample;  /* share of successful requests; default 1 % */
        enum access_log_errors errors;
    } access_log;
    struct config_address admin; /* default 127.0.0.1:9900 */
    const char *policies;        /* a folder or a file, or NULL; relative to the config's folder */
    struct source_pos policies_at;
    const char *file; /* NULL: defaults */
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
