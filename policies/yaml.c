/* libyaml's events become nodes. The surprising thing: libyaml's own messages speak of tokens, so
 * the common mistakes are translated into what a person did wrong, and its positions are moved to
 * where the mistake is (an open quote is reported at the quote, not at the end of the file). */
#include "policies/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/check.h"
#include "policies/yaml_text.h"

struct frame {
    struct yaml_node *node;
    struct yaml_node **tail; /* where the next child goes */
    bool has_key;
    struct str key;
    struct source_pos key_at;
};

struct builder {
    const char *path;
    struct str text;
    struct arena *arena;
    struct diagnostics *errors;
    struct frame stack[YAML_DEPTH_MAX];
    size_t depth;
    size_t nodes;
    size_t expanded; /* bytes that variables added */
    struct yaml_node *root;
    struct yaml_node **documents_tail;
    struct yaml_node *last_value; /* a text, while nothing was read after it */
    struct source_pos last_end;
    uint32_t alias_line; /* of the last alias: one error for a line of them */
    bool done;
    bool failed; /* what follows cannot be read */
};

static struct source_pos pos(const struct builder *b, yaml_mark_t mark)
{
    return (struct source_pos){b->path, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

/* --- what libyaml refuses, in words --- */

struct mistake {
    const char *problem; /* a part of libyaml's text */
    const char *context; /* the same of its context; NULL: any */
    bool at_context;     /* the mistake is where the construct begins */
    const char *message; /* %u: the line where the construct begins */
    const char *hint;
};

static const struct mistake mistakes[] = {
    {"unexpected end of stream", "quoted scalar", true, "this quote is never closed", NULL},
    {"unexpected document indicator", "quoted scalar", true, "this quote is never closed", NULL},
    {"unknown escape character", NULL, false, "unknown escape in double quotes",
     "write it in single quotes, where a backslash is a backslash"},
    {"expected ',' or ']'", NULL, false,
     "expected \",\" or \"]\" in the list that begins in line %u",
     "close the list with \"]\", and quote items that contain \",\" or \": \""},
    {"expected ',' or '}'", NULL, false,
     "expected \",\" or \"}\" in the mapping that begins in line %u",
     "close the mapping with \"}\", and quote values that contain \",\" or \": \""},
    {"mapping values are not allowed", NULL, false, "a \": \" is not allowed here",
     "check the indentation, or quote a value that contains \": \""},
    {"expected key", NULL, false, "this line does not fit the mapping that begins in line %u",
     "keys of one mapping stand in the same column; check the indentation"},
    {"expected '-' indicator", NULL, false,
     "this line does not fit the list that begins in line %u",
     "items of one list begin with \"- \" in the same column; check the indentation"},
    {"could not find expected ':'", NULL, true, "expected \"key: value\"",
     "a \":\" and a space stand between a key and its value"},
    {"block sequence entries are not allowed", NULL, false, "a list cannot begin here",
     "begin it in the line below its key, or write [a, b]"},
    {"expected alphabetic or numeric", "alias", false,
     "a value that begins with \"*\" needs quotes", "write it in quotes, like \"*.example.com\""},
    {"expected alphabetic or numeric", "anchor", false,
     "a value that begins with \"&\" needs quotes", "write it in quotes"},
    {"tab character", NULL, false, "a tab cannot indent", "replace the tab by spaces"},
    {"undefined tag", NULL, false, "a value that begins with \"!\" needs quotes",
     "write it in quotes; tags are not used here"},
    {"expected node content", NULL, false, "expected a value here",
     "something is missing, or a comma is too much"},
    {"expected <document start>", NULL, false, "expected a new document here",
     "documents are separated by a line with ---; check the indentation"},
};

/* The character at a position of the text, or 0. */
static char char_at(struct str text, struct source_pos at)
{
    size_t i = yaml_text_offset(text, at);

    return i < text.len ? text.ptr[i] : '\0';
}

static void report_bad_start(struct builder *b, struct source_pos at)
{
    char c = char_at(b->text, at);

    if (c == '\t')
        diagnostics_addf(b->errors, at, "replace the tab by spaces", "a tab cannot indent");
    else if (c == '%')
        diagnostics_addf(b->errors, at, "write it in quotes",
                         "a line or value that begins with \"%%\" needs quotes");
    else
        diagnostics_addf(b->errors, at, "write it in quotes",
                         "a value that begins with \"%c\" needs quotes", c);
}

static void report_syntax(struct builder *b, const yaml_parser_t *p)
{
    struct source_pos at = pos(b, p->problem_mark), from = pos(b, p->context_mark);
    const char *problem = p->problem == NULL ? "unreadable" : p->problem;

    if (yaml_text_offset(b->text, at) == b->text.len)
        at = yaml_text_end(b->path, b->text); /* where something is missing, not an empty line */
    if (strstr(problem, "cannot start any token") != NULL) {
        report_bad_start(b, at);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        const struct mistake *m = &mistakes[i];
        if (strstr(problem, m->problem) == NULL ||
            (m->context != NULL && (p->context == NULL || strstr(p->context, m->context) == NULL)))
            continue;
        struct error e = {.code = -EINVAL, .at = m->at_context ? from : at};
        const char *number = strstr(m->message, "%u");
        if (number == NULL)
            error_at(&e, e.at, -EINVAL, "%s", m->message);
        else
            error_at(&e, e.at, -EINVAL, "%.*s%u%s", (int)(number - m->message), m->message,
                     from.line, number + 2);
        if (m->hint != NULL)
            error_hint(&e, "%s", m->hint);
        diagnostics_add(b->errors, &e);
        return;
    }
    diagnostics_addf(b->errors, at, NULL, "not valid YAML: %s", problem);
}

/* --- events to nodes --- */

static void refuse(struct builder *b, struct source_pos at, const char *hint, const char *message)
{
    diagnostics_addf(b->errors, at, hint, "%s", message);
    b->failed = true;
}

static void attach_member(struct builder *b, struct frame *f, struct yaml_node *node)
{
    node->key = f->key;
    node->key_at = f->key_at;
    f->has_key = false;
    struct yaml_node *earlier = yaml_get(f->node, node->key);
    if (earlier == NULL)
        return;
    char name[YAML_SHOWN_MAX];
    diagnostics_addf(b->errors, node->key_at, "keep one of the two",
                     "\"%s\" is written twice, first in line %u", yaml_shown(node->key, name),
                     earlier->key_at.line);
    node->bad = true;
}

/* Puts a node where the next one belongs. False when it only was a key, or a limit was hit. */
static bool attach(struct builder *b, struct yaml_node *node)
{
    if (++b->nodes > YAML_NODES_MAX) {
        refuse(b, node->at, "split the file", "the file has too many values (more than 20000)");
        return false;
    }
    if (b->depth == 0) {
        b->root = node;
        return true;
    }
    struct frame *f = &b->stack[b->depth - 1];
    if (f->node->kind == YAML_MAP && !f->has_key) {
        if (node->kind != YAML_TEXT) {
            refuse(b, node->at, "a value that begins with \"{\" or \"[\" may need quotes",
                   "a key must be plain text");
            return false;
        }
        f->has_key = true;
        f->key = node->text;
        f->key_at = node->at;
        return false;
    }
    if (f->node->kind == YAML_MAP && f->node->count == YAML_KEYS_MAX) {
        f->has_key = false;
        refuse(b, f->key_at, NULL, "the mapping has too many keys (more than 1024)");
        return false;
    }
    if (f->node->kind == YAML_MAP)
        attach_member(b, f, node);
    f->node->count++;
    *f->tail = node;
    f->tail = &node->next;
    return true;
}

static struct yaml_node *new_node(struct builder *b, enum yaml_kind kind, yaml_mark_t mark)
{
    struct yaml_node *node = arena_alloc(b->arena, sizeof(*node));

    node->kind = kind;
    node->at = pos(b, mark);
    return node;
}

static void refuse_tag(struct builder *b, struct yaml_node *node, const yaml_char_t *tag)
{
    if (tag == NULL)
        return;
    diagnostics_addf(b->errors, node->at, "remove it; quote the value if \"!\" is part of it",
                     "tags are not used here");
    node->bad = true;
}

static void on_text(struct builder *b, const yaml_event_t *e)
{
    struct yaml_node *node = new_node(b, YAML_TEXT, e->start_mark);
    struct str text = {(const char *)e->data.scalar.value, e->data.scalar.length};
    bool is_key = b->depth > 0 && b->stack[b->depth - 1].node->kind == YAML_MAP &&
                  !b->stack[b->depth - 1].has_key;

    node->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->text = (struct str){arena_strdup(b->arena, text), text.len};
    refuse_tag(b, node, e->data.scalar.tag);
    if (!is_key && !yaml_text_expand(node, b->text, &b->expanded, b->arena, b->errors))
        node->bad = true;
    attach(b, node);
    if (!is_key) {
        b->last_value = node;
        b->last_end = pos(b, e->end_mark);
    }
}

static void on_alias(struct builder *b, const yaml_event_t *e)
{
    struct yaml_node *node = new_node(b, YAML_TEXT, e->start_mark);

    if (b->alias_line != node->at.line)
        diagnostics_addf(
            b->errors, node->at, "write the value out; text that begins with \"*\" needs quotes",
            "aliases (\"*%.40s\") are not used here", (const char *)e->data.alias.anchor);
    b->alias_line = node->at.line;
    node->bad = true;
    attach(b, node);
}

static void on_open(struct builder *b, const yaml_event_t *e, enum yaml_kind kind)
{
    struct yaml_node *node = new_node(b, kind, e->start_mark);

    refuse_tag(b, node, kind == YAML_MAP ? e->data.mapping_start.tag : e->data.sequence_start.tag);
    if (b->depth == YAML_DEPTH_MAX) {
        refuse(b, node->at, NULL, "too deeply nested (more than 32 levels)");
        return;
    }
    if (!attach(b, node))
        return; /* refused */
    b->stack[b->depth++] = (struct frame){.node = node, .tail = &node->first};
}

static void on_document_end(struct builder *b)
{
    if (b->root != NULL && !(b->root->kind == YAML_TEXT && yaml_is_null(b->root))) {
        *b->documents_tail = b->root;
        b->documents_tail = &b->root->next;
    }
    b->root = NULL;
}

static void on_event(struct builder *b, const yaml_event_t *e)
{
    b->last_value = NULL;
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        on_text(b, e);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(b, e);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_open(b, e, YAML_LIST);
        break;
    case YAML_MAPPING_START_EVENT:
        on_open(b, e, YAML_MAP);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        CHECK(b->depth > 0);
        b->depth--;
        break;
    case YAML_DOCUMENT_END_EVENT:
        on_document_end(b);
        break;
    case YAML_STREAM_END_EVENT:
        b->done = true;
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_START_EVENT:
        break;
    }
}

/* Nothing can be read any more: what is open stays in the tree as it is. A key that has no value
 * yet gets one that nobody looks at, since the key itself may be wrong. */
static void cut(struct builder *b)
{
    if (b->depth > 0 && b->stack[b->depth - 1].has_key) {
        struct frame *f = &b->stack[b->depth - 1];
        struct yaml_node *node = arena_alloc(b->arena, sizeof(*node));
        *node = (struct yaml_node){
            .kind = YAML_TEXT, .bad = true, .cut = true, .at = f->key_at, .text = {"", 0}};
        attach_member(b, f, node);
        f->node->count++;
        *f->tail = node;
    }
    for (size_t i = 0; i < b->depth; i++)
        b->stack[i].node->cut = true;
    if (b->root != NULL)
        b->root->cut = true;
    on_document_end(b);
}

/* What stands just before a mistake is perhaps only a part of what was meant: a value that is not
 * looked at, or, before there is any value, half a key. */
static void distrust_last(struct builder *b, struct source_pos mistake)
{
    if (b->last_value == NULL)
        return;
    size_t end = yaml_text_offset(b->text, mistake);
    for (size_t i = yaml_text_offset(b->text, b->last_end); i < end; i++)
        if (strchr(" \t\r\n", b->text.ptr[i]) == NULL)
            return;
    b->last_value->bad = true;
    if (b->depth == 0 || b->last_value->text.len > 0 || b->last_value->quoted)
        return;
    struct frame *f = &b->stack[b->depth - 1];
    f->tail = &f->node->first;
    while (*f->tail != b->last_value && *f->tail != NULL)
        f->tail = &(*f->tail)->next;
    if (*f->tail != NULL)
        f->node->count--;
    *f->tail = NULL;
}

static void build(struct builder *b)
{
    yaml_parser_t parser;

    CHECK(yaml_parser_initialize(&parser) == 1);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)b->text.ptr, b->text.len);
    while (!b->done && !b->failed) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            report_syntax(b, &parser);
            b->failed = true;
            distrust_last(b, pos(b, parser.problem_mark));
            break;
        }
        on_event(b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
}

int yaml_parse(const char *path, struct str text, struct arena *arena, struct yaml_node **ret,
               struct diagnostics *reterr)
{
    struct yaml_node *documents = NULL;

    text = yaml_text_strip_mark(text);
    if (!yaml_text_check(path, text, reterr))
        return -EINVAL;
    struct builder b = {
        .path = path, .text = text, .arena = arena, .errors = reterr, .documents_tail = &documents};
    build(&b);
    if (b.failed)
        cut(&b);
    *ret = documents;
    return b.failed ? -EINVAL : 0;
}

struct yaml_node *yaml_get(const struct yaml_node *map, struct str key)
{
    if (map == NULL || map->kind != YAML_MAP)
        return NULL;
    for (struct yaml_node *n = map->first; n != NULL; n = n->next)
        if (str_eq(n->key, key))
            return n;
    return NULL;
}

struct yaml_node *yaml_find(struct yaml_node *map, const char *path)
{
    struct str rest = str_from(path), key;

    if (rest.len == 0)
        return map;
    while (map != NULL && str_split(&rest, '.', &key))
        map = yaml_get(map, key);
    return map;
}

bool yaml_has_bad(const struct yaml_node *map)
{
    for (const struct yaml_node *n = map->first; n != NULL; n = n->next)
        if (n->bad)
            return true;
    return false;
}

void yaml_prune_cut(struct yaml_node *n)
{
    while (n != NULL && n->cut) {
        struct yaml_node **last = &n->first;
        while (*last != NULL && (*last)->next != NULL)
            last = &(*last)->next;
        if (n->kind == YAML_LIST && *last != NULL && (*last)->cut) {
            *last = NULL;
            n->count--;
        }
        if (n->kind == YAML_LIST)
            n->bad |= n->count == 0; /* not an empty list */
        n = n->kind == YAML_MAP ? *last : NULL;
    }
}

bool yaml_is_null(const struct yaml_node *n)
{
    return n->kind == YAML_TEXT && !n->quoted &&
           (n->text.len == 0 || str_eq(n->text, STR("~")) || str_eq(n->text, STR("null")));
}
