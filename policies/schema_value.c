/* One value against its row. A message names the key, what it must be and what was written; the
 * hint is how to write it. */
#include <stdio.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "policies/schema_read.h"
#include "policies/yaml_text.h"

enum { TEXT_BYTES_MAX = 4096, HINT_MAX = 256, WORDS_IN_MESSAGE_MAX = 120 };

const char *schema_type_words(const struct schema_row *row)
{
    static const char *const names[SCHEMA_TYPE_COUNT] = {
        [SCHEMA_MAP] = "a mapping",
        [SCHEMA_TEXT_MAP] = "a mapping of texts",
        [SCHEMA_TEXT] = "text",
        [SCHEMA_CHOICE] = "a word",
        [SCHEMA_COUNT] = "a whole number",
        [SCHEMA_DURATION] = "a duration",
        [SCHEMA_SIZE] = "a size",
        [SCHEMA_SHARE] = "a share of at most 100%",
        [SCHEMA_WEIGHT] = "a percentage of at most 100%",
        [SCHEMA_BOOL] = "true or false",
        [SCHEMA_RATIO] = "a ratio",
        [SCHEMA_LIMIT] = "a share, a duration or a number",
    };
    return names[row->type];
}

static const char *how_to_write(const struct schema_row *row)
{
    static const char *const hints[SCHEMA_TYPE_COUNT] = {
        [SCHEMA_DURATION] = "write a number with its unit: 250ms, 10s, 5m, 1h",
        [SCHEMA_SIZE] = "write a number with its unit: 64KiB, 10MiB",
        [SCHEMA_SHARE] = "write 1% or 0.01",
        [SCHEMA_WEIGHT] = "write percent, in steps of 0.01%: 10, 25%, 0.1%",
        [SCHEMA_COUNT] = "write digits only",
    };
    bool own = row->type == SCHEMA_SHARE || row->type == SCHEMA_RATIO;

    return own && row->example != NULL ? row->example : hints[row->type];
}

/* "auto, manual or x" */
static void list_choices(const char *choices, struct strbuf *out)
{
    struct str rest = str_from(choices), word;

    for (bool first = true; str_split(&rest, '|', &word); first = false) {
        if (!first)
            strbuf_add(out, rest.ptr == NULL ? STR(" or ") : STR(", "));
        strbuf_add(out, word);
    }
}

/* What stands for the word in "wrong=right|wrong=right", or a status code's class; or nothing. */
static struct str meant_choice(const struct schema_row *row, struct str word)
{
    struct str rest = str_from(row->choice_misnomers), pair, wrong;
    char class[] = "0xx";

    while (str_split(&rest, '|', &pair))
        if (str_split(&pair, '=', &wrong) && str_ieq(wrong, word))
            return pair;
    if (word.len == 3) {
        class[0] = word.ptr[0];
        rest = str_from(row->choices);
        while (str_split(&rest, '|', &pair))
            if (str_eq(pair, str_from(class)))
                return pair;
    }
    return (struct str){"", 0};
}

static void report_choice(const struct schema_row *row, const struct yaml_node *node,
                          struct diagnostics *reterr)
{
    char shown[YAML_SHOWN_MAX];
    struct strbuf words;

    strbuf_init(&words, HINT_MAX);
    list_choices(row->choices, &words);
    struct str later = str_from(row->later_choices), word;
    while (str_split(&later, '|', &word)) {
        if (!str_eq(word, node->text))
            continue;
        char hint[2 * HINT_MAX];
        snprintf(hint, sizeof(hint), "\"" STR_FMT "\" can be %s", STR_ARG(schema_leaf(row)),
                 strbuf_cstr(&words));
        diagnostics_addf(reterr, node->at, hint, "\"" STR_FMT "\" is not supported yet",
                         STR_ARG(word));
        strbuf_deinit(&words);
        return;
    }
    struct str near = meant_choice(row, node->text);
    if (near.len == 0)
        near = schema_nearest(node->text, row->choices);
    struct str near_later = schema_nearest(node->text, row->later_choices);
    if (near.len == 0 || (near_later.len > 0 &&
                          str_distance(node->text, near_later) < str_distance(node->text, near)))
        near = near_later;
    char hint[HINT_MAX] = "";
    if (near.len > 0)
        snprintf(hint, sizeof(hint), "did you mean \"" STR_FMT "\"?", STR_ARG(near));
    yaml_shown(node->text, shown);
    if (words.len <= WORDS_IN_MESSAGE_MAX) {
        diagnostics_addf(reterr, node->at, hint, "\"" STR_FMT "\" must be %s, not \"%s\"",
                         STR_ARG(schema_leaf(row)), strbuf_cstr(&words), shown);
    } else {
        if (near.len == 0)
            snprintf(hint, sizeof(hint), "write %s", strbuf_cstr(&words));
        diagnostics_addf(reterr, node->at, hint, "there is no " STR_FMT " \"%s\"",
                         STR_ARG(schema_leaf(row)), shown);
    }
    strbuf_deinit(&words);
}

static double magnitude(const struct schema_row *row, const struct schema_value *v)
{
    switch (row->type) {
    case SCHEMA_DURATION:
        return (double)v->ns;
    case SCHEMA_SHARE:
    case SCHEMA_RATIO:
        return v->share;
    case SCHEMA_COUNT:
    case SCHEMA_SIZE:
    case SCHEMA_WEIGHT:
        return (double)v->n;
    case SCHEMA_MAP:
    case SCHEMA_TEXT_MAP:
    case SCHEMA_TEXT:
    case SCHEMA_CHOICE:
    case SCHEMA_BOOL:
    case SCHEMA_LIMIT:
    case SCHEMA_TYPE_COUNT:
        break;
    }
    return 0;
}

static double bound(const struct schema_row *row, const char *text)
{
    struct schema_value v;

    CHECK(schema_read(row, str_from(text), &v));
    return magnitude(row, &v);
}

static bool check_range(const struct schema_row *row, const struct yaml_node *node,
                        const struct schema_value *v, struct diagnostics *reterr)
{
    double x = magnitude(row, v);
    char shown[YAML_SHOWN_MAX];

    if (row->word != NULL && str_eq(node->text, str_from(row->word)))
        return true;
    if (row->min != NULL) {
        double min = bound(row, row->min);
        if (x < min || (row->above_min && x <= min)) {
            diagnostics_addf(reterr, node->at, row->example,
                             "\"" STR_FMT "\" must be %s %s, not %s", STR_ARG(schema_leaf(row)),
                             row->above_min ? "above" : "at least", row->min,
                             yaml_shown(node->text, shown));
            return false;
        }
    }
    if (row->max != NULL) {
        double max = bound(row, row->max);
        if (x > max || (row->below_max && x >= max)) {
            diagnostics_addf(reterr, node->at, row->example,
                             "\"" STR_FMT "\" must be %s %s, not %s", STR_ARG(schema_leaf(row)),
                             row->below_max ? "below" : "at most", row->max,
                             yaml_shown(node->text, shown));
            return false;
        }
    }
    return true;
}

bool schema_check_line(struct str name, const struct yaml_node *node, struct diagnostics *reterr)
{
    if (node->text.len > TEXT_BYTES_MAX) {
        diagnostics_addf(reterr, node->at, NULL, "\"" STR_FMT "\" is longer than 4096 bytes",
                         STR_ARG(name));
        return false;
    }
    for (size_t i = 0, taken; i < node->text.len; i += taken) {
        struct str rest = {node->text.ptr + i, node->text.len - i};
        struct str c = str_utf8_visible(rest, &taken);
        unsigned char byte = (unsigned char)rest.ptr[0];
        if (c.ptr == rest.ptr)
            continue;
        if (byte < 0x20 || byte == 0x7f)
            diagnostics_addf(reterr, node->at, "write it on one line, without escapes",
                             "\"" STR_FMT "\" contains a control character", STR_ARG(name));
        else
            diagnostics_addf(reterr, node->at, "remove it: two values could look the same",
                             "\"" STR_FMT "\" contains an invisible character", STR_ARG(name));
        return false;
    }
    return true;
}

static bool check_text(const struct schema_row *row, const struct yaml_node *node,
                       struct diagnostics *reterr)
{
    struct str leaf = schema_leaf(row);

    if (node->text.len > 0)
        return schema_check_line(leaf, node, reterr);
    diagnostics_addf(reterr, node->at, row->example, "\"" STR_FMT "\" is empty", STR_ARG(leaf));
    return false;
}

/* Shares and weights that are numbers, but not usable ones. True when an error was added. */
static bool report_number(const struct schema_row *row, const struct yaml_node *node,
                          struct diagnostics *reterr)
{
    struct str number = node->text, name = schema_leaf(row);
    char shown[YAML_SHOWN_MAX], hint[HINT_MAX];
    double share;

    if (row->type != SCHEMA_SHARE && row->type != SCHEMA_WEIGHT)
        return false;
    bool percent = str_ends_with(number, STR("%"));
    number.len -= percent;
    for (size_t i = 0; i < number.len; i++)
        if ((number.ptr[i] < '0' || number.ptr[i] > '9') && number.ptr[i] != '.')
            return false;
    yaml_shown(node->text, shown);
    if (row->type == SCHEMA_WEIGHT && !percent && units_parse_share(number, &share)) {
        snprintf(hint, sizeof(hint), "write %s%% or %.8g%%", shown, share * 100);
        diagnostics_addf(reterr, node->at, hint, "the weight %s may mean a share or a percentage",
                         shown);
    } else if (row->type == SCHEMA_WEIGHT && units_parse_share(node->text, &share)) {
        diagnostics_addf(reterr, node->at, NULL, "the weight %s is finer than 0.01%%", shown);
    } else if (row->type == SCHEMA_SHARE && !percent && number.len > 0) {
        snprintf(hint, sizeof(hint), "a percentage is written %s%%", shown);
        diagnostics_addf(reterr, node->at, hint,
                         "\"" STR_FMT "\" must be a share of at most 1, not %s", STR_ARG(name),
                         shown);
    } else {
        return false;
    }
    return true;
}

bool schema_check_text(const struct schema_row *row, const struct yaml_node *node,
                       struct diagnostics *reterr)
{
    char shown[YAML_SHOWN_MAX];
    struct schema_value v;

    if (!check_text(row, node, reterr))
        return false;
    if (schema_read(row, node->text, &v))
        return check_range(row, node, &v, reterr);
    if (row->type == SCHEMA_CHOICE) {
        report_choice(row, node, reterr);
        return false;
    }
    if (report_number(row, node, reterr))
        return false;
    char what[HINT_MAX];
    snprintf(what, sizeof(what), "%s%s%s", schema_type_words(row), row->word != NULL ? " or " : "",
             row->word != NULL ? row->word : "");
    diagnostics_addf(reterr, node->at, how_to_write(row), "\"" STR_FMT "\" must be %s, not \"%s\"",
                     STR_ARG(schema_leaf(row)), what, yaml_shown(node->text, shown));
    return false;
}
