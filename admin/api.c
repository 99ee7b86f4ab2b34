/* Requests in, ports asked, JSON out. The verbs' bodies are checked strictly: a member that is
 * misspelt must not turn a guarded promote ("expect_step") into an unguarded one. */
#include "admin/api.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/access.h"
#include "admin/reply.h"
#include "base/strbuf.h"
#include "controller/journal_format.h"

enum {
    NAMES_LISTED_MAX = 50, /* in the detail of a 404 */
    DECISION_ID_MAX = 128,
    DECISIONS_LISTED = 100, /* unless a limit is given */
    DECISIONS_LISTED_MAX = 1000,
    LIST_BYTES_MAX = 256 * 1024 * 1024,
};

/* Terminated, or "" when it is no name at all (which no rollout has). */
static const char *name_text(struct str name, char *to, size_t size)
{
    if (!str_copy(to, size, name) || strlen(to) != name.len)
        to[0] = '\0';
    return to;
}

void api_unknown_rollout(const struct admin_ports *ports, struct serve_request *r, struct str name)
{
    struct strbuf names;

    strbuf_init(&names, NAMES_LISTED_MAX * (ROLLOUT_NAME_MAX + 2) + 64);
    for (size_t i = 0; i < ports->set->count && i < NAMES_LISTED_MAX; i++)
        strbuf_addf(&names, "%s%s", i == 0 ? "" : ", ", ports->set->policies[i]->name);
    if (ports->set->count > NAMES_LISTED_MAX)
        strbuf_addf(&names, " and %zu more", ports->set->count - NAMES_LISTED_MAX);
    reply_problem(r, 404, "unknown-rollout", "Unknown rollout",
                  "There is no rollout \"" STR_FMT "\". %s%s.", STR_ARG(name),
                  ports->set->count == 0 ? "None is loaded" : "Known: ", strbuf_cstr(&names));
    strbuf_deinit(&names);
}

/* Each document becomes text before the next is made: a thousand at once, as trees of small pieces
 * of memory, would keep the ticks waiting twice as long. */
void api_rollouts(const struct admin_ports *ports, struct serve_request *r)
{
    struct strbuf text;
    bool first = true, whole = true;

    strbuf_init(&text, LIST_BYTES_MAX);
    strbuf_add(&text, STR("{\"rollouts\":["));
    for (size_t i = 0; i < ports->set->count; i++) {
        json_t *document = ports->document_at(ports->ctx, i);
        if (document == NULL)
            continue;
        if (!first)
            strbuf_add_char(&text, ',');
        first = false;
        whole = reply_add_json(&text, document) && whole;
    }
    strbuf_add(&text, STR("]}\n"));
    if (text.overflow || !whole)
        reply_problem(r, 500, "list-too-large", "List too large",
                      "The list would be larger than %d MiB.", LIST_BYTES_MAX / 1024 / 1024);
    else
        reply_text(r, 200, STR("application/json"), strbuf_str(&text));
    strbuf_deinit(&text);
}

void api_rollout(const struct admin_ports *ports, struct serve_request *r, struct str name)
{
    char text[ROLLOUT_NAME_MAX + 1];
    json_t *document = ports->document(ports->ctx, name_text(name, text, sizeof(text)));

    if (document == NULL)
        api_unknown_rollout(ports, r, name);
    else
        reply_json(r, 200, document);
}

void api_verdict(const struct admin_ports *ports, struct serve_request *r, struct str name)
{
    char text[ROLLOUT_NAME_MAX + 1];
    bool ok = false;
    json_t *verdict = ports->verdict(ports->ctx, name_text(name, text, sizeof(text)), &ok);

    if (verdict == NULL)
        api_unknown_rollout(ports, r, name);
    else
        reply_json(r, ok ? 200 : 409, verdict);
}

void api_decision(const struct admin_ports *ports, struct serve_request *r, struct str id)
{
    char text[DECISION_ID_MAX];
    json_t *decision = ports->decision(ports->ctx, name_text(id, text, sizeof(text)));

    if (decision == NULL)
        reply_problem(r, 404, "unknown-decision", "Unknown decision",
                      "There is no decision \"" STR_FMT "\". The last 1,000 since the start are "
                      "kept; a rollout's document names its latest.",
                      STR_ARG(id));
    else
        reply_json(r, 200, decision);
}

static bool read_limit(const struct serve_request *r, size_t *ret)
{
    struct str text;
    uint64_t n;

    *ret = DECISIONS_LISTED;
    if (!serve_query_get(r, STR("limit"), &text))
        return true;
    if (!str_to_u64(text, &n) || n == 0 || n > DECISIONS_LISTED_MAX)
        return false;
    *ret = (size_t)n;
    return true;
}

void api_decisions(const struct admin_ports *ports, struct serve_request *r)
{
    char text[ROLLOUT_NAME_MAX + 1];
    const char *rollout = NULL;
    struct str name;
    size_t limit;

    if (!read_limit(r, &limit)) {
        reply_problem(r, 400, "limit", "Bad limit", "limit is a whole number from 1 to %d.",
                      DECISIONS_LISTED_MAX);
        return;
    }
    if (serve_query_get(r, STR("rollout"), &name)) {
        rollout = name_text(name, text, sizeof(text));
        json_t *document = ports->document(ports->ctx, rollout);
        if (document == NULL) {
            api_unknown_rollout(ports, r, name);
            return;
        }
        json_decref(document);
    }
    json_t *body = json_object();
    json_object_set_new(body, "decisions", ports->decisions(ports->ctx, rollout, limit));
    reply_json(r, 200, body);
}

void api_journal(const struct admin_ports *ports, struct serve_request *r, struct str name)
{
    char text[ROLLOUT_NAME_MAX + 1], disposition[ROLLOUT_NAME_MAX + 64];
    struct strbuf file;

    strbuf_init(&file, JOURNAL_FILE_MAX);
    if (ports->journal(ports->ctx, name_text(name, text, sizeof(text)), &file)) {
        snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s.journal\"", text);
        serve_add_header(r, STR("content-disposition"), str_from(disposition));
        reply_text(r, 200, STR("application/vnd.sluice.journal"), strbuf_str(&file));
    } else if (file.overflow) {
        reply_problem(r, 500, "journal-too-large", "Journal too large",
                      "The journal would be larger than %d MiB.", JOURNAL_FILE_MAX / 1024 / 1024);
    } else {
        api_unknown_rollout(ports, r, name);
    }
    strbuf_deinit(&file);
}

/* --- verbs --- */

static int parse_bool(const char *key, const json_t *value, bool *ret, struct error *reterr)
{
    if (!json_is_boolean(value))
        return error_set(reterr, -EINVAL, "\"%s\" must be true or false", key);
    *ret = json_is_true(value);
    return 0;
}

static int parse_reason(const json_t *value, struct command *c, struct error *reterr)
{
    if (!json_is_string(value))
        return error_set(reterr, -EINVAL, "\"reason\" must be a string");
    if (!str_copy(c->reason, sizeof(c->reason),
                  (struct str){json_string_value(value), json_string_length(value)}))
        return error_set(reterr, -EINVAL, "\"reason\" is longer than %zu bytes",
                         sizeof(c->reason) - 1);
    return 0;
}

static int parse_expect_step(const json_t *value, struct command *c, struct error *reterr)
{
    json_int_t step = json_integer_value(value);

    if (!json_is_integer(value) || step < 1 || step > STEPS_MAX)
        return error_set(reterr, -EINVAL, "\"expect_step\" must be a whole number from 1 to %d",
                         STEPS_MAX);
    c->expect_step = (uint32_t)step;
    return 0;
}

static int parse_member(const char *key, const json_t *value, struct command *c,
                        struct error *reterr)
{
    if (strcmp(key, "reason") == 0)
        return parse_reason(value, c, reterr);
    if (strcmp(key, "expect_step") == 0)
        return parse_expect_step(value, c, reterr);
    if (strcmp(key, "force") == 0)
        return parse_bool(key, value, &c->force, reterr);
    if (strcmp(key, "full") == 0) {
        if (c->kind != COMMAND_PROMOTE)
            return error_set(reterr, -EINVAL, "\"full\" belongs to promote, not to %s",
                             command_names[c->kind]);
        return parse_bool(key, value, &c->full, reterr);
    }
    if (strcmp(key, "weight") == 0) {
        if (c->kind != COMMAND_PAUSE)
            return error_set(reterr, -EINVAL, "\"weight\" belongs to pause, not to %s",
                             command_names[c->kind]);
        if (!json_is_number(value) || json_number_value(value) != 0)
            return error_set(reterr, -EINVAL, "\"weight\" can only be 0: paused without traffic");
        c->zero = true;
        return 0;
    }
    return error_set(reterr, -EINVAL,
                     "unknown member \"%.64s\"; known: reason, expect_step, force%s", key,
                     c->kind == COMMAND_PROMOTE ? ", full"
                     : c->kind == COMMAND_PAUSE ? ", weight"
                                                : "");
}

int api_parse_command(struct str body, enum command_kind kind, struct command *ret,
                      struct error *reterr)
{
    struct command c = {.kind = kind};
    json_error_t where;
    const char *key;
    json_t *value;
    int rc = 0;

    if (str_trim(body).len == 0) {
        *ret = c;
        return 0;
    }
    json_t *root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL)
        return error_set(reterr, -EINVAL, "the body is not valid JSON: line %d, column %d: %s",
                         where.line, where.column, where.text);
    if (!json_is_object(root))
        rc = error_set(reterr, -EINVAL, "the body must be a JSON object");
    json_object_foreach(root, key, value)
    {
        if (rc == 0)
            rc = parse_member(key, value, &c, reterr);
    }
    json_decref(root);
    if (rc == 0)
        *ret = c;
    return rc;
}

/* Who says so. Not authenticated: the API is open to this machine's users only. */
static void set_who(const struct serve_request *r, struct command *c)
{
    struct str user = serve_header(r, STR("x-sluice-user"));
    size_t n = 0;

    for (size_t i = 0; user.ptr != NULL && i < user.len && n < sizeof(c->who) - 1; i++)
        if (user.ptr[i] > ' ' && user.ptr[i] < 0x7f)
            c->who[n++] = user.ptr[i];
    c->who[n] = '\0';
    if (n == 0)
        str_copy(c->who, sizeof(c->who), STR("api"));
}

static bool body_is_json(const struct serve_request *r)
{
    return serve_body(r).len == 0 ||
           access_content_type_is_json(serve_header(r, STR("content-type")));
}

static void reply_command(const struct admin_ports *ports, struct serve_request *r,
                          const char *rollout, const struct command *c,
                          const struct command_result *result)
{
    if (!result->ok) {
        reply_problem(r, 409, "refused", result->title, "%s", result->detail);
        return;
    }
    json_t *body = json_object(), *document = ports->document(ports->ctx, rollout);
    json_object_set_new(body, "rollout", json_string(rollout));
    json_object_set_new(body, "command", json_string(command_names[c->kind]));
    json_object_set_new(body, "detail", json_string(result->detail));
    json_object_set_new(body, "document", document == NULL ? json_null() : document);
    reply_json(r, 200, body);
}

void api_command(const struct admin_ports *ports, struct serve_request *r, struct str name,
                 enum command_kind kind)
{
    char text[ROLLOUT_NAME_MAX + 1];
    struct command c;
    struct command_result result = {.ok = false};
    struct error error = {.code = 0};

    if (!body_is_json(r)) {
        reply_problem(r, 415, "media-type", "Unsupported media type",
                      "Send the body with Content-Type: application/json.");
        return;
    }
    if (api_parse_command(serve_body(r), kind, &c, &error) != 0) {
        reply_problem(r, 400, "body", "Bad request body", "%s", error.message);
        return;
    }
    set_who(r, &c);
    if (ports->command(ports->ctx, name_text(name, text, sizeof(text)), &c, &result) == -ENOENT)
        api_unknown_rollout(ports, r, name);
    else
        reply_command(ports, r, text, &c, &result);
}
