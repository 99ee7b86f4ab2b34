/* What another process wrote is read with suspicion once, when it is mapped: sizes, names with
 * their ends, seals. From then on only its words change.
 */
#include "proxy/weight_region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "policies/policy_set.h"

enum { NAME_BYTES = 64, SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

_Static_assert((int)ROLLOUT_NAME_MAX < (int)NAME_BYTES, "a name with its NUL");
_Static_assert(sizeof(struct weight) == 64, "the layout that the version stands for");

struct header {
    char magic[8];
    uint32_t version;
    uint32_t header_bytes, name_bytes, word_bytes;
    uint32_t count;
    char unused[64 - 28];
};
_Static_assert(sizeof(struct header) == 64, "the words keep their alignment");

struct weight_region {
    struct header *header;
    char (*names)[NAME_BYTES];
    struct weight *words;
    size_t bytes;
    int fd; /* -1: ordinary memory */
};

static const char magic[8] = "sluiceWT";

static size_t bytes_for(size_t count)
{
    return sizeof(struct header) + count * (NAME_BYTES + sizeof(struct weight));
}

static void lay_out(struct weight_region *r, void *memory, size_t count)
{
    r->header = memory;
    r->names = (void *)((char *)memory + sizeof(struct header));
    r->words = (void *)((char *)memory + sizeof(struct header) + count * NAME_BYTES);
    r->bytes = bytes_for(count);
}

/* The memory of a new region, zeroed: shared if it can be. */
static void *allocate(size_t bytes, int *ret_fd, struct error *reterr)
{
    int fd = memfd_create("sluice-weights", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    *ret_fd = -1;
    if (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0) {
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory != MAP_FAILED) {
            *ret_fd = fd;
            return memory;
        }
    }
    error_set(reterr, -errno, "no shared memory for the weights: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        abort();
    return memory;
}

struct weight_region *weight_region_new(const struct policy_set *set, struct error *reterr)
{
    struct weight_region *r = xcalloc(1, sizeof(*r));

    lay_out(r, allocate(bytes_for(set->count), &r->fd, reterr), set->count);
    for (size_t i = 0; i < set->count; i++)
        str_copy(r->names[i], NAME_BYTES, str_from(set->policies[i]->name));
    *r->header = (struct header){.version = WEIGHT_REGION_VERSION,
                                 .header_bytes = sizeof(struct header),
                                 .name_bytes = NAME_BYTES,
                                 .word_bytes = sizeof(struct weight),
                                 .count = (uint32_t)set->count};
    memcpy(r->header->magic, magic, sizeof(magic));
    return r;
}

static bool names_end(const struct weight_region *r)
{
    for (size_t i = 0; i < weight_region_count(r); i++)
        if (memchr(r->names[i], '\0', NAME_BYTES) == NULL)
            return false;
    return true;
}

static int not_ours(struct error *reterr, const char *what)
{
    return error_set(reterr, -EPROTO, "the weights of the process before cannot be read: %s", what);
}

int weight_region_map(int fd, struct weight_region **ret, struct error *reterr)
{
    struct weight_region r = {.fd = fd};
    struct stat st;

    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK))
        return not_ours(reterr, "their memory is not sealed");
    if (fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof(struct header) ||
        st.st_size > (off_t)bytes_for(ROLLOUTS_MAX))
        return not_ours(reterr, "their size is wrong");
    size_t bytes = (size_t)st.st_size;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return error_set(reterr, -errno, "cannot map the weights of the process before: %s",
                         strerror(errno));
    const struct header *h = memory;
    const char *why = NULL;
    if (memcmp(h->magic, magic, sizeof(magic)) != 0 || h->version != WEIGHT_REGION_VERSION)
        why = "they are of another version";
    else if (h->header_bytes != sizeof(*h) || h->name_bytes != NAME_BYTES ||
             h->word_bytes != sizeof(struct weight) || h->count > ROLLOUTS_MAX ||
             bytes != bytes_for(h->count))
        why = "their layout is another";
    if (why == NULL) {
        lay_out(&r, memory, h->count);
        why = names_end(&r) ? NULL : "a name in them has no end";
    }
    if (why != NULL) {
        munmap(memory, bytes);
        return not_ours(reterr, why);
    }
    *ret = xmalloc(sizeof(r));
    **ret = r;
    return 0;
}

void weight_region_free(struct weight_region *r)
{
    if (r == NULL)
        return;
    munmap(r->header, r->bytes);
    if (r->fd >= 0)
        close(r->fd);
    free(r);
}

int weight_region_fd(const struct weight_region *r)
{
    return r->fd;
}

size_t weight_region_count(const struct weight_region *r)
{
    return (r->bytes - sizeof(struct header)) / (NAME_BYTES + sizeof(struct weight));
}

struct weight *weight_region_words(const struct weight_region *r)
{
    return r->words;
}

struct weight *weight_region_find(const struct weight_region *r, const char *rollout)
{
    for (size_t i = 0; i < weight_region_count(r); i++)
        if (strcmp(r->names[i], rollout) == 0)
            return &r->words[i];
    return NULL;
}
