/* admin/process.h — what the process itself uses, read from /proc. */
#ifndef ADMIN_PROCESS_H
#define ADMIN_PROCESS_H

#include <stdint.h>

struct process_stats {
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fds, max_fds;
    double cpu_seconds;
    double start_time; /* seconds since 1970 */
};

/* Fields that cannot be read stay 0. A few system calls: once per scrape. */
void process_read(struct process_stats *ret);

#endif
