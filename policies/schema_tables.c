/* The tables of the reference pages: one section for each top-level mapping, with everything
 * beneath it in one table. */
#include "base/check.h"
#include "policies/schema_docs.h"

static bool is_beneath(const struct schema_row *row, struct str path)
{
    struct str own = str_from(row->path);

    return path.len == 0 ||
           (own.len > path.len && str_starts_with(own, path) && own.ptr[path.len] == '.');
}

/* "criteria[].metric" for the row analysis.criteria.metric in the section of analysis. */
static void print_key(const struct schema *s, const struct schema_row *row, struct str section,
                      struct strbuf *out)
{
    size_t from = section.len == 0 ? 0 : section.len + 1;
    struct str rest = {row->path + from, strlen(row->path) - from}, part;

    while (str_split(&rest, '.', &part)) {
        strbuf_add(out, part);
        if (rest.ptr == NULL)
            break;
        struct str parent = {row->path, (size_t)(part.ptr - row->path)};
        parent.len -= parent.len > 0; /* the dot */
        const struct schema_row *above = schema_find(s, parent, part);
        CHECK(above != NULL);
        strbuf_add(out, above->many != SCHEMA_ONE ? STR("[].") : STR("."));
    }
}

static void print_words(const char *choices, struct strbuf *out)
{
    struct str rest = str_from(choices), word;

    for (bool first = true; str_split(&rest, '|', &word); first = false)
        strbuf_addf(out, "%s`" STR_FMT "`", first ? "" : ", ", STR_ARG(word));
}

static void print_range(const struct schema_row *row, struct strbuf *out)
{
    if (row->min == NULL)
        return;
    if (row->above_min || row->below_max)
        strbuf_addf(out, ", %s %s and %s %s", row->above_min ? "above" : "at least", row->min,
                    row->below_max ? "below" : "at most", row->max);
    else
        strbuf_addf(out, ", %s to %s", row->min, row->max);
}

static void print_type(const struct schema_row *row, struct strbuf *out)
{
    static const char *const names[SCHEMA_TYPE_COUNT] = {
        [SCHEMA_MAP] = "mapping",    [SCHEMA_TEXT_MAP] = "mapping of text",
        [SCHEMA_TEXT] = "text",      [SCHEMA_CHOICE] = "",
        [SCHEMA_COUNT] = "number",   [SCHEMA_DURATION] = "duration",
        [SCHEMA_SIZE] = "size",      [SCHEMA_SHARE] = "share",
        [SCHEMA_WEIGHT] = "percent", [SCHEMA_BOOL] = "`true`, `false`",
        [SCHEMA_RATIO] = "ratio",    [SCHEMA_LIMIT] = "share, duration or number",
    };

    if (row->many == SCHEMA_MANY)
        strbuf_add(out, STR("list: "));
    else if (row->many == SCHEMA_ONE_OR_MANY)
        strbuf_add(out, STR("one or a list: "));
    if (row->shorthand != NULL)
        strbuf_add(out, STR("text or "));
    if (row->word != NULL)
        strbuf_addf(out, "`%s` or ", row->word);
    if (row->type == SCHEMA_CHOICE)
        print_words(row->choices, out);
    strbuf_add(out, str_from(names[row->type]));
    print_range(row, out);
}

static void print_row(const struct schema *s, const struct schema_row *row, struct str section,
                      struct strbuf *out)
{
    strbuf_add(out, STR("| `"));
    print_key(s, row, section, out);
    strbuf_add(out, STR("` | "));
    print_type(row, out);
    strbuf_add(out, STR(" | "));
    if (row->default_text != NULL)
        strbuf_addf(out, "`%s`", row->default_text);
    else
        strbuf_add(out, row->required ? STR("*required*") : STR(""));
    if (row->default_other != NULL)
        strbuf_addf(out, "; %s `%s`", row->default_case, row->default_other);
    strbuf_addf(out, " | %s |\n", row->doc);
}

static void print_section(const struct schema *s, const struct schema_row *top, struct strbuf *out)
{
    struct str section = str_from(top->path);

    strbuf_addf(out, "\n### %s\n\n%s\n\n", top->path, top->doc);
    strbuf_add(out, STR("| key | type | default | what it does |\n|---|---|---|---|\n"));
    for (size_t i = 0; i < s->count; i++)
        if (is_beneath(&s->rows[i], section) && !s->rows[i].later)
            print_row(s, &s->rows[i], section, out);
}

static void print_later(const struct schema *s, struct strbuf *out)
{
    strbuf_add(out,
               STR("\n## Not supported yet\n\nThese keys are known, and refused when written.\n\n"
                   "| key | what it will do |\n|---|---|\n"));
    for (size_t i = 0; i < s->count; i++) {
        const struct schema_row *row = &s->rows[i];
        if (!row->later && row->later_choices == NULL)
            continue;
        strbuf_add(out, STR("| `"));
        print_key(s, row, (struct str){"", 0}, out);
        strbuf_add(out, STR("` | "));
        if (row->later) {
            strbuf_add(out, str_from(row->doc));
        } else {
            strbuf_add(out, STR("the values "));
            print_words(row->later_choices, out);
        }
        strbuf_add(out, STR(" |\n"));
    }
}

void schema_print_tables(const struct schema *s, struct strbuf *out)
{
    const struct str top = {"", 0};

    strbuf_add(out, STR("\n## Keys\n\n### top level\n\n"
                        "| key | type | default | what it does |\n|---|---|---|---|\n"));
    for (size_t i = 0; i < s->count; i++)
        if (schema_parent(&s->rows[i]).len == 0 && !s->rows[i].later)
            print_row(s, &s->rows[i], top, out);
    for (size_t i = 0; i < s->count; i++)
        if (schema_parent(&s->rows[i]).len == 0 && !s->rows[i].later &&
            s->rows[i].type == SCHEMA_MAP)
            print_section(s, &s->rows[i], out);
    print_later(s, out);
}
