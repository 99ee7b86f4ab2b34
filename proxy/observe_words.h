/* proxy/observe_words.h — the words of the streaming protocols: which keys of an event's JSON
 * matter, and what the names and reasons in it mean. Internal to observe. Pure tables.
 */
#ifndef PROXY_OBSERVE_WORDS_H
#define PROXY_OBSERVE_WORDS_H

#include <stdint.h>

#include "base/str.h"

enum { OBSERVE_WORD_MAX = 64 }; /* longer strings are no word */

/* The values of an event that are looked at, by where they stand. All others are PLACE_NONE, and so
 * is all within them. */
enum place {
    PLACE_NONE,
    PLACE_ROOT,
    /* Members of the event's object. */
    PLACE_TOP_FIRST,
    PLACE_ERROR = PLACE_TOP_FIRST,
    PLACE_JSONRPC,
    PLACE_META, /* of KServe: beside the output */
    PLACE_FINAL,
    PLACE_TYPE,
    PLACE_OBJECT,
    PLACE_CHOICES,
    PLACE_DELTA,
    PLACE_BLOCK,
    PLACE_ITEM,
    PLACE_MESSAGE,
    PLACE_RESPONSE,
    PLACE_THINKING,
    PLACE_DONE,
    PLACE_DONE_REASON,
    PLACE_TOKEN,
    PLACE_GENERATED_TEXT,
    PLACE_TEXT_OUTPUT,
    PLACE_OTHER,
    PLACE_TOP_LAST = PLACE_OTHER,
    /* choices[], its members, and the content in its delta or message */
    PLACE_CHOICE,
    PLACE_CHOICE_INDEX,
    PLACE_CHOICE_FINISH,
    PLACE_CHOICE_DELTA,
    PLACE_CHOICE_CONTENT,
    /* delta.*, content_block.*, item.*, message.*, token.* */
    PLACE_DELTA_TYPE,
    PLACE_DELTA_TEXT,
    PLACE_DELTA_STOP,
    PLACE_BLOCK_TYPE,
    PLACE_BLOCK_TEXT,
    PLACE_ITEM_TYPE,
    PLACE_MESSAGE_CONTENT,
    PLACE_TOKEN_TEXT,
    PLACE_TOKEN_SPECIAL,
    PLACE_COUNT,
};

_Static_assert(PLACE_COUNT <= 64, "a set of places is one word of 64 bits");

#define PLACE_BIT(place) (UINT64_C(1) << (place))

enum word {
    WORD_ERROR = 1 << 0,  /* an event of this name or type is an error */
    WORD_FAILED = 1 << 1, /* an event or a reason that says the model failed */
    WORD_PING = 1 << 2,
    WORD_CHAT = 1 << 3, /* these three tell a protocol */
    WORD_TYPED = 1 << 4,
    WORD_ANTHROPIC = 1 << 5,
    WORD_DELTA = 1 << 6,   /* a typed event whose `delta` is content */
    WORD_CONTENT = 1 << 7, /* a typed event that is content */
    WORD_ITEM_DONE = 1 << 8,
    WORD_TYPED_END = 1 << 9,
    WORD_BLOCK_START = 1 << 10,
    WORD_BLOCK_DELTA = 1 << 11,
    WORD_MESSAGE_STOP = 1 << 12,
    WORD_TEXT = 1 << 13,    /* a block or item that is text: content only if there is some */
    WORD_SILENT = 1 << 14,  /* a delta that carries no content: signatures, citations */
    WORD_EXCUSED = 1 << 15, /* a reason to end without content that is no failure */
};

/* Of a member of the object at this place. PLACE_NONE: not looked at. */
enum place observe_word_key(enum place object, struct str key);
/* Whether the text of a string at this place is to be given to observe_word_value. */
bool observe_word_wanted(enum place);
/* Both give a set of enum word; 0: unknown. */
unsigned observe_word_value(enum place, struct str text);
unsigned observe_word_event(struct str name);

#endif
