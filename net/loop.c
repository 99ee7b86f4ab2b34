/* The loop every connection of one thread lives on. */
#include "net/loop.h"

#include "base/check.h"

int loop_init(struct loop *l, const struct clock *clock)
{
    int status = uv_loop_init(&l->uv);

    if (status < 0)
        return status;
    l->uv.data = l;
    l->clock = clock;
    loop_turn(l);
    return 0;
}

void loop_deinit(struct loop *l)
{
    CHECK(uv_loop_close(&l->uv) == 0);
}
