/* The exposition format (prometheus.io/docs/instrumenting/exposition_formats): in label values
 * backslash, quote and line feed are escaped, in help texts backslash and line feed.
 *
 * A page has a hundred lines per rollout and is made on the control thread, so a line is put
 * together from its parts: a format string costs five times as much. */
#include "admin/prometheus.h"

#include <math.h>
#include <string.h>

static void add_escaped(struct strbuf *b, const char *text, bool quotes)
{
    const char *special = quotes ? "\n\\\"" : "\n\\";

    for (const char *p = text == NULL ? "" : text;; p++) {
        size_t plain = strcspn(p, special);
        strbuf_add(b, (struct str){p, plain});
        p += plain;
        if (*p == '\0')
            return;
        const char escaped[] = {'\\', *p == '\n' ? 'n' : *p};
        strbuf_add(b, (struct str){escaped, sizeof(escaped)});
    }
}

/* With the line's end. */
static void add_u64(struct strbuf *b, uint64_t value)
{
    char digits[24];
    size_t at = sizeof(digits);

    digits[--at] = '\n';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    strbuf_add(b, (struct str){digits + at, sizeof(digits) - at});
}

void prometheus_family(struct prometheus *p, const char *name, const char *type, const char *help)
{
    p->family = name;
    strbuf_addf(p->out, "# HELP %s ", name);
    add_escaped(p->out, help, false);
    strbuf_addf(p->out, "\n# TYPE %s %s\n", name, type);
}

static void add_name(struct prometheus *p, const char *suffix,
                     const struct prometheus_label *labels, size_t label_count)
{
    strbuf_add(p->out, str_from(p->family));
    strbuf_add(p->out, str_from(suffix));
    for (size_t i = 0; i < label_count; i++) {
        strbuf_add(p->out, i == 0 ? STR("{") : STR(","));
        strbuf_add(p->out, str_from(labels[i].name));
        strbuf_add(p->out, STR("=\""));
        add_escaped(p->out, labels[i].value, true);
        strbuf_add(p->out, STR("\""));
    }
    strbuf_add(p->out, label_count > 0 ? STR("} ") : STR(" "));
}

void prometheus_u64(struct prometheus *p, const char *suffix, const struct prometheus_label *labels,
                    size_t label_count, uint64_t value)
{
    add_name(p, suffix, labels, label_count);
    add_u64(p->out, value);
}

void prometheus_f64(struct prometheus *p, const char *suffix, const struct prometheus_label *labels,
                    size_t label_count, double value)
{
    add_name(p, suffix, labels, label_count);
    if (isnan(value))
        strbuf_add(p->out, STR("NaN\n"));
    else if (isinf(value))
        strbuf_add(p->out, value > 0 ? STR("+Inf\n") : STR("-Inf\n"));
    else
        strbuf_addf(p->out, "%.12g\n", value);
}
