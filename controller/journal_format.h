/* controller/journal_format.h — the records of a journal: values to bytes and back.
 *
 *   file    = "sluice journal 1\n" record...
 *   record  = kind (1 byte), length of the payload (LEB128), payload, CRC-32C (4 bytes, the lowest
 *             first) of all of it before
 *
 * docs/journal.md describes the payloads. What is read may come from anywhere: every number is
 * checked against what the engine takes.
 */
#ifndef CONTROLLER_JOURNAL_FORMAT_H
#define CONTROLLER_JOURNAL_FORMAT_H

#include "base/error.h"
#include "controller/journal.h"

#define JOURNAL_MAGIC "sluice journal 1\n"

enum {
    JOURNAL_RECORD_MAX = 16 * 1024 * 1024, /* bytes of a payload */
    JOURNAL_DELTAS_MAX = 65536,            /* slots in one observation */
    JOURNAL_FILE_MAX = JOURNAL_BYTES_MAX * 2 + JOURNAL_RECORD_MAX,
};

enum journal_kind {
    JOURNAL_HEAD = 1, /* once, first: who wrote it, the policy */
    JOURNAL_SEGMENT,  /* a checkpoint; the records up to the next one follow from it */
    JOURNAL_LOOK,
    JOURNAL_DECISION, /* what the look before it decided */
    JOURNAL_END,      /* once, last */
};

struct journal_head {
    struct str program; /* its version */
    int64_t wall_ns;    /* of writing */
    uint32_t fields;    /* decision_fields_version() */
    struct str rollout, policy;
};

struct journal_segment {
    uint64_t number; /* from 1; one missing: it was dropped, or lost */
    int64_t now_ns, wall_ns;
    enum journal_from {
        JOURNAL_FROM_INIT,    /* engine_init */
        JOURNAL_FROM_ADOPTED, /* and engine_adopt */
        JOURNAL_FROM_SAVED,   /* and engine_adopt, and analysis_load */
    } from;
    struct str state; /* state_add_text; empty: FROM_INIT */
    struct str analysis;
};

struct journal_look_record {
    enum rollout_input_kind kind;
    int64_t now_ns;
    bool refused; /* the store failed: effects_result was not EFFECTS_DONE */
    bool decided; /* a JOURNAL_DECISION follows */
    bool has_command;
    struct command command;
    bool has_observation;
    uint32_t sum; /* decision_sum */
};

struct journal_decision {
    uint64_t number;
    int64_t wall_ns;
    struct str text; /* decision_add_text */
};

struct journal_end {
    uint64_t segments, looks, decisions;
};

/* --- writing: each appends a whole record --- */
void journal_add_head(struct strbuf *, const struct journal_head *);
void journal_add_segment(struct strbuf *, const struct journal_segment *);
void journal_add_look(struct strbuf *, const struct policy *, int64_t last_ns,
                      const struct journal_look *, uint32_t sum);
void journal_add_decision(struct strbuf *, const struct journal_decision *);
void journal_add_end(struct strbuf *, const struct journal_end *);

/* --- reading payloads: false when they are not what they say --- */
bool journal_get_head(struct str payload, struct journal_head *ret);
bool journal_get_segment(struct str payload, struct journal_segment *ret);
/* `observation` is cleared and filled. last_ns: of the look before, or of the segment. */
bool journal_get_look(struct str payload, const struct policy *, int64_t last_ns,
                      struct journal_look_record *ret, struct observation *observation);
bool journal_get_decision(struct str payload, struct journal_decision *ret);
bool journal_get_end(struct str payload, struct journal_end *ret);

/* --- records of a file --- */

struct journal_reader {
    struct str all;
    size_t at;       /* of the next record */
    uint64_t summed; /* bytes of records whose checksum was wrong */
    /* of the record that was read last: */
    size_t record_at;
    enum journal_kind kind;
    struct str payload;
};

/* 0, or -EINVAL when it is no journal, or one of a version that is not known. */
int journal_open(struct str all, struct journal_reader *, struct error *reterr);
/* 1: a record; 0: the end; -EINVAL: what is at `record_at` is damaged, and how. The next call goes
 * on at the next whole checkpoint behind it, or nowhere, in a file that is made of what only looks
 * like checkpoints. */
int journal_next(struct journal_reader *, struct error *reterr);

#endif
