/* The exposition format (prometheus.io/docs/instrumenting/exposition_formats): in label values
 * backslash, quote and line feed are escaped, in help texts backslash and line feed. */
#include "admin/prometheus.h"

#include <inttypes.h>
#include <math.h>

static void add_escaped(struct strbuf *b, const char *text, bool quotes)
{
    for (const char *p = text == NULL ? "" : text; *p != '\0'; p++) {
        if (*p == '\n')
            strbuf_add(b, STR("\\n"));
        else if (*p == '\\' || (quotes && *p == '"'))
            strbuf_addf(b, "\\%c", *p);
        else
            strbuf_add_char(b, *p);
    }
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
    strbuf_addf(p->out, "%s%s", p->family, suffix);
    for (size_t i = 0; i < label_count; i++) {
        strbuf_addf(p->out, "%c%s=\"", i == 0 ? '{' : ',', labels[i].name);
        add_escaped(p->out, labels[i].value, true);
        strbuf_add_char(p->out, '"');
    }
    strbuf_add(p->out, label_count > 0 ? STR("} ") : STR(" "));
}

void prometheus_u64(struct prometheus *p, const char *suffix, const struct prometheus_label *labels,
                    size_t label_count, uint64_t value)
{
    add_name(p, suffix, labels, label_count);
    strbuf_addf(p->out, "%" PRIu64 "\n", value);
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
