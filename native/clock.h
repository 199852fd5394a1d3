/* Clocks, in one unit each. */
#ifndef KRAAL_CLOCK_H
#define KRAAL_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t clock_ns(clockid_t clock)
{
	struct timespec at;
	clock_gettime(clock, &at);
	return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

/* Milliseconds of CLOCK_MONOTONIC. */
static inline int64_t clock_ms(void)
{
	return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

/* Whole seconds of CLOCK_MONOTONIC. */
static inline int64_t clock_seconds(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec;
}

#endif
