/* base/log.h — one line per event: a name, then key=value fields. The one global.
 *
 * log_info("rollout.advanced", F("rollout", LOG_STR(name)), F("weight_bp", LOG_U64(w))) prints
 *   2026-11-20T18:49:12.345Z info rollout.advanced rollout=chat weight_bp=2500
 * to standard error (or as JSON). A line is one write(2), so threads never mix. Control bytes of
 * values are escaped. Any thread. Not for the request path.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL_COUNT };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_value {
    enum log_kind { LOG_KIND_STR, LOG_KIND_I64, LOG_KIND_U64, LOG_KIND_F64, LOG_KIND_BOOL } kind;
    union {
        struct str str;
        int64_t i64;
        uint64_t u64;
        double f64;
        bool boolean;
    };
};

struct log_field {
    const char *key;
    struct log_value value;
};

#define LOG_STR(cstring) ((struct log_value){.kind = LOG_KIND_STR, .str = str_from(cstring)})
#define LOG_SLICE(s)     ((struct log_value){.kind = LOG_KIND_STR, .str = (s)})
#define LOG_I64(v)       ((struct log_value){.kind = LOG_KIND_I64, .i64 = (v)})
#define LOG_U64(v)       ((struct log_value){.kind = LOG_KIND_U64, .u64 = (v)})
#define LOG_F64(v)       ((struct log_value){.kind = LOG_KIND_F64, .f64 = (v)})
#define LOG_BOOL(v)      ((struct log_value){.kind = LOG_KIND_BOOL, .boolean = (v)})

/* Before threads start. Level also from SLUICE_LOG=debug|info|warn|error. */
void log_init(enum log_level, enum log_format, int fd);
bool log_enabled(enum log_level);

void log_write(enum log_level, const char *event, const struct log_field *fields, size_t count);

/* log_info("event", F("key", LOG_STR(v)), F("n", LOG_U64(1))) */
#define F(key_, value_) ((struct log_field){.key = (key_), .value = (value_)})
#define LOG_AT(level, event, ...)                                                                  \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field log_fields_[] = {{.key = NULL}, ##__VA_ARGS__};                 \
            log_write((level), (event), log_fields_ + 1,                                           \
                      sizeof(log_fields_) / sizeof(log_fields_[0]) - 1);                           \
        }                                                                                          \
    } while (0)
#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, ##__VA_ARGS__)
#define log_info(event, ...)  LOG_AT(LOG_INFO, event, ##__VA_ARGS__)
#define log_warn(event, ...)  LOG_AT(LOG_WARN, event, ##__VA_ARGS__)
#define log_error(event, ...) LOG_AT(LOG_ERROR, event, ##__VA_ARGS__)

#endif
