/* The names certificates are for: DNS names and addresses of the subjectAltName, or, where an old
 * certificate has none of them, the common name. A wildcard stands for exactly one label
 * (RFC 6125, 6.4.3).
 */
#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/tls_internal.h"

enum { NAME_BYTES_MAX = 255, NAMES_MAX = 64 * 1024 };

/* As it is compared: lower case, without the root's dot. False: longer than any name. */
static bool normalise(struct str name, char to[static NAME_BYTES_MAX + 1])
{
    if (name.len > 1 && name.ptr[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (c <= ' ' || c == 0x7f) /* no name; and it would lie in a message */
            return false;
        to[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
    }
    to[name.len] = '\0';
    return true;
}

typedef void name_fn(void *arg, struct str name);

static bool each_alternative(const X509 *x, name_fn *fn, void *arg)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool any = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char text[INET6_ADDRSTRLEN];
        if (name->type == GEN_DNS) {
            fn(arg, (struct str){(const char *)ASN1_STRING_get0_data(name->d.dNSName),
                                 (size_t)ASN1_STRING_length(name->d.dNSName)});
            any = true;
        } else if (name->type == GEN_IPADD) {
            int len = ASN1_STRING_length(name->d.iPAddress);
            if ((len == 4 || len == 16) &&
                inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress),
                          text, sizeof(text)) != NULL)
                fn(arg, str_from(text));
            any = true;
        }
    }
    GENERAL_NAMES_free(names);
    return any;
}

static void each_name(const X509 *x, name_fn *fn, void *arg)
{
    unsigned char *text = NULL;

    if (each_alternative(x, fn, arg))
        return;
    const X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0)
        return;
    int len =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len >= 0)
        fn(arg, (struct str){(const char *)text, (size_t)len});
    OPENSSL_free(text);
}

struct adding {
    struct tls_names *names;
    size_t certificate;
};

static void add_name(void *arg, struct str name)
{
    const struct adding *a = arg;
    struct tls_names *n = a->names;
    char text[NAME_BYTES_MAX + 1];

    if (n->count == NAMES_MAX || !normalise(name, text))
        return;
    n->items = xrealloc(n->items, (n->count + 1) * sizeof(*n->items));
    n->items[n->count++] = (struct tls_name){xstrdup(text), a->certificate};
}

void tls_names_add(struct tls_names *n, const X509 *x, size_t certificate)
{
    struct adding a = {n, certificate};

    each_name(x, add_name, &a);
}

static int compare(const void *a, const void *b)
{
    const struct tls_name *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order
                      : (x->certificate > y->certificate) - (x->certificate < y->certificate);
}

void tls_names_sort(struct tls_names *n)
{
    if (n->count > 0)
        qsort(n->items, n->count, sizeof(*n->items), compare);
}

void tls_names_deinit(struct tls_names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->items[i].name);
    free(n->items);
    *n = (struct tls_names){0};
}

/* The first item that is not less than this one. */
static size_t lower_bound(const struct tls_names *n, const struct tls_name *wanted)
{
    size_t low = 0, high = n->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&n->items[middle], wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct tls_name *find(const struct tls_names *n, char *name, size_t from)
{
    const struct tls_name wanted = {name, from};
    size_t at = lower_bound(n, &wanted);

    return at < n->count && strcmp(n->items[at].name, name) == 0 ? &n->items[at] : NULL;
}

/* "*.example.com" for "a.example.com"; NULL when it has no parent. The text is changed. */
static char *wildcard(char *name)
{
    char *dot = strchr(name, '.');

    if (dot == NULL || dot == name)
        return NULL;
    dot[-1] = '*';
    return dot - 1;
}

size_t tls_names_find(const struct tls_names *n, struct str name, size_t otherwise)
{
    char text[NAME_BYTES_MAX + 1], *parent;

    if (!normalise(name, text))
        return otherwise;
    const struct tls_name *found = find(n, text, 0);
    if (found == NULL && (parent = wildcard(text)) != NULL)
        found = find(n, parent, 0);
    return found == NULL ? otherwise : found->certificate;
}

static bool is_for(const struct tls_names *n, char *name, size_t certificate)
{
    const struct tls_name *found = find(n, name, certificate);

    return found != NULL && found->certificate == certificate;
}

bool tls_names_cover(const struct tls_names *n, size_t certificate, struct str name)
{
    char text[NAME_BYTES_MAX + 1], *parent;

    if (!normalise(name, text))
        return false;
    return is_for(n, text, certificate) ||
           ((parent = wildcard(text)) != NULL && is_for(n, parent, certificate));
}

struct listing {
    char *to;
    size_t size, len;
};

static void list_name(void *arg, struct str name)
{
    struct listing *l = arg;
    char text[NAME_BYTES_MAX + 1];

    if (!normalise(name, text))
        return;
    int n = snprintf(l->to + l->len, l->size - l->len, "%s%s", l->len > 0 ? ", " : "", text);
    if (n > 0 && (size_t)n < l->size - l->len)
        l->len += (size_t)n;
    else
        l->to[l->len] = '\0'; /* whole names or none */
}

void tls_names_text(const X509 *x, char *to, size_t size)
{
    struct listing l = {to, size, 0};

    CHECK(size > 0);
    to[0] = '\0';
    each_name(x, list_name, &l);
}
