/* id.c: see id.h. */
#include "base/id.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#define EPOCH_MS INT64_C(1704067200000) /* 2024-01-01T00:00:00Z */
#define RANDOM_BITS 21
#define STEP_MASK 0x3ff /* a step inside one millisecond: 1 … 1024 */

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t last;
static uint32_t pool[64];
static size_t pool_left;

/* Randomness in batches: one system call for 64 ids. Called under the lock. */
static uint32_t random_bits(void)
{
    if (pool_left == 0) {
        size_t got = 0;
        while (got < sizeof pool) {
            ssize_t n = getrandom((char *)pool + got, sizeof pool - got, 0);
            if (n > 0) got += (size_t)n; /* EINTR is the only failure; try again */
        }
        pool_left = sizeof pool / sizeof pool[0];
    }
    return pool[--pool_left];
}

int64_t id_next(void)
{
    int64_t ms = clock_now() - EPOCH_MS;
    if (ms < 0) ms = 0;
    pthread_mutex_lock(&lock);
    uint32_t r = random_bits();
    int64_t id = (ms << RANDOM_BITS) | (int64_t)(r & ((1u << RANDOM_BITS) - 1));
    /* Same millisecond, or the clock went back: rise by a random step. */
    if (id >> RANDOM_BITS <= last >> RANDOM_BITS) id = last + 1 + (int64_t)(r & STEP_MASK);
    last = id;
    pthread_mutex_unlock(&lock);
    return id;
}

void id_format(int64_t id, char text[ID_TEXT + 1])
{
    uint64_t u = (uint64_t)id;
    for (int i = ID_TEXT - 1; i >= 0; i--, u >>= 5)
        text[i] = alphabet[u & 31];
    text[ID_TEXT] = '\0';
}

static int digit(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

bool id_parse(struct str s, int64_t *id)
{
    if (s.n != ID_TEXT) return false;
    uint64_t u = 0;
    for (size_t i = 0; i < ID_TEXT; i++) {
        int d = digit(s.p[i]);
        if (d < 0 || (i == 0 && d > 7)) return false; /* 63 bits: the first digit has three */
        u = u << 5 | (uint64_t)d;
    }
    if (u == 0 || u > INT64_MAX) return false;
    *id = (int64_t)u;
    return true;
}
