#include "ledger.h"

#include <stddef.h>

#include "bridge.h"

_Static_assert(sizeof(struct kraal_ledger) <= KRAAL_LEDGER_SIZE, "the ledger has grown out of its file");

static const int64_t bounds_us[KRAAL_BUCKETS - 1] = {
    KRAAL_BOUND_0, KRAAL_BOUND_1, KRAAL_BOUND_2, KRAAL_BOUND_3, KRAAL_BOUND_4,
    KRAAL_BOUND_5, KRAAL_BOUND_6, KRAAL_BOUND_7, KRAAL_BOUND_8, KRAAL_BOUND_9,
    KRAAL_BOUND_10, KRAAL_BOUND_11, KRAAL_BOUND_12, KRAAL_BOUND_13, KRAAL_BOUND_14,
};

static struct kraal_ledger *ledger;
static int said;  /* the status of the answer that has not ended; 0: none */

static void add(uint64_t *counter, uint64_t number)
{
	__atomic_fetch_add(counter, number, __ATOMIC_RELAXED);
}

static void observe(struct kraal_histogram *histogram, int64_t ns)
{
	size_t bucket = 0;
	while (bucket < KRAAL_BUCKETS - 1 && ns > bounds_us[bucket] * 1000) {
		bucket++;
	}
	add(&histogram->buckets[bucket], 1);
	add(&histogram->sum_ns, ns > 0 ? (uint64_t)ns : 0);
}

void ledger_open(void *base)
{
	ledger = base;
}

void ledger_wait(int64_t ns)
{
	if (ledger) {
		observe(&ledger->waits, ns);
	}
}

void ledger_status(int status)
{
	said = status;
}

void ledger_answer(void)
{
	if (ledger && said) {
		add(&ledger->answers[said >= 100 && said < 600 ? said / 100 : 0], 1);
	}
	said = 0;
}

void ledger_lazy(unsigned why)
{
	if (ledger) {
		add(&ledger->lazy[why], 1);
	}
}

void ledger_duration(int64_t ns)
{
	if (ledger) {
		observe(&ledger->durations, ns);
	}
}

void kraal_ledger_ending(void *base, enum kraal_ending why)
{
	struct kraal_ledger *of = base;
	add(&of->endings[why], 1);
}
