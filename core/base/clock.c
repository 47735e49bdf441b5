/* clock.c: see clock.h. */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t faked = -1;

int64_t clock_now(void)
{
    int64_t f = atomic_load_explicit(&faked, memory_order_relaxed);
    if (f >= 0) return f;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t); /* cannot fail with a valid clock id */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t clock_mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void clock_fake(int64_t ms)
{
    atomic_store(&faked, ms < 0 ? -1 : ms);
}
