/* What a target may not hold is refused, never escaped or cut: whoever reads it next must see what
 * was routed here.
 */
#include "net/target.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "net/scan.h"

enum { AUTHORITY_MAX = 255 };

static bool port_valid(struct str digits)
{
    uint64_t port;

    return digits.len == 0 || (str_to_u64(digits, &port) && port <= 65535);
}

/* "[...]": hex digits, colons and dots; zone identifiers have no place on the wire. */
static bool ip_literal_valid(struct str s)
{
    for (size_t i = 1; i + 1 < s.len; i++)
        if (strchr("0123456789abcdefABCDEF:.", s.ptr[i]) == NULL)
            return false;
    return s.len > 3 && memchr(s.ptr, ':', s.len) != NULL;
}

bool target_split_authority(struct str authority, struct str *ret_host)
{
    size_t host_len = authority.len;

    if (authority.len == 0 || authority.len > AUTHORITY_MAX)
        return false;
    size_t word = scan_word(authority, 0); /* nearly all are no more than that, and a port */
    if (word == authority.len ||
        (word > 0 && authority.ptr[word] == ':' &&
         port_valid((struct str){authority.ptr + word + 1, authority.len - word - 1}))) {
        *ret_host = (struct str){authority.ptr, word};
        return true;
    }
    for (size_t i = 0; i < authority.len; i++) {
        unsigned char c = (unsigned char)authority.ptr[i];
        if (c <= ' ' || c >= 0x7f || strchr("/?#@\\,\"<>^`{|}", c) != NULL)
            return false;
    }
    if (authority.ptr[0] == '[') {
        const char *end = memchr(authority.ptr, ']', authority.len);
        if (end == NULL)
            return false;
        host_len = (size_t)(end - authority.ptr) + 1;
        if (!ip_literal_valid((struct str){authority.ptr, host_len}))
            return false;
    } else {
        const char *colon = memchr(authority.ptr, ':', authority.len);
        if (colon != NULL)
            host_len = (size_t)(colon - authority.ptr);
        if (memchr(authority.ptr, '[', host_len) != NULL ||
            memchr(authority.ptr, ']', host_len) != NULL)
            return false;
    }
    if (host_len == 0)
        return false;
    if (host_len < authority.len &&
        (authority.ptr[host_len] != ':' ||
         !port_valid((struct str){authority.ptr + host_len + 1, authority.len - host_len - 1})))
        return false;
    *ret_host = (struct str){authority.ptr, host_len};
    return true;
}

/* How long "http://" or "https://" at the front is, or 0. */
static size_t scheme_length(struct str s)
{
    if (s.len > 7 && strncasecmp(s.ptr, "http://", 7) == 0)
        return 7;
    return s.len > 8 && strncasecmp(s.ptr, "https://", 8) == 0 ? 8 : 0;
}

const char *target_parse(struct str rest, bool options, struct target *ret)
{
    size_t scheme = scheme_length(rest);

    *ret = (struct target){.authority = STR(""), .host = STR("")};
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)rest.ptr[i] <= ' ' || (unsigned char)rest.ptr[i] >= 0x7f)
            return "the target has a byte that must be escaped";
    if (memchr(rest.ptr, '#', rest.len) != NULL)
        return "the target has a fragment";
    if (scheme > 0) {
        rest = (struct str){rest.ptr + scheme, rest.len - scheme};
        size_t n = 0;
        while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
            n++;
        ret->authority = (struct str){rest.ptr, n};
        if (!target_split_authority(ret->authority, &ret->host))
            return "the target's host is not a host";
        rest = (struct str){rest.ptr + n, rest.len - n};
        if (rest.len == 0)
            rest = options ? STR("*") : STR("/");
    } else if (str_eq(rest, STR("*"))) {
        if (!options)
            return "the target * is for OPTIONS only";
    } else if (rest.len == 0 || rest.ptr[0] != '/') {
        return "the target is not a path";
    }
    const char *question = memchr(rest.ptr, '?', rest.len);
    size_t path_len = question == NULL ? rest.len : (size_t)(question - rest.ptr);
    ret->path = (struct str){rest.ptr, path_len};
    ret->query = (struct str){rest.ptr + path_len, rest.len - path_len};
    if (ret->path.len == 0) /* http://host?query */
        ret->path = STR("/");
    return NULL;
}
