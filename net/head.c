/* Chooses the reader and says what the head means: whom it is for, how its body is framed, what it
 * asks for. None of that looks at the bytes of lines again.
 */
#include "net/head.h"

#include "base/check.h"
#include "net/judged.h"
#include "net/plain.h"
#include "net/target.h"

#ifndef HEAD_JUDGE_ALL
#define HEAD_JUDGE_ALL 0
#endif

static int refuse(const char **ret_why, int status, const char *why)
{
    *ret_why = why;
    return status;
}

static bool any_member(const struct head *h, enum field_id id, struct str wanted)
{
    for (size_t i = h->index[id]; i > 0 && i <= h->count; i++) {
        struct str rest = h->fields[i - 1].value, member;
        if (h->fields[i - 1].id != id)
            continue;
        while (field_next_member(&rest, &member))
            if (str_ieq(member, wanted))
                return true;
    }
    return false;
}

/* The one protocol that Upgrade names, or an empty slice: none, several, or not a protocol. */
static struct str upgrade_protocol(const struct head *h)
{
    const struct head_field *f = head_get(h, FIELD_UPGRADE);
    struct str none = {"", 0};

    if (f == NULL || h->minor == 0 || (h->repeated & FIELD_BIT(FIELD_UPGRADE)) != 0 ||
        !any_member(h, FIELD_CONNECTION, STR("upgrade")))
        return none;
    struct str version = f->value, name;
    (void)str_split(&version, '/', &name);
    return field_is_token(name) && (version.ptr == NULL || field_is_token(version)) ? f->value
                                                                                    : none;
}

/* Protocols that change how we would have to read what follows are ours to speak, or nobody's. */
static bool tunnelled(struct str protocol)
{
    static const struct str ours[] = {{"h2", 2}, {"h2c", 3}, {"http", 4}, {"tls", 3}};
    struct str name;

    (void)str_split(&protocol, '/', &name);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (str_ieq(name, ours[i]))
            return false;
    return name.len > 0;
}

/* Host and the target's form (RFC 9112, 3.2). An absolute-form target replaces Host. */
static int read_target(struct head *h, const char **why)
{
    const struct head_field *host = head_get(h, FIELD_HOST);
    struct target target;

    if ((h->repeated & FIELD_BIT(FIELD_HOST)) != 0)
        return refuse(why, 400, "Host is given twice");
    if (host == NULL && h->minor == 1)
        return refuse(why, 400, "Host is missing");
    h->authority = h->host = STR("");
    if (host != NULL) {
        h->authority = host->value;
        if (!target_split_authority(h->authority, &h->host))
            return refuse(why, 400, "Host is not a host");
    }
    if (h->plain) /* it is a path, and was cut */
        return 0;
    const char *wrong = target_parse(h->target, str_eq(h->method, STR("OPTIONS")), &target);
    if (wrong != NULL)
        return refuse(why, 400, wrong);
    if (target.authority.len > 0) {
        h->authority = target.authority;
        h->host = target.host;
    }
    h->path = target.path;
    h->query = target.query;
    return 0;
}

/* Expect (RFC 9110, 10.1.1), which HTTP/1.0 does not have. */
static int read_expect(struct head *h, const char **why)
{
    if (h->minor == 0 || !head_has(h, FIELD_EXPECT))
        return 0;
    for (size_t i = 0; i < h->count; i++)
        if (h->fields[i].id == FIELD_EXPECT && !str_ieq(h->fields[i].value, STR("100-continue")))
            return refuse(why, 417, "an expectation other than 100-continue");
    h->expect_continue = !head_get(h, FIELD_EXPECT)->hop;
    return 0;
}

/* Max-Forwards of OPTIONS (RFC 9110, 7.6.2); other methods' means nothing. */
static int read_max_forwards(struct head *h, const char **why)
{
    const struct head_field *f = head_get(h, FIELD_MAX_FORWARDS);
    uint64_t hops;

    if (f == NULL || !str_eq(h->method, STR("OPTIONS")))
        return 0;
    if ((h->repeated & FIELD_BIT(FIELD_MAX_FORWARDS)) != 0)
        return refuse(why, 400, "Max-Forwards is given twice");
    if (!str_to_u64(f->value, &hops))
        return refuse(why, 400, "Max-Forwards is not a number");
    if (hops == 0)
        return refuse(why, 501, "OPTIONS that may not be sent on: this proxy has none to tell");
    h->max_forwards = hops > INT32_MAX ? INT32_MAX : (int32_t)hops;
    return 0;
}

/* A weight of 0 says "not this one" (RFC 9110, 12.4.2). */
static bool weight_zero(struct str parameters)
{
    struct str p;

    while (str_split(&parameters, ';', &p)) {
        p = str_trim(p);
        if (p.len < 3 || (p.ptr[0] | 0x20) != 'q' || p.ptr[1] != '=')
            continue;
        p = (struct str){p.ptr + 2, p.len - 2};
        for (size_t i = 0; i < p.len; i++)
            if (p.ptr[i] != '0' && p.ptr[i] != '.')
                return false;
        return true;
    }
    return false;
}

static bool names_event_stream(struct str list)
{
    static const struct str wanted = {"text/event-stream", 17};
    struct str member, type;

    while (list.len >= wanted.len && field_next_member(&list, &member)) {
        (void)str_split(&member, ';', &type);
        if (str_ieq(str_trim(type), wanted) && !weight_zero(member))
            return true;
    }
    return false;
}

static bool accepts_event_stream(const struct head *h)
{
    const struct head_field *f = head_get(h, FIELD_ACCEPT);

    if (f == NULL || (h->repeated & FIELD_BIT(FIELD_ACCEPT)) == 0)
        return f != NULL && names_event_stream(f->value);
    for (; f < &h->fields[h->count]; f++)
        if (f->id == FIELD_ACCEPT && names_event_stream(f->value))
            return true;
    return false;
}

/* How the body is framed, and what else the fields ask for. 0 or a status. */
static int conclude_request(struct head *h, const char **why)
{
    int status;

    h->framing = head_has(h, FIELD_TRANSFER_ENCODING) ? FRAMING_CHUNKED
                 : h->length > 0                      ? FRAMING_LENGTH
                                                      : FRAMING_NONE;
    if ((status = read_target(h, why)) != 0 || (status = read_expect(h, why)) != 0 ||
        (status = read_max_forwards(h, why)) != 0)
        return status;
    if (head_has(h, FIELD_UPGRADE)) {
        h->upgrade_protocol = upgrade_protocol(h);
        h->upgrade = h->framing == FRAMING_NONE && tunnelled(h->upgrade_protocol) &&
                     (str_eq(h->method, STR("GET")) || str_eq(h->method, STR("POST")));
    }
    /* Not named by Connection, TE is somebody else's that nobody took out (9110, 10.1.4). */
    h->te_trailers = head_has(h, FIELD_TE) && h->minor == 1 &&
                     any_member(h, FIELD_TE, STR("trailers")) &&
                     any_member(h, FIELD_CONNECTION, STR("te"));
    h->accepts_event_stream = accepts_event_stream(h);
    return 0;
}

/* How the body is framed, and whether it upgrades. */
static void conclude_response(struct head *h, bool to_head)
{
    if (to_head || h->status < 200 || h->status == 204 || h->status == 304)
        h->framing = FRAMING_NONE;
    else
        h->framing = head_has(h, FIELD_TRANSFER_ENCODING) ? FRAMING_CHUNKED
                     : !head_has(h, FIELD_CONTENT_LENGTH) ? FRAMING_CLOSE
                     : h->length > 0                      ? FRAMING_LENGTH
                                                          : FRAMING_NONE;
    if (head_has(h, FIELD_UPGRADE)) {
        h->upgrade_protocol = upgrade_protocol(h);
        h->upgrade = (h->status == 101 || h->status == 426) && tunnelled(h->upgrade_protocol);
    }
}

/* What was read of a plain head is the same the long way. Never in the release build. */
static void judge(const struct head *plain, int status, const struct head *other, int other_status)
{
    size_t from = offsetof(struct head, minor), to = offsetof(struct head, fields);

    CHECK(other_status == status && other->bytes == plain->bytes);
    if (status != 0)
        return;
    CHECK(other->present == plain->present && other->repeated == plain->repeated);
    CHECK(memcmp((const char *)other + from, (const char *)plain + from, to - from) == 0);
    for (size_t i = 0; i < plain->count; i++) {
        const struct head_field *a = &plain->fields[i], *b = &other->fields[i];
        CHECK(str_eq(a->line, b->line) && str_eq(a->name, b->name) && str_eq(a->value, b->value));
        CHECK(a->line.ptr == b->line.ptr && a->value.ptr == b->value.ptr);
        CHECK(a->id == b->id && a->hop == b->hop && a->anew == b->anew);
    }
}

/* 0 where reading begins at the front: at first, and once the head is all there. */
static size_t unless_whole(struct str bytes, size_t scanned)
{
    return scanned <= bytes.len && scanned > 0 && judged_end(bytes, scanned) == 0 ? scanned : 0;
}

int head_parse_request(struct str bytes, size_t scanned, struct head_limits limits, struct head *h,
                       const char **ret_why)
{
    int status;

    CHECK(limits.fields <= HEAD_FIELDS_MAX);
    *ret_why = "";
    scanned = unless_whole(bytes, scanned);
    if (scanned == 0 && plain_request(bytes, limits, h)) {
        status = conclude_request(h, ret_why);
        if (HEAD_JUDGE_ALL) {
            struct head other;
            const char *why = "";
            int again = judged_request(bytes, 0, limits, &other, &why);
            judge(h, status, &other, again != 0 ? again : conclude_request(&other, &why));
        }
        return status;
    }
    status = judged_request(bytes, scanned, limits, h, ret_why);
    return status != 0 ? status : conclude_request(h, ret_why);
}

int head_parse_response(struct str bytes, size_t scanned, struct head_limits limits, bool to_head,
                        struct head *h, const char **ret_why)
{
    CHECK(limits.fields <= HEAD_FIELDS_MAX);
    *ret_why = "";
    scanned = unless_whole(bytes, scanned);
    if (scanned == 0 && plain_response(bytes, limits, h)) {
        conclude_response(h, to_head);
        if (HEAD_JUDGE_ALL) {
            struct head other;
            const char *why = "";
            int again = judged_response(bytes, 0, limits, &other, &why);
            conclude_response(&other, to_head);
            judge(h, 0, &other, again);
        }
        return 0;
    }
    int status = judged_response(bytes, scanned, limits, h, ret_why);
    if (status == 0)
        conclude_response(h, to_head);
    return status;
}

struct str head_find(const struct head *h, struct str name)
{
    for (size_t i = 0; i < h->count; i++)
        if (str_ieq(h->fields[i].name, name))
            return h->fields[i].value;
    return (struct str){NULL, 0};
}
