/* The types are those that the model servers of docs/streams.md send; JSON lines have many names.
 */
#include "proxy/observe_kind.h"

#include "base/check.h"

#define TYPE(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static enum stream_kind stream_kind(const struct head *response)
{
    static const struct str line_types[] = {
        TYPE("application/x-ndjson"),    TYPE("application/ndjson"),
        TYPE("application/jsonl"),       TYPE("application/x-jsonl"),
        TYPE("application/jsonlines"),   TYPE("application/x-jsonlines"),
        TYPE("application/stream+json"),
    };
    const struct head_field *field = head_get(response, FIELD_CONTENT_TYPE);
    struct str type;

    if (field == NULL || response->status / 100 != 2 || response->framing == FRAMING_NONE)
        return STREAM_NONE;
    struct str rest = field->value;
    str_split(&rest, ';', &type);
    type = str_trim(type);
    if (str_ieq(type, STR("text/event-stream")))
        return STREAM_EVENTS;
    for (size_t i = 0; i < ARRAY_LEN(line_types); i++) {
        if (str_ieq(type, line_types[i]))
            return STREAM_LINES;
    }
    return STREAM_NONE;
}

bool observe_is_encoded(const struct head *response)
{
    for (size_t i = 0; i < response->count; i++) {
        const struct head_field *f = &response->fields[i];
        if (str_ieq(f->name, STR("content-encoding")) && f->value.len > 0 &&
            !str_ieq(f->value, STR("identity")))
            return true;
    }
    return false;
}

enum stream_kind observe_kind(const struct head *response, bool *ret_unseen)
{
    enum stream_kind kind = stream_kind(response);

    *ret_unseen = kind != STREAM_NONE && observe_is_encoded(response);
    return kind;
}
