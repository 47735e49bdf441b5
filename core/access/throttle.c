/* throttle.c: slowing down who guesses, per account and per address: after three failures the wait doubles
 * from one second up to fifteen minutes; a success forgets the account. A fixed table: a stranger cannot grow
 * memory, only push out the oldest. */
#include "access/session.h"

#include <pthread.h>
#include <stdlib.h>

#define SLOTS 8192
#define FREE_TRIES 3
#define ADDRESS_FREE_TRIES 20
#define WAIT_MAX_S 900
#define FORGET_MS (INT64_C(3600) * 1000)

struct slot {
    uint64_t key;
    int failures;
    int64_t last;
};

struct throttle {
    pthread_mutex_t lock;
    struct slot slots[SLOTS];
};

struct throttle *throttle_new(void)
{
    struct throttle *t = calloc(1, sizeof *t);
    if (t && pthread_mutex_init(&t->lock, NULL) != 0) {
        free(t);
        t = NULL;
    }
    return t;
}

void throttle_free(struct throttle *t)
{
    if (!t) return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* FNV-1a; logins without regard to ASCII case. */
static uint64_t key_of(char kind, struct str s)
{
    uint64_t h = UINT64_C(14695981039346656037) ^ (unsigned char)kind;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        h = (h ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * UINT64_C(1099511628211);
    }
    return h ? h : 1;
}

/* The slot of a key within its bucket of eight, or with `make` the oldest of them, cleared. */
static struct slot *slot_of(struct throttle *t, uint64_t key, bool make)
{
    struct slot *bucket = &t->slots[(key % (SLOTS / 8)) * 8], *oldest = bucket;
    for (int i = 0; i < 8; i++) {
        if (bucket[i].key == key) return &bucket[i];
        if (bucket[i].last < oldest->last) oldest = &bucket[i];
    }
    if (!make) return NULL;
    *oldest = (struct slot){.key = key};
    return oldest;
}

static int64_t wait_of(struct throttle *t, uint64_t key, int free_tries, int64_t now)
{
    struct slot *s = slot_of(t, key, false);
    if (!s || s->failures < free_tries || now - s->last > FORGET_MS) return 0;
    int doubled = s->failures - free_tries;
    int64_t seconds = doubled > 9 ? WAIT_MAX_S : (int64_t)1 << doubled;
    int64_t left = s->last + (seconds > WAIT_MAX_S ? WAIT_MAX_S : seconds) * 1000 - now;
    return left > 0 ? (left + 999) / 1000 : 0;
}

bool throttle_allows(struct throttle *t, struct str login, struct str address, int64_t now, int64_t *wait)
{
    pthread_mutex_lock(&t->lock);
    int64_t a = wait_of(t, key_of('l', login), FREE_TRIES, now),
            b = wait_of(t, key_of('a', address), ADDRESS_FREE_TRIES, now);
    pthread_mutex_unlock(&t->lock);
    *wait = a > b ? a : b;
    return *wait == 0;
}

static void fail(struct throttle *t, uint64_t key, int64_t now)
{
    struct slot *s = slot_of(t, key, true);
    if (now - s->last > FORGET_MS) s->failures = 0;
    s->failures++;
    s->last = now;
}

void throttle_failed(struct throttle *t, struct str login, struct str address, int64_t now)
{
    pthread_mutex_lock(&t->lock);
    fail(t, key_of('l', login), now);
    fail(t, key_of('a', address), now);
    pthread_mutex_unlock(&t->lock);
}

void throttle_succeeded(struct throttle *t, struct str login, struct str address)
{
    (void)address; /* one good account does not clear an address that guesses at others */
    pthread_mutex_lock(&t->lock);
    struct slot *s = slot_of(t, key_of('l', login), false);
    if (s) *s = (struct slot){0};
    pthread_mutex_unlock(&t->lock);
}
