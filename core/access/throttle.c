/* throttle.c: slowing down who guesses, per account and per address: after the free tries the wait doubles
 * from one second; a success forgets the account. A fixed table: a stranger cannot grow memory, only push
 * out the oldest.
 *
 * A password takes a tenth of a second to check, so tries overlap: those under way are counted too, or a
 * hundred sent at once would all be let in before the first has failed. */
#include "access/session.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS 8192
#define WAYS 8
#define FORGET_MS (INT64_C(3600) * 1000)

/* An address may be a whole office or a proxy: it gets more tries and waits less long than an account. */
struct limit {
    int free_tries, at_once;
    int64_t wait_max_s;
};
static const struct limit account_limit = {3, 8, 900}, address_limit = {50, 64, 60};

struct slot {
    uint64_t key;
    int failures, under_way;
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

/* FNV-1a. */
static uint64_t mix(uint64_t h, const void *bytes, size_t n, bool fold)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = ((const unsigned char *)bytes)[i];
        h = (h ^ (fold && c >= 'A' && c <= 'Z' ? c + 32u : c)) * UINT64_C(1099511628211);
    }
    return h ? h : 1;
}

static uint64_t key_of_login(struct str login)
{
    return mix(UINT64_C(14695981039346656037) ^ 'l', login.p, login.n, true);
}

/* Whoever has an IPv6 address has a /64 of them. */
static uint64_t key_of_address(struct str address)
{
    const uint64_t start = UINT64_C(14695981039346656037) ^ 'a';
    unsigned char six[16];
    char text[64];
    snprintf(text, sizeof text, "%.*s", STR_ARG(address));
    if (inet_pton(AF_INET6, text, six) == 1) return mix(start, six, 8, false);
    return mix(start, address.p, address.n, false);
}

/* The slot of a key within its bucket, or with `make` the oldest of them, cleared. */
static struct slot *slot_of(struct throttle *t, uint64_t key, bool make)
{
    struct slot *bucket = &t->slots[(key % (SLOTS / WAYS)) * WAYS], *oldest = bucket;
    for (int i = 0; i < WAYS; i++) {
        if (bucket[i].key == key) return &bucket[i];
        if (bucket[i].last < oldest->last) oldest = &bucket[i];
    }
    if (!make) return NULL;
    *oldest = (struct slot){.key = key};
    return oldest;
}

/* Seconds to wait; 0: now. */
static int64_t wait_of(const struct slot *s, const struct limit *limit, int64_t now)
{
    if (now - s->last > FORGET_MS) return 0;
    if (s->failures < limit->free_tries) return s->under_way < limit->at_once ? 0 : 1;
    int doubled = s->failures - limit->free_tries;
    int64_t seconds = doubled > 20 ? limit->wait_max_s : INT64_C(1) << doubled;
    if (seconds > limit->wait_max_s) seconds = limit->wait_max_s;
    int64_t left = s->last + seconds * 1000 - now;
    if (left > 0) return (left + 999) / 1000;
    return s->under_way ? 1 : 0;
}

static void enter(struct slot *s, int64_t now)
{
    if (now - s->last > FORGET_MS) s->failures = s->under_way = 0;
    s->under_way++;
    s->last = now;
}

bool throttle_enter(struct throttle *t, struct str login, struct str address, int64_t now, int64_t *wait)
{
    pthread_mutex_lock(&t->lock);
    struct slot *account = slot_of(t, key_of_login(login), true);
    int64_t a = wait_of(account, &account_limit, now);
    struct slot *place = slot_of(t, key_of_address(address), true);
    int64_t b = wait_of(place, &address_limit, now);
    *wait = a > b ? a : b;
    if (*wait == 0) {
        enter(account, now);
        enter(place, now);
    }
    pthread_mutex_unlock(&t->lock);
    return *wait == 0;
}

static void leave(struct throttle *t, uint64_t key, bool failed, int64_t now)
{
    struct slot *s = slot_of(t, key, failed);
    if (!s) return;
    if (s->under_way) s->under_way--;
    if (!failed) return;
    s->failures++;
    s->last = now;
}

void throttle_leave(struct throttle *t, struct str login, struct str address, bool good, int64_t now)
{
    pthread_mutex_lock(&t->lock);
    leave(t, key_of_login(login), !good, now);
    /* One good account does not clear an address that guesses at others. */
    leave(t, key_of_address(address), !good, now);
    struct slot *account = good ? slot_of(t, key_of_login(login), false) : NULL;
    if (account) account->failures = 0;
    pthread_mutex_unlock(&t->lock);
}
