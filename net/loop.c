/* The loop every connection of one thread lives on. */
#include "net/loop.h"

#include <stdlib.h>

#include "base/check.h"

int loop_init(struct loop *l, const struct clock *clock)
{
    int status = uv_loop_init(&l->uv);

    if (status < 0)
        return status;
    l->uv.data = l;
    l->clock = clock;
    l->scratch = NULL;
    list_init(&l->tasks);
    CHECK(uv_idle_init(&l->uv, &l->tasks_due) == 0);
    uv_unref((uv_handle_t *)&l->tasks_due);
    loop_turn(l);
    return 0;
}

void loop_deinit(struct loop *l)
{
    CHECK(list_empty(&l->tasks));
    uv_close((uv_handle_t *)&l->tasks_due, NULL);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    CHECK(uv_loop_close(&l->uv) == 0);
    free(l->scratch);
}

static void on_tasks_due(uv_idle_t *idle)
{
    struct loop *l = loop_of(idle->loop);
    struct list due;

    /* Those that are here now: what they ask for comes in the turn after. */
    list_init(&due);
    while (!list_empty(&l->tasks)) {
        struct list *first = l->tasks.next;
        list_remove(first);
        list_push(&due, first);
    }
    while (!list_empty(&due)) {
        struct loop_task *task = CONTAINER_OF(due.next, struct loop_task, link);
        list_remove(&task->link);
        loop_turn(l);
        task->run(task);
    }
    if (list_empty(&l->tasks))
        uv_idle_stop(idle);
}

void loop_later(struct loop *l, struct loop_task *task)
{
    if (!list_empty(&task->link))
        return;
    list_push(&l->tasks, &task->link);
    uv_idle_start(&l->tasks_due, on_tasks_due);
}

void loop_never(struct loop_task *task)
{
    list_remove(&task->link);
}
