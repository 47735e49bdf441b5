/* import_keys.c: see import_keys.h. Open addressing, at most three quarters full; 0 marks a free place. */
#include "record/import_keys.h"

#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>

struct import_keys {
    unsigned char secret[crypto_shorthash_KEYBYTES]; /* so that no file can be made to collide */
    uint64_t *slots;
    size_t size, used;
};

struct import_keys *import_keys_new(void)
{
    struct import_keys *k = calloc(1, sizeof *k);
    if (!k) return NULL;
    k->size = 1024;
    k->slots = calloc(k->size, sizeof *k->slots);
    randombytes_buf(k->secret, sizeof k->secret);
    if (k->slots) return k;
    free(k);
    return NULL;
}

void import_keys_free(struct import_keys *k)
{
    if (!k) return;
    free(k->slots);
    free(k);
}

static uint64_t *place(uint64_t *slots, size_t size, uint64_t hash)
{
    size_t at = hash & (size - 1);
    while (slots[at] && slots[at] != hash)
        at = (at + 1) & (size - 1);
    return &slots[at];
}

static bool grow(struct import_keys *k)
{
    size_t size = k->size * 2;
    uint64_t *slots = calloc(size, sizeof *slots);
    if (!slots) return false;
    for (size_t i = 0; i < k->size; i++)
        if (k->slots[i]) *place(slots, size, k->slots[i]) = k->slots[i];
    free(k->slots);
    k->slots = slots;
    k->size = size;
    return true;
}

bool import_keys_add(struct import_keys *k, struct str key, bool *seen)
{
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)key.p, key.n, k->secret);
    if (hash == 0) hash = 1;
    uint64_t *slot = place(k->slots, k->size, hash);
    *seen = *slot == hash;
    if (*seen) return true;
    *slot = hash;
    k->used++;
    return k->used * 4 < k->size * 3 || grow(k);
}
