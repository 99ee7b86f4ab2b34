/* Rings of snapshots (analysis/snapshot.h): the writer never waits; what is overwritten while it is
 * read is left out. */
#include "analysis/examples.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/snapshot.h"
#include "base/arena.h"
#include "base/clock.h"

enum { WORDS = (sizeof(struct recorder_example) + 7) / 8 };

union packed {
    struct recorder_example example;
    uint64_t words[WORDS];
};

struct examples {
    uint64_t rare, usual; /* so many were written */
    int64_t usual_ns;     /* the last */
    struct snapshot *kept[EXAMPLES_KEPT];
};

struct examples *examples_new(void)
{
    struct examples *e = xcalloc(1, sizeof *e);

    for (size_t i = 0; i < EXAMPLES_KEPT; i++)
        e->kept[i] = xcalloc(1, snapshot_size(WORDS));
    return e;
}

void examples_free(struct examples *e)
{
    if (e == NULL)
        return;
    for (size_t i = 0; i < EXAMPLES_KEPT; i++)
        free(e->kept[i]);
    free(e);
}

bool examples_wanted(const struct examples *e, bool rare, int64_t now_ns)
{
    return rare || e->usual == 0 || now_ns - e->usual_ns >= NS_PER_SEC;
}

void examples_add(struct examples *e, bool rare, const struct recorder_example *example)
{
    union packed p;
    size_t at;

    if (rare) {
        at = e->rare++ % EXAMPLES_RARE;
    } else {
        at = EXAMPLES_RARE + e->usual++ % EXAMPLES_USUAL;
        e->usual_ns = example->wall_ns;
    }
    memset(&p, 0, sizeof p);
    p.example = *example;
    snapshot_store(e->kept[at], p.words, WORDS);
}

size_t examples_read(const struct examples *e, struct recorder_example *ret)
{
    size_t count = 0;

    for (size_t i = 0; i < EXAMPLES_KEPT; i++) {
        union packed p;
        uint64_t sequence;
        if (snapshot_load(e->kept[i], p.words, WORDS, &sequence))
            ret[count++] = p.example;
    }
    return count;
}
