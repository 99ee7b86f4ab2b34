/* The option parser. Own code and not getopt_long, because the tables are also the help and the
 * source of "did you mean", and because an abbreviated option in a script breaks when a longer one
 * is added. */
#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct cli_option common_options[] = {
    {"help", 'h', NULL, "this text"},
};
static const struct cli_option json_options[] = {
    {"output", 'o', "json|text", "print JSON, or text for a person (the default)"},
};
static const struct cli_option client_options[] = {
    {"admin", 0, "URL",
     "the running sluice's admin API (or SLUICE_ADMIN; default http://127.0.0.1:9900)"},
    {"token", 0, "TOKEN", "sent as Authorization: Bearer (or SLUICE_TOKEN)"},
};

/* The n-th option the command takes: its own, then the shared ones. NULL: no more. */
static const struct cli_option *option_at(const struct cli_command *c, size_t n)
{
    const struct {
        const struct cli_option *items;
        size_t count;
    } tables[] = {
        {c->options, c->option_count},
        {json_options, c->json ? 1 : 0},
        {client_options, c->client ? 2 : 0},
        {common_options, 1},
    };

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (n < tables[i].count)
            return &tables[i].items[n];
        n -= tables[i].count;
    }
    return NULL;
}

const char *nearest_name(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    unsigned best_distance = 0;

    for (size_t i = 0; i < count; i++) {
        struct str name = str_from(names[i]), given = str_from(word);
        unsigned distance = str_distance(given, name);
        bool prefix = given.len >= 3 && str_starts_with(name, given);
        size_t longer = given.len > name.len ? given.len : name.len;
        /* Up to a third of the letters may differ. */
        if (!prefix && (distance > 3 || distance * 3 > longer))
            continue;
        if (best == NULL || distance < best_distance) {
            best = names[i];
            best_distance = distance;
        }
    }
    return best;
}

static int unknown_option(const struct cli_command *c, struct str word, struct error *reterr)
{
    const char *names[CLI_OPTIONS_MAX];
    char text[64];
    size_t count = 0;
    const struct cli_option *o;

    str_copy(text, sizeof(text), word);
    for (; count < CLI_OPTIONS_MAX && (o = option_at(c, count)) != NULL; count++)
        names[count] = o->name;
    error_set(reterr, -EINVAL, "unknown option --%s", text);
    const char *near = nearest_name(text, names, count);
    if (near != NULL)
        error_hint(reterr, "did you mean --%s?", near);
    return -EINVAL;
}

static const struct cli_option *find_long(const struct cli_command *c, struct str name)
{
    const struct cli_option *o;

    for (size_t i = 0; (o = option_at(c, i)) != NULL; i++)
        if (str_eq(name, str_from(o->name)))
            return o;
    return NULL;
}

static const struct cli_option *find_letter(const struct cli_command *c, char letter)
{
    const struct cli_option *o;

    for (size_t i = 0; (o = option_at(c, i)) != NULL; i++)
        if (o->letter != 0 && o->letter == letter)
            return o;
    return NULL;
}

static int record(struct cli_args *a, const struct cli_option *o, const char *value,
                  struct error *reterr)
{
    if (strcmp(o->name, "help") == 0)
        a->help = true;
    if (strcmp(o->name, "output") == 0 && strcmp(value, "json") != 0 && strcmp(value, "text") != 0)
        return error_set(reterr, -EINVAL, "--output takes json or text, not \"%s\"", value);
    for (size_t i = 0; i < a->given_count; i++)
        if (strcmp(a->given[i].name, o->name) == 0) {
            a->given[i].value = value;
            return 0;
        }
    a->given[a->given_count].name = o->name;
    a->given[a->given_count++].value = value;
    return 0;
}

/* Takes one option at argv[*i], which begins with '-'. */
static int take_option(const struct cli_command *c, int argc, char *const *argv, int *i,
                       struct cli_args *a, struct error *reterr)
{
    const char *word = argv[*i], *value = NULL;
    const struct cli_option *o;

    if (word[1] == '-') {
        struct str rest = str_from(word + 2), name;
        str_split(&rest, '=', &name);
        o = find_long(c, name);
        if (o == NULL)
            return unknown_option(c, name, reterr);
        value = rest.ptr;
    } else {
        o = find_letter(c, word[1]);
        if (o == NULL)
            return error_set(reterr, -EINVAL, "unknown option %s", word);
        if (word[2] != '\0')
            value = word + 2;
    }
    if (o->value == NULL) {
        if (value != NULL)
            return error_set(reterr, -EINVAL, "--%s takes no value", o->name);
        return record(a, o, "", reterr);
    }
    if (value == NULL && *i + 1 < argc)
        value = argv[++*i];
    if (value == NULL)
        return error_set(reterr, -EINVAL, "--%s needs a value: %s", o->name, o->value);
    return record(a, o, value, reterr);
}

static int check_count(const struct cli_args *a, struct error *reterr)
{
    const struct cli_command *c = a->command;

    if (a->arg_count >= c->args_min && a->arg_count <= c->args_max)
        return 0;
    if (a->arg_count > c->args_max)
        error_set(reterr, -EINVAL, "unexpected argument \"%s\"", a->args[c->args_max]);
    else
        error_set(reterr, -EINVAL, "%.*s is missing", (int)strcspn(c->usage, " "), c->usage);
    error_hint(reterr, "usage: sluice %s %s", c->name, c->usage);
    return -EINVAL;
}

int options_parse(const struct cli_command *c, int argc, char *const *argv, struct cli_args *ret,
                  struct error *reterr)
{
    struct cli_args a = {.command = c};
    bool literal = false;

    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (!literal && strcmp(word, "--") == 0) {
            literal = true;
        } else if (!literal && word[0] == '-' && word[1] != '\0') {
            int rc = take_option(c, argc, argv, &i, &a, reterr);
            if (rc != 0)
                return rc;
        } else if (a.arg_count == CLI_ARGS_MAX) {
            return error_set(reterr, -EINVAL, "more than %d arguments", CLI_ARGS_MAX);
        } else {
            a.args[a.arg_count++] = word;
        }
    }
    int rc = a.help ? 0 : check_count(&a, reterr);
    if (rc == 0)
        *ret = a;
    return rc;
}

const char *option_value(const struct cli_args *a, const char *name)
{
    for (size_t i = 0; i < a->given_count; i++)
        if (strcmp(a->given[i].name, name) == 0)
            return a->given[i].value;
    return NULL;
}

bool option_given(const struct cli_args *a, const char *name)
{
    return option_value(a, name) != NULL;
}

bool option_json(const struct cli_args *a)
{
    const char *output = option_value(a, "output");

    return output != NULL && strcmp(output, "json") == 0;
}

void options_help(const struct cli_command *c, struct strbuf *out)
{
    const struct cli_option *o;

    strbuf_addf(out, "sluice %s: %s\n\nusage: sluice %s%s%s\n", c->name, c->summary, c->name,
                c->usage[0] == '\0' ? "" : " ", c->usage);
    if (c->details != NULL)
        strbuf_addf(out, "\n%s\n", c->details);
    strbuf_add(out, STR("\noptions:\n"));
    for (size_t i = 0; (o = option_at(c, i)) != NULL; i++) {
        char left[64];
        if (o->letter != 0)
            snprintf(left, sizeof(left), "-%c, --%s%s%s", o->letter, o->name,
                     o->value == NULL ? "" : " ", o->value == NULL ? "" : o->value);
        else
            snprintf(left, sizeof(left), "    --%s%s%s", o->name, o->value == NULL ? "" : " ",
                     o->value == NULL ? "" : o->value);
        strbuf_addf(out, "  %-26s %s\n", left, o->help);
    }
    strbuf_addf(out, "\nexample:\n%s\n", c->example);
}
