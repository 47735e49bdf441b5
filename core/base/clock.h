/* clock.h: the two clocks. Wall time can be faked (tests, `t.advance` in Lua tests). Any thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since 1970-01-01T00:00:00Z. */
int64_t clock_now(void);

/* Nanoseconds of a clock that never goes back; for durations and deadlines. Never faked. */
uint64_t clock_mono(void);

/* Fixes clock_now to `ms`; a negative value returns to the real clock. */
void clock_fake(int64_t ms);

#endif
