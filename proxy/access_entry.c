/* Times are milliseconds with three digits: microseconds, without an exponent. */
#include "proxy/access_entry.h"

#include "base/clock.h"
#include "proxy/access_log.h"

/* `,"name":"text"`; nothing when there is none. */
static void add_str(struct strbuf *b, struct str name, struct str text)
{
    if (text.ptr == NULL)
        return;
    strbuf_add(b, STR(",\""));
    strbuf_add(b, name);
    strbuf_add(b, STR("\":"));
    strbuf_add_json(b, text);
}

static void add_text(struct strbuf *b, struct str name, const char *text)
{
    add_str(b, name, str_from(text));
}

static void add_number(struct strbuf *b, struct str name, uint64_t number)
{
    strbuf_add(b, STR(",\""));
    strbuf_add(b, name);
    strbuf_add(b, STR("\":"));
    strbuf_add_u64(b, number, 1);
}

static void add_ms(struct strbuf *b, struct str name, int64_t ns)
{
    if (ns < 0)
        return;
    uint64_t us = ((uint64_t)ns + NS_PER_US / 2) / NS_PER_US;
    add_number(b, name, us / 1000);
    strbuf_add_char(b, '.');
    strbuf_add_u64(b, us % 1000, 3);
}

static void add_counts(const struct access_entry *e, struct strbuf *b)
{
    add_number(b, STR("status"), (uint64_t)e->status);
    add_text(b, STR("outcome"), e->result);
    if (e->rollout != NULL)
        add_number(b, STR("attempts"), e->attempts);
    add_text(b, STR("error"), e->error);
    add_text(b, STR("first_variant"), e->first_variant);
    add_text(b, STR("first_outcome"), e->first_outcome);
    add_number(b, STR("bytes_in"), e->bytes_in);
    add_number(b, STR("bytes_out"), e->bytes_out);
    if (e->tokens > 0)
        add_number(b, STR("tokens"), e->tokens);
}

void access_entry_write(const struct access_entry *e, struct worker *w)
{
    struct strbuf *b = &w->log_line;
    char when[WALL_TEXT_MAX];

    strbuf_reset(b);
    strbuf_add(b, STR("{\"time\":\""));
    strbuf_add(b, str_from(wall_to_text(clock_wall(w->shared->clock), when)));
    strbuf_add_char(b, '"');
    add_str(b, STR("request_id"), e->request_id);
    add_text(b, STR("rollout"), e->rollout);
    add_text(b, STR("variant"), e->variant);
    add_text(b, STR("version"), e->version);
    add_text(b, STR("endpoint"), e->endpoint);
    add_str(b, STR("client"), e->client);
    add_str(b, STR("method"), e->method);
    add_str(b, STR("path"), e->path);
    add_counts(e, b);
    if (e->queue_ns > 0)
        add_ms(b, STR("queue_ms"), e->queue_ns);
    add_ms(b, STR("connect_ms"), e->connect_ns);
    add_ms(b, STR("first_byte_ms"), e->first_byte_ns);
    add_ms(b, STR("first_token_ms"), e->first_token_ns);
    add_ms(b, STR("total_ms"), e->total_ns);
    strbuf_add(b, STR("}\n"));
    if (!b->overflow && !access_log_add(w->shared->access_log, w->index, strbuf_str(b)))
        stat_add(&w->stats.log_dropped, 1);
}
