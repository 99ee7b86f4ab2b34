/* The table of keys is consistent, and what is generated from it holds. */
#include "policies/schema.h"

#include <jansson.h>
#include <stdlib.h>

#include "policies/schema_docs.h"
#include "tests/unit/policies/parse.h"

static const struct schema *const schemas[] = {&schema_policy, &schema_config};

static bool has_bounds_of_its_type(const struct schema_row *row)
{
    struct schema_value v;

    return (row->min == NULL || schema_read(row, str_from(row->min), &v)) &&
           (row->max == NULL || schema_read(row, str_from(row->max), &v));
}

static void test_rows_are_consistent(void **state)
{
    (void)state;
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; i < schemas[s]->count; i++) {
            const struct schema_row *row = &schemas[s]->rows[i];
            struct str parent = schema_parent(row);
            char path[128];
            str_copy(path, sizeof(path), parent);
            /* the only row of that path, beneath a mapping that exists */
            assert_ptr_equal(schema_row(schemas[s], row->path), row);
            assert_true(parent.len == 0 || schema_row(schemas[s], path)->type == SCHEMA_MAP);
            assert_true(row->doc != NULL && str_ends_with(str_from(row->doc), STR(".")));
            assert_int_equal(row->type == SCHEMA_CHOICE, row->choices != NULL);
            assert_true(has_bounds_of_its_type(row));
            if (row->shorthand != NULL)
                assert_non_null(
                    schema_find(schemas[s], str_from(row->path), str_from(row->shorthand)));
        }
}

static void test_defaults_pass_their_own_checks(void **state)
{
    (void)state;
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; i < schemas[s]->count; i++) {
            struct arena arena;
            if (schemas[s]->rows[i].default_text == NULL)
                continue;
            arena_init(&arena);
            assert_non_null(schema_default(schemas[s], schemas[s]->rows[i].path, &arena));
            arena_deinit(&arena);
        }
}

static void test_near_words_are_found(void **state)
{
    static const struct {
        const char *word, *choices, *nearest;
    } rows[] = {
        {"enforced", "enforce|observe", "enforce"},
        {"obsrve", "enforce|observe", "observe"},
        {"hlod", "hold|pause", "hold"},
        {"xyz", "hold|pause", ""},
        {"of", "off", "off"},
        {"on", "off", ""},
        {"", "off", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct str got = schema_nearest(str_from(rows[i].word), rows[i].choices);
        assert_true(str_eq(got, str_from(rows[i].nearest)));
    }
}

static void test_weights_are_basis_points(void **state)
{
    static const struct {
        const char *text;
        int64_t bp; /* -1: refused */
    } rows[] = {
        {"10", 1000},   {"10%", 1000},    {"100", 10000},  {"100%", 10000}, {"0.1%", 10},
        {"0.01%", 1},   {"12.5", 1250},   {"33.33", 3333}, {"1", 100},      {"0", 0},
        {"0.1", -1},    {"0.5", -1},      {"0.001%", -1},  {"101", -1},     {"-1", -1},
        {"", -1},       {"%", -1},        {"ten", -1},     {"10 %", -1},    {"1e1", -1},
        {"10.001", -1}, {"99.99%", 9999},
    };
    const struct schema_row *row = schema_row(&schema_policy, "steps.weight");

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct schema_value v;
        bool ok = schema_read(row, str_from(rows[i].text), &v);
        if (ok != (rows[i].bp >= 0) || (ok && v.n != (uint64_t)rows[i].bp))
            fail_msg("%s", rows[i].text);
    }
}

/* Follows properties (and the mapping of a shorthand or list) down a path. */
static json_t *property(json_t *node, const char *path)
{
    struct str rest = str_from(path), part;

    while (node != NULL && str_split(&rest, '.', &part)) {
        char name[64];
        str_copy(name, sizeof(name), part);
        if (json_object_get(node, "items") != NULL)
            node = json_object_get(node, "items");
        if (json_object_get(node, "anyOf") != NULL)
            node = json_array_get(json_object_get(node, "anyOf"), 1);
        if (json_object_get(node, "items") != NULL)
            node = json_object_get(node, "items");
        if (json_object_get(node, "anyOf") != NULL)
            node = json_array_get(json_object_get(node, "anyOf"), 1);
        node = json_object_get(json_object_get(node, "properties"), name);
    }
    return node;
}

/* Each key that can be written is in the JSON Schema with its sentence, no other. */
static void test_json_schema_has_the_keys(void **state)
{
    (void)state;
    for (size_t s = 0; s < 2; s++) {
        struct strbuf out;
        strbuf_init(&out, 1024 * 1024);
        schema_print_json(schemas[s], &out);
        json_t *root = json_loads(strbuf_cstr(&out), JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(root);
        for (size_t i = 0; i < schemas[s]->count; i++) {
            const struct schema_row *row = &schemas[s]->rows[i];
            json_t *node = property(root, row->path);
            assert_int_equal(node == NULL, row->later);
            if (node == NULL)
                continue;
            assert_string_equal(json_string_value(json_object_get(node, "description")), row->doc);
            assert_int_equal(json_object_get(node, "default") != NULL, row->default_text != NULL);
        }
        json_decref(root);
        strbuf_deinit(&out);
    }
}

/* The fenced examples of the pages are good files. */
static void test_examples_of_the_pages_parse(void **state)
{
    static const char fence[] = "```yaml\n";

    (void)state;
    setenv("BACKEND_TOKEN", "secret", 1);
    for (size_t s = 0; s < 2; s++) {
        struct strbuf out;
        int seen = 0;
        strbuf_init(&out, 1024 * 1024);
        schema_print_page(schemas[s], &out);
        for (char *at = strstr(strbuf_cstr(&out), fence); at != NULL; at = strstr(at, fence)) {
            at += strlen(fence);
            char *end = strstr(at, "```");
            *end = '\0';
            if (schemas[s] == &schema_policy)
                policy_free(good_policy(at));
            else
                config_free(good_config(at));
            at = end + 1;
            seen++;
        }
        assert_true(seen > 0);
        strbuf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_consistent),
        cmocka_unit_test(test_defaults_pass_their_own_checks),
        cmocka_unit_test(test_near_words_are_found),
        cmocka_unit_test(test_weights_are_basis_points),
        cmocka_unit_test(test_json_schema_has_the_keys),
        cmocka_unit_test(test_examples_of_the_pages_parse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
