/* tests/support/fields_oracle.h — what jansson finds where a JSON pointer leads, to compare with
 * proxy/fields.h, and the harness that both of its tests share.
 */
#ifndef TESTS_SUPPORT_FIELDS_ORACLE_H
#define TESTS_SUPPORT_FIELDS_ORACLE_H

#include <jansson.h>

#include "base/check.h"
#include "base/hash.h"
#include "proxy/fields.h"

/* A head of this type; fields are the caller's to add. */
static inline void oracle_head(struct head *h, int status, const char *type)
{
    memset(h, 0, sizeof(*h));
    h->status = status;
    h->framing = FRAMING_CHUNKED;
    if (type == NULL)
        return;
    h->count = 1;
    h->index[FIELD_CONTENT_TYPE] = 1;
    h->fields[0].id = FIELD_CONTENT_TYPE;
    h->fields[0].name = STR("content-type");
    h->fields[0].value = str_from(type);
}

static inline uint64_t oracle_literal(const char *text)
{
    char bytes[16] = {0};
    size_t n = strlen(text);

    memcpy(bytes + 1, text, n);
    return hash_fnv1a((struct str){bytes, n + 1});
}

static inline struct field_value oracle_value(const json_t *v)
{
    struct field_value r = {.kind = FIELD_MISSING};

    switch (json_typeof(v)) {
    case JSON_STRING:
        r.kind = FIELD_CATEGORY;
        r.category = hash_fnv1a((struct str){json_string_value(v), json_string_length(v)});
        break;
    case JSON_REAL:
    case JSON_INTEGER:
        r.kind = FIELD_NUMBER;
        r.number = json_number_value(v);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        r.kind = FIELD_CATEGORY;
        r.category = oracle_literal(json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
        break;
    default:
        break;
    }
    return r;
}

static inline const json_t *oracle_step(const json_t *v, const char *token)
{
    char *end;

    if (json_is_object(v))
        return json_object_get(v, token);
    if (!json_is_array(v) || *token < '0' || *token > '9' || (*token == '0' && token[1] != '\0'))
        return NULL;
    unsigned long i = strtoul(token, &end, 10);
    return *end == '\0' ? json_array_get(v, i) : NULL;
}

/* RFC 6901. */
static inline struct field_value oracle_find(const json_t *root, const char *pointer)
{
    char token[256];
    const json_t *v = root;

    while (v != NULL && *pointer == '/') {
        size_t n = 0;
        for (pointer++; *pointer != '\0' && *pointer != '/'; pointer++) {
            char c = *pointer;
            if (c == '~' && (pointer[1] == '0' || pointer[1] == '1'))
                c = *++pointer == '1' ? '/' : '~';
            token[n++] = c;
        }
        token[n] = '\0';
        v = oracle_step(v, token);
    }
    return v == NULL ? (struct field_value){.kind = FIELD_MISSING} : oracle_value(v);
}

static inline json_t *oracle_parse(const char *text, size_t len)
{
    return json_loadb(
        text, len,
        JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
}

static inline bool oracle_same(struct field_value a, struct field_value b)
{
    if (a.kind != b.kind)
        return false;
    if (a.kind == FIELD_NUMBER)
        return memcmp(&a.number, &b.number, sizeof(a.number)) == 0;
    return a.kind == FIELD_MISSING || a.category == b.category;
}

#endif
