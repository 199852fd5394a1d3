#define _GNU_SOURCE
#include "rest.h"

#include <sched.h>

#include "clock.h"
#include "requests.h"

/* Whoever waited so long for an event had nothing to do. */
#define REST_NS 100000

/* Whoever waited so long for an event did not run meanwhile. */
#define SLEPT_NS 10000

/* Slices have 2.8 ms and more, up to the next tick of a clock of 250 or 1000 Hz. */
#define NEARLY_A_SLICE_NS 3000000

/* A worker is one thread. */
static int64_t running_since;  /* CLOCK_MONOTONIC, as far as we know */

static int64_t let_others_run(int64_t now)
{
	if (now - running_since < NEARLY_A_SLICE_NS) {
		return now;
	}
	sched_yield();
	return running_since = clock_ns(CLOCK_MONOTONIC);
}

int rest_until(int epoll, struct epoll_event *events, int size, int timeout_ms)
{
	int64_t before = let_others_run(clock_ns(CLOCK_MONOTONIC));
	int count = epoll_wait(epoll, events, size, timeout_ms);
	int64_t now = clock_ns(CLOCK_MONOTONIC);
	if (now - before > SLEPT_NS) {
		running_since = now;
	}
	if (now - before > REST_NS) {
		requests_rested(now);
	}
	return count;
}
