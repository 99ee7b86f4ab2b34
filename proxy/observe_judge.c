/* A stream is of one dialect: the one its protocol names, or the first that its events belong to
 * beyond doubt. Until then every event counts as content and no end mark is asked for, which is all
 * that can be said of an unknown stream.
 */
#include "proxy/observe_judge.h"

enum dialect {
    DIALECT_PLAIN,     /* nothing known, or nothing recognised so far */
    DIALECT_CHAT,      /* OpenAI's chat and text completions */
    DIALECT_TYPED,     /* OpenAI's typed events: Responses, speech, transcripts, images */
    DIALECT_ANTHROPIC, /* Messages */
    DIALECT_KSERVE,    /* generate_stream of the Open Inference Protocol */
    DIALECT_TGI,       /* generate_stream of Text Generation Inference */
    DIALECT_OLLAMA,    /* JSON lines */
};

void observe_judge_init(struct observe_judge *o, enum stream_protocol protocol, bool lines)
{
    static const enum dialect dialects[PROTOCOL_COUNT] = {
        [PROTOCOL_AUTO] = DIALECT_PLAIN,          [PROTOCOL_OPENAI] = DIALECT_CHAT,
        [PROTOCOL_ANTHROPIC] = DIALECT_ANTHROPIC, [PROTOCOL_KSERVE] = DIALECT_KSERVE,
        [PROTOCOL_PLAIN] = DIALECT_PLAIN,
    };

    *o = (struct observe_judge){
        .protocol = (uint8_t)protocol,
        .dialect = (uint8_t)dialects[protocol],
        .settled = protocol == PROTOCOL_ANTHROPIC || protocol == PROTOCOL_PLAIN,
        .lines = lines,
    };
}

static bool holds(uint64_t places, enum place place)
{
    return (places & PLACE_BIT(place)) != 0;
}

/* Which dialect an event belongs to beyond doubt; DIALECT_PLAIN: this one does not tell. */
static enum dialect dialect_of(const struct observe_judge *o, const struct observe_event *ev)
{
    if ((ev->words & WORD_CHAT) != 0 || holds(ev->filled, PLACE_CHOICE_DELTA) ||
        holds(ev->filled, PLACE_CHOICE_FINISH))
        return DIALECT_CHAT;
    if (ev->words & WORD_TYPED)
        return DIALECT_TYPED;
    if (ev->words & WORD_ANTHROPIC)
        return DIALECT_ANTHROPIC;
    if (holds(ev->named, PLACE_TOKEN_TEXT) && holds(ev->named, PLACE_GENERATED_TEXT))
        return DIALECT_TGI;
    if (holds(ev->named, PLACE_TEXT_OUTPUT))
        return DIALECT_KSERVE;
    if (o->lines && holds(ev->present, PLACE_DONE) &&
        (holds(ev->present, PLACE_RESPONSE) || holds(ev->filled, PLACE_MESSAGE)))
        return DIALECT_OLLAMA;
    return DIALECT_PLAIN;
}

static bool may_be(enum stream_protocol protocol, enum dialect dialect)
{
    switch (protocol) {
    case PROTOCOL_AUTO:
        return true;
    case PROTOCOL_OPENAI:
        return dialect == DIALECT_CHAT || dialect == DIALECT_TYPED;
    case PROTOCOL_KSERVE:
        return dialect == DIALECT_KSERVE || dialect == DIALECT_TGI;
    default:
        return false;
    }
}

static void recognise(struct observe_judge *o, const struct observe_event *ev)
{
    if (o->settled)
        return;
    enum dialect dialect = dialect_of(o, ev);
    if (dialect == DIALECT_PLAIN || !may_be(o->protocol, dialect))
        return;
    o->dialect = (uint8_t)dialect;
    o->settled = true;
    o->said = false; /* what came before was not of this protocol */
}

/* An `error` that is null, empty, false or a number is a field of an event that went well. That of
 * JSON-RPC answers one call of several, and says nothing of the stream. A mere "type": "error" is
 * believed only where the protocol is known: others log with such words. */
static bool is_error(const struct observe_judge *o, const struct observe_event *ev)
{
    if (o->protocol == PROTOCOL_PLAIN)
        return false;
    if ((ev->name & WORD_ERROR) != 0 || ((ev->name | ev->words) & WORD_FAILED) != 0)
        return true;
    if ((ev->words & WORD_ERROR) != 0 && o->dialect != DIALECT_PLAIN)
        return true;
    return holds(ev->filled, PLACE_ERROR) && !holds(ev->present, PLACE_JSONRPC);
}

static bool block_is_content(const struct observe_event *ev)
{
    if (ev->words & WORD_BLOCK_DELTA) {
        return holds(ev->filled, PLACE_DELTA_TEXT) ||
               (!holds(ev->present, PLACE_DELTA_TEXT) && (ev->words & WORD_SILENT) == 0);
    }
    return (ev->words & WORD_BLOCK_START) != 0 &&
           (holds(ev->filled, PLACE_BLOCK_TEXT) ||
            (holds(ev->present, PLACE_BLOCK_TYPE) && (ev->words & WORD_TEXT) == 0));
}

/* Outputs of any name and type may stand beside what describes the model. */
static bool output_is_content(const struct observe_event *ev)
{
    const uint64_t top = (PLACE_BIT(PLACE_TOP_LAST + 1) - 1) & ~(PLACE_BIT(PLACE_TOP_FIRST) - 1);
    const uint64_t about = PLACE_BIT(PLACE_ERROR) | PLACE_BIT(PLACE_JSONRPC) |
                           PLACE_BIT(PLACE_META) | PLACE_BIT(PLACE_FINAL) | PLACE_BIT(PLACE_OBJECT);

    if (holds(ev->present, PLACE_TEXT_OUTPUT))
        return holds(ev->filled, PLACE_TEXT_OUTPUT);
    return (ev->present & top & ~about) != 0;
}

static bool is_content(const struct observe_judge *o, const struct observe_event *ev)
{
    switch ((enum dialect)o->dialect) {
    case DIALECT_PLAIN: /* `choices` and no more: a filter's result ahead of the first chunk */
        return ev->some && !ev->done && ((ev->name | ev->words) & WORD_PING) == 0 &&
               !holds(ev->present, PLACE_CHOICES);
    case DIALECT_CHAT: /* WORD_DELTA: `thread.` events */
    case DIALECT_TYPED:
        return holds(ev->filled, PLACE_CHOICE_CONTENT) || (ev->words & WORD_CONTENT) != 0 ||
               ((ev->words & WORD_DELTA) != 0 &&
                (holds(ev->filled, PLACE_DELTA) || !holds(ev->present, PLACE_DELTA)));
    case DIALECT_ANTHROPIC:
        return block_is_content(ev);
    case DIALECT_KSERVE:
        return output_is_content(ev);
    case DIALECT_TGI:
        return holds(ev->filled, PLACE_TOKEN_TEXT) && !holds(ev->filled, PLACE_TOKEN_SPECIAL);
    case DIALECT_OLLAMA:
        return holds(ev->filled, PLACE_RESPONSE) || holds(ev->filled, PLACE_THINKING) ||
               holds(ev->filled, PLACE_MESSAGE_CONTENT);
    }
    return false;
}

/* A call of a tool, or its result, that comes as a whole: the stream was not empty. */
static bool is_item(const struct observe_event *ev)
{
    return (ev->words & WORD_ITEM_DONE) != 0 && holds(ev->present, PLACE_ITEM_TYPE) &&
           (ev->words & WORD_TEXT) == 0;
}

static bool is_end(const struct observe_judge *o, const struct observe_event *ev)
{
    unsigned words = ev->name | ev->words;

    switch ((enum dialect)o->dialect) {
    case DIALECT_PLAIN:
        return ev->done && o->protocol == PROTOCOL_AUTO;
    case DIALECT_CHAT:
        return ev->done;
    case DIALECT_TYPED:
        return (words & WORD_TYPED_END) != 0;
    case DIALECT_ANTHROPIC:
        return (words & WORD_MESSAGE_STOP) != 0;
    case DIALECT_KSERVE:
        return holds(ev->filled, PLACE_FINAL);
    case DIALECT_TGI:
        return holds(ev->present, PLACE_GENERATED_TEXT);
    case DIALECT_OLLAMA:
        return holds(ev->filled, PLACE_DONE);
    }
    return false;
}

bool observe_judge_event(struct observe_judge *o, const struct observe_event *ev)
{
    recognise(o, ev);
    if (is_error(o, ev)) {
        o->failed = true;
        return false;
    }
    bool piece = is_content(o, ev);
    o->said = o->said || piece || is_item(ev);
    o->excused = o->excused || ((ev->name | ev->words) & WORD_EXCUSED) != 0;
    o->choices |= ev->choices;
    o->finished |= ev->finished;
    o->ended = is_end(o, ev);
    return piece;
}

static bool has_mark(const struct observe_judge *o)
{
    return o->dialect != DIALECT_PLAIN && o->dialect != DIALECT_KSERVE;
}

/* Some servers leave out [DONE]. Where nobody said that it must be there, a reason to finish for
 * each choice is as good. */
static bool all_finished(const struct observe_judge *o)
{
    return o->protocol == PROTOCOL_AUTO && o->dialect == DIALECT_CHAT && o->choices != 0 &&
           o->choices == o->finished;
}

enum outcome_kind observe_judge_end(const struct observe_judge *o, bool whole)
{
    if (o->failed)
        return OUTCOME_STREAM_ERROR;
    if (!whole || (has_mark(o) && !o->ended && !all_finished(o)))
        return OUTCOME_TRUNCATED;
    if (o->said || o->excused || (o->dialect == DIALECT_PLAIN && !o->ended))
        return OUTCOME_OK;
    return OUTCOME_EMPTY;
}
