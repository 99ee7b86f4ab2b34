/* What endpoints gave us to take up a session again, a few hundred at most. Each connection gets a
 * copy: an SSL_SESSION that two threads use at once is not safe to.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/hash.h"
#include "net/tls_internal.h"

enum { SLOTS = 512, PROBES = 8 }; /* powers of two */

struct slot {
    char *key; /* NULL: empty */
    SSL_SESSION *session;
};

struct tls_sessions {
    pthread_mutex_t lock; /* once per handshake and ticket */
    struct slot slots[SLOTS];
};

struct tls_sessions *tls_sessions_new(void)
{
    struct tls_sessions *s = xcalloc(1, sizeof(*s));

    CHECK(pthread_mutex_init(&s->lock, NULL) == 0);
    return s;
}

static void clear(struct slot *slot)
{
    free(slot->key);
    SSL_SESSION_free(slot->session);
    *slot = (struct slot){.key = NULL};
}

void tls_sessions_free(struct tls_sessions *s)
{
    for (size_t i = 0; i < SLOTS; i++)
        clear(&s->slots[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* The slot that holds the key, or NULL; *ret_room is where it may go: an empty one, else one whose
 * session is given up for it. */
static struct slot *find(struct tls_sessions *s, const char *key, struct slot **ret_room)
{
    size_t at = (size_t)hash_fnv1a(str_from(key));

    *ret_room = &s->slots[at % SLOTS];
    for (size_t i = 0; i < PROBES; i++) {
        struct slot *slot = &s->slots[(at + i) % SLOTS];
        if (slot->key == NULL)
            *ret_room = (*ret_room)->key == NULL ? *ret_room : slot;
        else if (strcmp(slot->key, key) == 0)
            return slot;
    }
    return NULL;
}

void tls_sessions_put(struct tls_sessions *s, const char *key, const SSL_SESSION *session)
{
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    struct slot *room;

    if (copy == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    struct slot *slot = find(s, key, &room);
    if (slot == NULL)
        slot = room;
    clear(slot);
    *slot = (struct slot){.key = xstrdup(key), .session = copy};
    pthread_mutex_unlock(&s->lock);
}

void tls_sessions_drop(struct tls_sessions *s, const char *key)
{
    struct slot *room;

    pthread_mutex_lock(&s->lock);
    struct slot *slot = find(s, key, &room);
    if (slot != NULL)
        clear(slot);
    pthread_mutex_unlock(&s->lock);
}

SSL_SESSION *tls_sessions_get(struct tls_sessions *s, const char *key)
{
    SSL_SESSION *copy = NULL;
    struct slot *room;

    pthread_mutex_lock(&s->lock);
    struct slot *slot = find(s, key, &room);
    if (slot != NULL)
        copy = SSL_SESSION_dup(slot->session);
    pthread_mutex_unlock(&s->lock);
    return copy;
}
