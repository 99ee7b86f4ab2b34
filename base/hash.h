/* base/hash.h — SipHash-2-4 (Aumasson and Bernstein 2012) for keys that peers choose. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/str.h"

uint64_t hash_siphash(struct str data, uint64_t key0, uint64_t key1);

/* Unkeyed, for our own tables (FNV-1a, 64 bit). */
static inline uint64_t hash_fnv1a(struct str s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    return h;
}

#endif
