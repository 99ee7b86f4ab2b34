/* proxy/observe_judge.h — what the events of a stream prove, one after another, by the protocol
 * they belong to. Internal to observe. Pure.
 */
#ifndef PROXY_OBSERVE_JUDGE_H
#define PROXY_OBSERVE_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "analysis/outcome.h"
#include "policies/policy.h"
#include "proxy/observe_words.h"

/* What was read of one event. */
struct observe_event {
    unsigned name;                   /* words of its `event` field */
    unsigned words;                  /* of its JSON; the name's too when that is whole */
    uint64_t named, present, filled; /* places of its JSON, as in proxy/observe_json.h */
    uint64_t choices, finished;
    bool done; /* its data is [DONE] */
    bool some; /* it has any data */
};

struct observe_judge {
    uint8_t protocol; /* enum stream_protocol */
    uint8_t dialect;  /* which form of it; see observe_judge.c */
    bool settled;     /* the dialect will not change any more */
    bool lines;       /* JSON lines, not server-sent events */
    bool ended;       /* the end mark has come: what follows means nothing */
    bool said;        /* there was content */
    bool excused;     /* ... or a reason for none that is no failure */
    bool failed;
    uint64_t choices, finished; /* seen, and with a reason why they finished */
};

void observe_judge_init(struct observe_judge *, enum stream_protocol, bool lines);
/* Not after the end mark. True if the event holds a piece of content. */
bool observe_judge_event(struct observe_judge *, const struct observe_event *);
/* As observe_end. */
enum outcome_kind observe_judge_end(const struct observe_judge *, bool whole);

#endif
