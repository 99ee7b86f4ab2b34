/* Nodes, positions, limits. What is said about mistakes is in tests/data/policies/bad. */
#include "policies/yaml.h"

#include <stdio.h>
#include <stdlib.h>

#include "policies/yaml_text.h"
#include "tests/unit/policies/parse.h"

struct parsed {
    struct arena arena;
    struct diagnostics errors;
    struct yaml_node *root;
    int rc;
};

static void parse(struct parsed *p, struct str text)
{
    arena_init(&p->arena);
    diagnostics_init(&p->errors);
    p->root = NULL;
    p->rc = yaml_parse("t.yaml", text, &p->arena, &p->root, &p->errors);
}

static void done(struct parsed *p)
{
    arena_deinit(&p->arena);
    diagnostics_deinit(&p->errors);
}

static void test_values_are_text_with_places(void **state)
{
    struct parsed p;
    const struct yaml_node *n;

    (void)state;
    parse(&p, STR("a: 2.0\nä: {b: \"x\", c: [1, 'two']}\nd:\n"));
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.root->kind, YAML_MAP);
    assert_int_equal(p.root->count, 3);
    n = yaml_get(p.root, STR("a"));
    assert_string_equal(n->text.ptr, "2.0");
    assert_false(n->quoted);
    n = yaml_find(p.root, "ä.c");
    assert_int_equal(n->kind, YAML_LIST);
    assert_int_equal(n->count, 2);
    assert_string_equal(n->first->next->text.ptr, "two");
    assert_true(n->first->next->quoted);
    assert_int_equal(n->at.line, 2);
    assert_int_equal(n->at.column, 16); /* characters, not bytes */
    assert_int_equal(n->key_at.column, 13);
    assert_true(yaml_is_null(yaml_get(p.root, STR("d"))));
    assert_null(yaml_find(p.root, "a.b"));
    assert_null(yaml_find(p.root, "nothing.at.all"));
    assert_null(yaml_get(NULL, STR("a")));
    done(&p);
}

static void test_documents_are_listed(void **state)
{
    struct parsed p;

    (void)state;
    parse(&p, STR("a: 1\n---\n---\nb: 2\n...\n"));
    assert_int_equal(p.rc, 0);
    assert_non_null(yaml_get(p.root, STR("a")));
    assert_non_null(yaml_get(p.root->next, STR("b")));
    assert_null(p.root->next->next);
    done(&p);
    parse(&p, STR("# nothing\n"));
    assert_int_equal(p.rc, 0);
    assert_null(p.root);
    done(&p);
}

static void test_variables(void **state)
{
    static const struct {
        const char *text, *value;
    } rows[] = {
        {"${SLUICE_A}", "one"},          {"x${SLUICE_A}${SLUICE_A}y", "xoneoney"},
        {"$${SLUICE_A}", "${SLUICE_A}"}, {"$5 $ {", "$5 $ {"},
        {"${SLUICE_EMPTY}", ""},
    };
    static const char *const bad[] = {"${SLUICE_NOT_SET}", "${", "${}", "${1A}", "${A-B}", "${A",
                                      "${SLUICE_LINES}"};

    (void)state;
    setenv("SLUICE_A", "one", 1);
    setenv("SLUICE_EMPTY", "", 1);
    setenv("SLUICE_LINES", "one\ntwo: 2", 1);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[64];
        struct parsed p;
        snprintf(text, sizeof(text), "'%s'", rows[i].text);
        parse(&p, str_from(text));
        assert_int_equal(p.errors.count, 0);
        assert_string_equal(p.root->text.ptr, rows[i].value);
        done(&p);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[64];
        struct parsed p;
        snprintf(text, sizeof(text), "k: '%s'", bad[i]);
        parse(&p, str_from(text));
        assert_int_equal(p.errors.count, 1);
        assert_true(yaml_get(p.root, STR("k"))->bad);
        done(&p);
    }
}

/* Variables cannot make a small file large. */
static void test_what_variables_give_is_bounded(void **state)
{
    struct strbuf text, value;
    struct parsed p;

    (void)state;
    strbuf_init(&text, YAML_BYTES_MAX);
    strbuf_init(&value, 65536);
    for (int i = 0; i < 60000; i++)
        strbuf_add_char(&value, 'x');
    setenv("SLUICE_LONG", strbuf_cstr(&value), 1);
    for (int i = 0; i < 20; i++)
        strbuf_add(&text, STR("- '${SLUICE_LONG}'\n"));
    parse(&p, strbuf_str(&text));
    assert_true(p.errors.count > 0);
    done(&p);
    unsetenv("SLUICE_LONG");
    strbuf_deinit(&value);
    strbuf_deinit(&text);
}

static void test_limits(void **state)
{
    struct strbuf text;
    struct parsed p;

    (void)state;
    strbuf_init(&text, 4 * YAML_BYTES_MAX);
    for (int i = 0; i < YAML_DEPTH_MAX; i++)
        strbuf_add_char(&text, '[');
    for (int i = 0; i < YAML_DEPTH_MAX; i++)
        strbuf_add_char(&text, ']');
    parse(&p, strbuf_str(&text));
    assert_int_equal(p.rc, 0);
    done(&p);

    strbuf_reset(&text);
    for (int i = 0; i <= YAML_KEYS_MAX; i++)
        strbuf_addf(&text, "k%d: 1\n", i);
    parse(&p, strbuf_str(&text));
    assert_int_equal(p.rc, -22);
    assert_int_equal(p.errors.items[0].at.line, YAML_KEYS_MAX + 1);
    assert_int_equal(p.errors.items[0].at.column, 1);
    assert_int_equal(p.root->count, YAML_KEYS_MAX);
    done(&p);

    strbuf_reset(&text);
    while (text.len <= YAML_BYTES_MAX)
        strbuf_add(&text, STR("# a line of a comment\n"));
    parse(&p, strbuf_str(&text));
    assert_int_equal(p.rc, -22);
    assert_int_equal(p.errors.items[0].at.line, 1);
    done(&p);
    strbuf_deinit(&text);
}

/* A mistake hides nothing that stands before it. */
static void test_what_was_read_before_a_mistake_is_kept(void **state)
{
    struct parsed p;

    (void)state;
    parse(&p, STR("a: 1\n---\nb: {c: 2, d: [3, {e: 4}, {f: 5, g: 6: 7\nh: 8\n"));
    assert_int_equal(p.rc, -22);
    assert_int_equal(p.errors.count, 1);
    assert_false(p.root->cut);
    struct yaml_node *cut = p.root->next;
    assert_true(cut->cut);
    assert_true(yaml_find(cut, "b")->cut);
    assert_string_equal(yaml_find(cut, "b.c")->text.ptr, "2");
    assert_false(yaml_find(cut, "b.c")->cut);
    struct yaml_node *list = yaml_find(cut, "b.d");
    assert_int_equal(list->count, 3);
    assert_false(list->first->next->cut);
    assert_true(list->first->next->next->cut);
    assert_false(yaml_find(list->first->next->next, "f")->bad);
    assert_true(yaml_find(list->first->next->next, "g")->bad); /* what was meant is not known */
    assert_null(yaml_get(cut, STR("h")));

    yaml_prune_cut(cut);
    assert_int_equal(list->count, 2);
    assert_null(list->first->next->next);
    assert_false(list->bad);
    done(&p);

    parse(&p, STR("a: 1\nb: @\n")); /* a key without its value is a key */
    assert_true(yaml_get(p.root, STR("b"))->bad);
    done(&p);
    parse(&p, STR("a: [{b: 1"));
    yaml_prune_cut(p.root);
    assert_true(yaml_get(p.root, STR("a"))->bad); /* not an empty list */
    done(&p);
    parse(&p, STR("@"));
    assert_int_equal(p.rc, -22);
    assert_null(p.root);
    done(&p);
}

/* libyaml and an editor must count the same lines. */
static void test_bytes_that_are_no_text(void **state)
{
    static const struct {
        struct str text;
        uint32_t line, column;
    } rows[] = {
        {{"a: \0", 4}, 1, 4},         {{"a\xff", 2}, 1, 2},         {{"a: b\n\xc3", 6}, 2, 1},
        {{"ä: \x07", 5}, 1, 4},       {{"a\rb", 3}, 1, 2},          {{"a\xc2\x85", 3}, 1, 2},
        {{"a\xe2\x80\xa8", 4}, 1, 2}, {{"a\xef\xbb\xbf", 4}, 1, 2}, {{"\xed\xa0\x80", 3}, 1, 1},
        {{"\xc0\x80", 2}, 1, 1},      {{"a: \x7f", 4}, 1, 4},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct parsed p;
        parse(&p, rows[i].text);
        assert_int_equal(p.rc, -22);
        assert_int_equal(p.errors.count, 1);
        assert_int_equal(p.errors.items[0].at.line, rows[i].line);
        assert_int_equal(p.errors.items[0].at.column, rows[i].column);
        done(&p);
    }
}

static void test_shown_values_fit_a_line(void **state)
{
    char to[YAML_SHOWN_MAX], text[200];

    (void)state;
    assert_string_equal(yaml_shown(STR("a\nb\xff"), to), "a?b?");
    assert_string_equal(yaml_shown(STR("\xe2\x80\xae"
                                       "ab\xc2\x85"),
                                   to),
                        "?ab?");
    memset(text, 'x', sizeof(text));
    yaml_shown((struct str){text, sizeof(text)}, to);
    assert_true(strlen(to) < YAML_SHOWN_MAX);
    assert_true(str_ends_with(str_from(to), STR("x...")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_are_text_with_places),
        cmocka_unit_test(test_documents_are_listed),
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_what_variables_give_is_bounded),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_what_was_read_before_a_mistake_is_kept),
        cmocka_unit_test(test_bytes_that_are_no_text),
        cmocka_unit_test(test_shown_values_fit_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
