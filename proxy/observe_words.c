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

/* Keys come by the dozen in every event: the length finds the one or few that may be meant, which
 * are compared in place. */
#define IS(literal)                                                                                \
    (key.len == sizeof(literal) - 1 && memcmp(key.ptr, literal, sizeof(literal) - 1) == 0)

static enum place top_key(struct str key)
{
    switch (key.len) {
    case 2:
        return IS("id") ? PLACE_META : PLACE_OTHER;
    case 4:
        return IS("type")   ? PLACE_TYPE
               : IS("item") ? PLACE_ITEM
               : IS("done") ? PLACE_DONE
                            : PLACE_OTHER;
    case 5:
        return IS("model")   ? PLACE_META
               : IS("delta") ? PLACE_DELTA
               : IS("error") ? PLACE_ERROR
               : IS("token") ? PLACE_TOKEN
                             : PLACE_OTHER;
    case 6:
        return IS("object") ? PLACE_OBJECT : PLACE_OTHER;
    case 7:
        return IS("choices")   ? PLACE_CHOICES
               : IS("message") ? PLACE_MESSAGE
               : IS("jsonrpc") ? PLACE_JSONRPC
               : IS("details") ? PLACE_META
                               : PLACE_OTHER;
    case 8:
        return IS("response") ? PLACE_RESPONSE : IS("thinking") ? PLACE_THINKING : PLACE_OTHER;
    case 10:
        return IS("model_name") || IS("parameters") ? PLACE_META : PLACE_OTHER;
    case 11:
        return IS("done_reason")   ? PLACE_DONE_REASON
               : IS("text_output") ? PLACE_TEXT_OUTPUT
               : IS("sequence_id") ? PLACE_META
                                   : PLACE_OTHER;
    case 12:
        return IS("sequence_end") ? PLACE_META : PLACE_OTHER;
    case 13:
        return IS("content_block") ? PLACE_BLOCK : IS("model_version") ? PLACE_META : PLACE_OTHER;
    case 14:
        return IS("generated_text")   ? PLACE_GENERATED_TEXT
               : IS("sequence_start") ? PLACE_META
                                      : PLACE_OTHER;
    case 21:
        return IS("triton_final_response") ? PLACE_FINAL : PLACE_OTHER;
    default:
        return PLACE_OTHER;
    }
}

/* Of an element of `choices`. */
static enum place choice_key(struct str key)
{
    switch (key.len) {
    case 4:
        return IS("text") ? PLACE_CHOICE_CONTENT : PLACE_NONE;
    case 5:
        return IS("index") ? PLACE_CHOICE_INDEX : IS("delta") ? PLACE_CHOICE_DELTA : PLACE_NONE;
    case 7:
        return IS("message") ? PLACE_CHOICE_DELTA : PLACE_NONE;
    case 13:
        return IS("finish_reason") ? PLACE_CHOICE_FINISH : PLACE_NONE;
    default:
        return PLACE_NONE;
    }
}

/* Of a choice's delta or message: all of these are content. */
static bool is_content_key(struct str key)
{
    switch (key.len) {
    case 5:
        return IS("audio");
    case 6:
        return IS("images");
    case 7:
        return IS("content") || IS("refusal");
    case 9:
        return IS("reasoning");
    case 10:
        return IS("tool_calls");
    case 13:
        return IS("function_call");
    case 17:
        return IS("reasoning_content") || IS("reasoning_details");
    default:
        return false;
    }
}

static enum place delta_key(struct str key)
{
    switch (key.len) {
    case 4:
        return IS("type") ? PLACE_DELTA_TYPE : IS("text") ? PLACE_DELTA_TEXT : PLACE_NONE;
    case 8:
        return IS("thinking") ? PLACE_DELTA_TEXT : PLACE_NONE;
    case 11:
        return IS("stop_reason") ? PLACE_DELTA_STOP : PLACE_NONE;
    case 12:
        return IS("partial_json") ? PLACE_DELTA_TEXT : PLACE_NONE;
    default:
        return PLACE_NONE;
    }
}

static enum place block_key(struct str key)
{
    switch (key.len) {
    case 4:
        return IS("type") ? PLACE_BLOCK_TYPE : IS("text") ? PLACE_BLOCK_TEXT : PLACE_NONE;
    case 8:
        return IS("thinking") ? PLACE_BLOCK_TEXT : PLACE_NONE;
    default:
        return PLACE_NONE;
    }
}

static bool is_message_content_key(struct str key)
{
    switch (key.len) {
    case 6:
        return IS("images");
    case 7:
        return IS("content");
    case 8:
        return IS("thinking");
    case 10:
        return IS("tool_calls");
    default:
        return false;
    }
}

static enum place token_key(struct str key)
{
    switch (key.len) {
    case 4:
        return IS("text") ? PLACE_TOKEN_TEXT : PLACE_NONE;
    case 7:
        return IS("special") ? PLACE_TOKEN_SPECIAL : PLACE_NONE;
    default:
        return PLACE_NONE;
    }
}

enum place observe_word_key(enum place object, struct str key)
{
    switch (object) {
    case PLACE_ROOT:
        return top_key(key);
    case PLACE_CHOICE:
        return choice_key(key);
    case PLACE_CHOICE_DELTA:
        return is_content_key(key) ? PLACE_CHOICE_CONTENT : PLACE_NONE;
    case PLACE_DELTA:
        return delta_key(key);
    case PLACE_BLOCK:
        return block_key(key);
    case PLACE_ITEM:
        return key.len == 4 && IS("type") ? PLACE_ITEM_TYPE : PLACE_NONE;
    case PLACE_MESSAGE:
        return is_message_content_key(key) ? PLACE_MESSAGE_CONTENT : PLACE_NONE;
    case PLACE_TOKEN:
        return token_key(key);
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
