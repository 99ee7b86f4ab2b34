/* Reads the reference values in tests/data/statistics, and counts how many were compared. Tests run
 * from the root of the tree. */
#ifndef TESTS_UNIT_ANALYSIS_VECTORS_H
#define TESTS_UNIT_ANALYSIS_VECTORS_H

#include <jansson.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
/* after the four above */
#include <cmocka.h>

struct vectors {
    json_t *root;
    size_t compared;
    double worst; /* largest error */
};

/* One section of one file: "vectors.json", "abs_grid". */
static inline json_t *vectors_open(struct vectors *v, const char *file, const char *section)
{
    char path[128];
    json_error_t error;
    snprintf(path, sizeof path, "tests/data/statistics/%s", file);
    *v = (struct vectors){.root = json_load_file(path, 0, &error)};
    if (v->root == NULL)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    json_t *found = json_object_get(v->root, section);
    assert_non_null(found);
    return found;
}

static inline void vectors_close(struct vectors *v, const char *section)
{
    printf("           %-40s %5zu values, largest error %.1e\n", section, v->compared, v->worst);
    assert_true(v->compared > 0);
    json_decref(v->root);
}

static inline double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_number(value))
        fail_msg("no number \"%s\"", key);
    return json_number_value(value);
}

static inline uint64_t count_of(const json_t *object, const char *key)
{
    return (uint64_t)number(object, key);
}

static inline bool truth(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_boolean(value));
    return json_is_true(value);
}

/* To 1e-9, of the value itself where it is large. */
static inline void compare(struct vectors *v, double got, double want, const char *what)
{
    double error = fabs(got - want) / fmax(1, fabs(want));
    v->compared++;
    v->worst = fmax(v->worst, error);
    if (!(error <= 1e-9))
        fail_msg("%s: got %.15g, want %.15g", what, got, want);
}

static inline void compare_array(struct vectors *v, const double *got, const json_t *object,
                                 const char *key)
{
    const json_t *want = json_object_get(object, key);
    assert_true(json_is_array(want));
    for (size_t i = 0; i < json_array_size(want); i++)
        compare(v, got[i], json_number_value(json_array_get(want, i)), key);
}

#endif
