/* Tolerant reading: null and absent are the same, and a wrong type is absent. */
#include "cli/member.h"

#include "base/str.h"

const json_t *member_get(const json_t *doc, const char *path)
{
    struct str rest = str_from(path), part;
    const json_t *at = doc;

    while (at != NULL && str_split(&rest, '.', &part)) {
        char name[64];
        if (!str_copy(name, sizeof(name), part))
            return NULL;
        at = json_object_get(at, name);
    }
    return json_is_null(at) ? NULL : at;
}

const char *member_text(const json_t *doc, const char *path)
{
    const char *text = json_string_value(member_get(doc, path));

    return text == NULL ? "" : text;
}

bool member_has_number(const json_t *doc, const char *path)
{
    return json_is_number(member_get(doc, path));
}

double member_number(const json_t *doc, const char *path, double otherwise)
{
    const json_t *value = member_get(doc, path);

    return json_is_number(value) ? json_number_value(value) : otherwise;
}

bool member_true(const json_t *doc, const char *path)
{
    return json_is_true(member_get(doc, path));
}
