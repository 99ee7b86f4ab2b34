/* What another process wrote is read with suspicion once, when it is mapped: sizes, names with
 * their ends, seals. From then on only its words change.
 *
 * What surprises: a weight means nothing without its versions. After a promotion the next policy
 * calls the old canary stable, and a 0 for the new canary must not send anybody back to the version
 * before.
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

enum { NAME_BYTES = 64, VERSION_BYTES = 160, SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

_Static_assert((int)ROLLOUT_NAME_MAX < (int)NAME_BYTES, "a name with its NUL");
_Static_assert((int)VERSION_MAX < (int)VERSION_BYTES, "a label with its NUL");
_Static_assert(sizeof(struct weight) == 64, "the layout that the version stands for");

struct header {
    char magic[8];
    uint32_t version;
    uint32_t header_bytes, entry_bytes, word_bytes;
    uint32_t count;
    char unused[64 - 28];
};
_Static_assert(sizeof(struct header) == 64, "the words keep their alignment");

struct entry {
    char rollout[NAME_BYTES];
    char versions[VARIANT_COUNT][VERSION_BYTES]; /* "": none */
};
_Static_assert(sizeof(struct entry) == 384, "the layout that the version stands for");

struct weight_region {
    struct header *header;
    struct entry *entries;
    struct weight *words;
    size_t bytes;
    int fd; /* -1: ordinary memory */
};

static const char magic[8] = "sluiceWT";

static size_t bytes_for(size_t count)
{
    return sizeof(struct header) + count * (sizeof(struct entry) + sizeof(struct weight));
}

static void lay_out(struct weight_region *r, void *memory, size_t count)
{
    r->header = memory;
    r->entries = (void *)((char *)memory + sizeof(struct header));
    r->words = (void *)(r->entries + count);
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

static const char *version_of(const struct policy *p, int variant)
{
    const char *version = p->versions[variant].version;

    return version == NULL ? "" : version;
}

struct weight_region *weight_region_new(const struct policy_set *set, struct error *reterr)
{
    struct weight_region *r = xcalloc(1, sizeof(*r));

    lay_out(r, allocate(bytes_for(set->count), &r->fd, reterr), set->count);
    for (size_t i = 0; i < set->count; i++) {
        const struct policy *p = set->policies[i];
        str_copy(r->entries[i].rollout, NAME_BYTES, str_from(p->name));
        for (int v = 0; v < VARIANT_COUNT; v++)
            str_copy(r->entries[i].versions[v], VERSION_BYTES, str_from(version_of(p, v)));
    }
    *r->header = (struct header){.version = WEIGHT_REGION_VERSION,
                                 .header_bytes = sizeof(struct header),
                                 .entry_bytes = sizeof(struct entry),
                                 .word_bytes = sizeof(struct weight),
                                 .count = (uint32_t)set->count};
    memcpy(r->header->magic, magic, sizeof(magic));
    return r;
}

static bool names_end(const struct weight_region *r)
{
    for (size_t i = 0; i < weight_region_count(r); i++) {
        const struct entry *e = &r->entries[i];
        if (memchr(e->rollout, '\0', NAME_BYTES) == NULL)
            return false;
        for (int v = 0; v < VARIANT_COUNT; v++)
            if (memchr(e->versions[v], '\0', VERSION_BYTES) == NULL)
                return false;
    }
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
    else if (h->header_bytes != sizeof(*h) || h->entry_bytes != sizeof(struct entry) ||
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
    return (r->bytes - sizeof(struct header)) / (sizeof(struct entry) + sizeof(struct weight));
}

struct weight *weight_region_words(const struct weight_region *r)
{
    return r->words;
}

struct weight *weight_region_find(const struct weight_region *r, const char *rollout)
{
    for (size_t i = 0; i < weight_region_count(r); i++)
        if (strcmp(r->entries[i].rollout, rollout) == 0)
            return &r->words[i];
    return NULL;
}

void weight_region_follow(const struct weight_region *r, const struct policy *p, uint32_t weight_bp)
{
    struct weight *w = weight_region_find(r, p->name);

    if (w == NULL)
        return;
    const struct entry *e = &r->entries[w - r->words];
    const char *stable = e->versions[VARIANT_STABLE], *canary = e->versions[VARIANT_CANARY];
    if (strcmp(canary, version_of(p, VARIANT_CANARY)) == 0)
        weight_follow(w, weight_bp);
    else if (strcmp(canary, version_of(p, VARIANT_STABLE)) == 0)
        weight_follow(w, WEIGHT_FULL_BP);
    else if (strcmp(stable, version_of(p, VARIANT_STABLE)) == 0)
        weight_follow(w, 0);
    /* Else none of its versions is known any more: what it does is as good as any. */
}
