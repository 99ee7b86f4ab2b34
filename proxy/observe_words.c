/* Tables, searched from the top: they are short, and the length tells most rows apart. */
#include "proxy/observe_words.h"

#include "base/check.h"

struct word_row {
    struct str text;
    unsigned value; /* a place, or a set of words */
};

#define ROW(literal, value)                                                                        \
    {                                                                                              \
        {literal, sizeof(literal) - 1}, value                                                      \
    }

static const struct word_row top_keys[] = {
    ROW("id", PLACE_META),
    ROW("object", PLACE_OBJECT),
    ROW("model", PLACE_META),
    ROW("choices", PLACE_CHOICES),
    ROW("type", PLACE_TYPE),
    ROW("delta", PLACE_DELTA),
    ROW("error", PLACE_ERROR),
    ROW("content_block", PLACE_BLOCK),
    ROW("item", PLACE_ITEM),
    ROW("message", PLACE_MESSAGE),
    ROW("response", PLACE_RESPONSE),
    ROW("thinking", PLACE_THINKING),
    ROW("done", PLACE_DONE),
    ROW("done_reason", PLACE_DONE_REASON),
    ROW("token", PLACE_TOKEN),
    ROW("generated_text", PLACE_GENERATED_TEXT),
    ROW("text_output", PLACE_TEXT_OUTPUT),
    ROW("triton_final_response", PLACE_FINAL),
    ROW("jsonrpc", PLACE_JSONRPC),
    ROW("model_name", PLACE_META),
    ROW("model_version", PLACE_META),
    ROW("parameters", PLACE_META),
    ROW("details", PLACE_META),
    ROW("sequence_id", PLACE_META),
    ROW("sequence_start", PLACE_META),
    ROW("sequence_end", PLACE_META),
};

static const struct word_row choice_keys[] = {
    ROW("index", PLACE_CHOICE_INDEX),          ROW("delta", PLACE_CHOICE_DELTA),
    ROW("finish_reason", PLACE_CHOICE_FINISH), ROW("text", PLACE_CHOICE_CONTENT),
    ROW("message", PLACE_CHOICE_DELTA),
};

static const struct word_row choice_delta_keys[] = {
    ROW("content", PLACE_CHOICE_CONTENT),    ROW("reasoning_content", PLACE_CHOICE_CONTENT),
    ROW("reasoning", PLACE_CHOICE_CONTENT),  ROW("reasoning_details", PLACE_CHOICE_CONTENT),
    ROW("tool_calls", PLACE_CHOICE_CONTENT), ROW("function_call", PLACE_CHOICE_CONTENT),
    ROW("refusal", PLACE_CHOICE_CONTENT),    ROW("audio", PLACE_CHOICE_CONTENT),
    ROW("images", PLACE_CHOICE_CONTENT),
};

static const struct word_row delta_keys[] = {
    ROW("type", PLACE_DELTA_TYPE),        ROW("text", PLACE_DELTA_TEXT),
    ROW("thinking", PLACE_DELTA_TEXT),    ROW("partial_json", PLACE_DELTA_TEXT),
    ROW("stop_reason", PLACE_DELTA_STOP),
};

static const struct word_row block_keys[] = {
    ROW("type", PLACE_BLOCK_TYPE),
    ROW("text", PLACE_BLOCK_TEXT),
    ROW("thinking", PLACE_BLOCK_TEXT),
};

static const struct word_row item_keys[] = {
    ROW("type", PLACE_ITEM_TYPE),
};

static const struct word_row message_keys[] = {
    ROW("content", PLACE_MESSAGE_CONTENT),
    ROW("thinking", PLACE_MESSAGE_CONTENT),
    ROW("tool_calls", PLACE_MESSAGE_CONTENT),
    ROW("images", PLACE_MESSAGE_CONTENT),
};

static const struct word_row token_keys[] = {
    ROW("text", PLACE_TOKEN_TEXT),
    ROW("special", PLACE_TOKEN_SPECIAL),
};

static const struct word_row objects[] = {
    ROW("chat.completion.chunk", WORD_CHAT),
    ROW("chat.completion", WORD_CHAT),
    ROW("text_completion", WORD_CHAT),
    ROW("error", WORD_FAILED),
};

static const struct word_row finish_reasons[] = {
    ROW("length", WORD_EXCUSED),
    ROW("content_filter", WORD_EXCUSED),
    ROW("error", WORD_FAILED),
    ROW("insufficient_system_resource", WORD_FAILED),
};

static const struct word_row stop_reasons[] = {
    ROW("max_tokens", WORD_EXCUSED),
    ROW("stop_sequence", WORD_EXCUSED),
    ROW("refusal", WORD_EXCUSED),
    ROW("pause_turn", WORD_EXCUSED),
    ROW("model_context_window_exceeded", WORD_EXCUSED),
};

static const struct word_row done_reasons[] = {
    ROW("length", WORD_EXCUSED),
    ROW("load", WORD_EXCUSED),
    ROW("unload", WORD_EXCUSED),
};

static const struct word_row delta_types[] = {
    ROW("signature_delta", WORD_SILENT),
    ROW("citations_delta", WORD_SILENT),
};

static const struct word_row block_types[] = {
    ROW("text", WORD_TEXT),
    ROW("thinking", WORD_TEXT),
};

static const struct word_row item_types[] = {
    ROW("message", WORD_TEXT),
    ROW("reasoning", WORD_TEXT),
};

static const struct word_row events[] = {
    ROW("content_block_delta", WORD_ANTHROPIC | WORD_BLOCK_DELTA),
    ROW("content_block_start", WORD_ANTHROPIC | WORD_BLOCK_START),
    ROW("content_block_stop", WORD_ANTHROPIC),
    ROW("message_start", WORD_ANTHROPIC),
    ROW("message_delta", WORD_ANTHROPIC),
    ROW("message_stop", WORD_ANTHROPIC | WORD_MESSAGE_STOP),
    ROW("ping", WORD_PING),
    ROW("keepalive", WORD_PING),
    ROW("keep-alive", WORD_PING),
    ROW("heartbeat", WORD_PING),
    ROW("error", WORD_ERROR),
    ROW("response.created", WORD_TYPED),
    ROW("response.queued", WORD_TYPED),
    ROW("response.in_progress", WORD_TYPED),
    ROW("response.output_item.added", WORD_TYPED),
    ROW("response.output_item.done", WORD_TYPED | WORD_ITEM_DONE),
    ROW("response.image_generation_call.partial_image", WORD_TYPED | WORD_CONTENT),
    ROW("response.completed", WORD_TYPED | WORD_TYPED_END),
    ROW("response.incomplete", WORD_TYPED | WORD_TYPED_END | WORD_EXCUSED),
    ROW("response.cancelled", WORD_TYPED | WORD_TYPED_END | WORD_EXCUSED),
    ROW("response.failed", WORD_TYPED | WORD_FAILED),
    ROW("transcript.text.delta", WORD_TYPED | WORD_DELTA),
    ROW("transcript.text.done", WORD_TYPED | WORD_TYPED_END | WORD_EXCUSED),
    ROW("speech.audio.delta", WORD_TYPED | WORD_DELTA),
    ROW("speech.audio.done", WORD_TYPED | WORD_TYPED_END),
    ROW("image_generation.partial_image", WORD_TYPED | WORD_CONTENT),
    ROW("image_generation.completed", WORD_TYPED | WORD_CONTENT | WORD_TYPED_END),
    ROW("image_edit.partial_image", WORD_TYPED | WORD_CONTENT),
    ROW("image_edit.completed", WORD_TYPED | WORD_CONTENT | WORD_TYPED_END),
};

static unsigned find(const struct word_row *rows, size_t count, struct str text)
{
    if (text.len == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].text.len == text.len && rows[i].text.ptr[0] == text.ptr[0] &&
            memcmp(rows[i].text.ptr, text.ptr, text.len) == 0)
            return rows[i].value;
    }
    return 0;
}

#define FIND(rows, text) find(rows, ARRAY_LEN(rows), text)

enum place observe_word_key(enum place object, struct str key)
{
    enum place top;

    switch (object) {
    case PLACE_ROOT:
        top = (enum place)FIND(top_keys, key);
        return top == PLACE_NONE ? PLACE_OTHER : top;
    case PLACE_CHOICE:
        return (enum place)FIND(choice_keys, key);
    case PLACE_CHOICE_DELTA:
        return (enum place)FIND(choice_delta_keys, key);
    case PLACE_DELTA:
        return (enum place)FIND(delta_keys, key);
    case PLACE_BLOCK:
        return (enum place)FIND(block_keys, key);
    case PLACE_ITEM:
        return (enum place)FIND(item_keys, key);
    case PLACE_MESSAGE:
        return (enum place)FIND(message_keys, key);
    case PLACE_TOKEN:
        return (enum place)FIND(token_keys, key);
    default:
        return PLACE_NONE;
    }
}

bool observe_word_wanted(enum place place)
{
    const uint64_t wanted = PLACE_BIT(PLACE_TYPE) | PLACE_BIT(PLACE_OBJECT) |
                            PLACE_BIT(PLACE_CHOICE_FINISH) | PLACE_BIT(PLACE_DELTA_TYPE) |
                            PLACE_BIT(PLACE_DELTA_STOP) | PLACE_BIT(PLACE_BLOCK_TYPE) |
                            PLACE_BIT(PLACE_ITEM_TYPE) | PLACE_BIT(PLACE_DONE_REASON);

    return (wanted & PLACE_BIT(place)) != 0;
}

unsigned observe_word_value(enum place place, struct str text)
{
    switch (place) {
    case PLACE_TYPE:
        return observe_word_event(text);
    case PLACE_OBJECT:
        return FIND(objects, text);
    case PLACE_CHOICE_FINISH:
        return FIND(finish_reasons, text);
    case PLACE_DELTA_TYPE:
        return FIND(delta_types, text);
    case PLACE_DELTA_STOP:
        return FIND(stop_reasons, text);
    case PLACE_BLOCK_TYPE:
        return FIND(block_types, text);
    case PLACE_ITEM_TYPE:
        return FIND(item_types, text);
    case PLACE_DONE_REASON:
        return FIND(done_reasons, text);
    default:
        return 0;
    }
}

/* New kinds of output come as new `response.….delta` events; they are content without being known
 * by name. Those of `thread.` end with [DONE], so they do not tell a protocol. */
unsigned observe_word_event(struct str name)
{
    unsigned words = FIND(events, name);

    if (words == 0 && name.len <= OBSERVE_WORD_MAX && str_ends_with(name, STR(".delta"))) {
        if (str_starts_with(name, STR("response.")))
            return WORD_TYPED | WORD_DELTA;
        if (str_starts_with(name, STR("thread.")))
            return WORD_DELTA;
    }
    return words;
}
