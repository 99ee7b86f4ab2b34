/* controller/decision.h — a decision that was taken, with the evidence it was taken on, as JSON and
 * as a sentence for whoever is woken by it.
 *
 * The JSON object:
 *   "id"        "chat-17"
 *   "time"      RFC 3339
 *   "rollout"   name
 *   "type"      event name: "rollout.rolled_back"
 *   "cause"     "canary" | "passed" | "criterion" | "hard_down" | "undecided" | "approval" |
 *               "command" | "restart" | "wide" (steadily) | "shift" | "window" |
 *               "visit" (asked again, or cleared) | "unsteady" | "no_data" | "baked"
 *   "reason"    the sentence
 *   "stable", "canary"   versions; canary null: none
 *   "from", "to"         {"phase", "step", "weight"}
 *   "phase", "step", "weight"   of "to" again, for filters
 *   "criterion"          the name of the criterion that decided, or null
 *   "evidence", "criteria", "hard_down"   as in a rollout's document
 *   "seconds_since_first_failure"   of the canary in this step; null: it had none
 *   "who", "why", "command"         of a command, else null
 */
#ifndef CONTROLLER_DECISION_H
#define CONTROLLER_DECISION_H

#include <jansson.h>

#include <stdint.h>

#include "base/clock.h"
#include "controller/evidence_json.h"
#include "controller/rollout.h"

enum {
    DECISION_ID_MAX = ROLLOUT_NAME_MAX + 24,
    DECISION_REASON_MAX = 1024,
};

/* What a record is made of; all borrowed. */
struct decision_facts {
    const struct policy *policy;
    const struct rollout_decision *decision;
    const struct command *command; /* NULL: none */
    struct evidence_latency latency;
    uint64_t number; /* within the rollout */
    int64_t now_ns, wall_ns;
    bool unkept; /* nothing was stored about this rollout, and the store keeps nothing */
};

struct decision_record {
    char id[DECISION_ID_MAX];
    enum rollout_event event;
    int64_t wall_ns;
    char reason[DECISION_REASON_MAX];
    json_t *json;
    json_t *basis; /* what it rested on beyond that (controller/basis.h); NULL: not gathered. Kept
                      with the decision, left out of its event and of the rollout's document */
};

struct decision_record *decision_record_new(const struct decision_facts *);
void decision_record_free(struct decision_record *);

/* The sentence alone; returns `to`. */
char *decision_sentence(const struct decision_facts *, char to[static DECISION_REASON_MAX]);

/* 12345 → "12,345"; returns `to`. */
enum { COUNT_TEXT_MAX = 32 };
char *count_text(uint64_t, char to[static COUNT_TEXT_MAX]);
/* A share in percent with three digits: 0.19763 → "19.8%"; returns `to`. */
char *share_text(double, char to[static COUNT_TEXT_MAX]);

#endif
