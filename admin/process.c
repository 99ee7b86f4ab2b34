/* Reads /proc/self. The start time is in clock ticks since boot, so it is added to the boot time of
 * /proc/stat, as other exporters do. */
#include "admin/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void read_memory(struct process_stats *s)
{
    FILE *f = fopen("/proc/self/statm", "re");
    uint64_t size, resident, page = (uint64_t)sysconf(_SC_PAGESIZE);

    if (f == NULL)
        return;
    if (fscanf(f, "%" SCNu64 " %" SCNu64, &size, &resident) == 2) {
        s->virtual_bytes = size * page;
        s->resident_bytes = resident * page;
    }
    fclose(f);
}

static void read_fds(struct process_stats *s)
{
    DIR *dir = opendir("/proc/self/fd");
    struct rlimit limit;

    if (dir != NULL) {
        while (readdir(dir) != NULL)
            s->open_fds++;
        closedir(dir);
        s->open_fds -= s->open_fds < 3 ? s->open_fds : 3; /* ".", ".." and the folder itself */
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        s->max_fds = limit.rlim_cur;
}

static uint64_t boot_time(void)
{
    FILE *f = fopen("/proc/stat", "re");
    char line[256];
    uint64_t at = 0;

    while (f != NULL && at == 0 && fgets(line, sizeof(line), f) != NULL)
        if (sscanf(line, "btime %" SCNu64, &at) != 1)
            at = 0;
    if (f != NULL)
        fclose(f);
    return at;
}

static void read_start(struct process_stats *s)
{
    FILE *f = fopen("/proc/self/stat", "re");
    char line[1024];
    unsigned long long ticks;

    if (f == NULL)
        return;
    /* The second field is the program's name in parentheses and may hold spaces. */
    if (fgets(line, sizeof(line), f) != NULL && strrchr(line, ')') != NULL &&
        sscanf(strrchr(line, ')'),
               ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
               "%llu",
               &ticks) == 1)
        s->start_time = (double)boot_time() + (double)ticks / (double)sysconf(_SC_CLK_TCK);
    fclose(f);
}

void process_read(struct process_stats *ret)
{
    struct rusage usage;

    *ret = (struct process_stats){0};
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        ret->cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    read_memory(ret);
    read_fds(ret);
    read_start(ret);
}
