#include "poolstatus.h"

#include <string.h>
#include <time.h>

#include "clock.h"
#include "queue.h"
#include "scoreboard.h"

static const struct kraal_worker *worker;

void poolstatus_open(const struct kraal_worker *settings)
{
	worker = settings;
}

static const char *stage_name(uint32_t stage)
{
	static const char *const names[] = {"",        "Idle",   "Reading headers", "Getting request information",
	                                    "Running", "Ending", "Finishing"};
	return stage < sizeof(names) / sizeof(names[0]) ? names[stage] : "";
}

/* A copy of a slot, whole if its writer lets us, with its texts ended for sure. */
static struct kraal_slot copy_slot(const struct kraal_slot *slot)
{
	struct kraal_slot copy;
	for (int attempt = 0; attempt < 20; attempt++) {
		uint32_t before = __atomic_load_n(&slot->sequence, __ATOMIC_ACQUIRE);
		memcpy(&copy, slot, sizeof(copy));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (before % 2 == 0 && before == __atomic_load_n(&slot->sequence, __ATOMIC_RELAXED)) {
			break;
		}
	}
	copy.method[sizeof(copy.method) - 1] = '\0';
	copy.user[sizeof(copy.user) - 1] = '\0';
	copy.uri[sizeof(copy.uri) - 1] = '\0';
	copy.query[sizeof(copy.query) - 1] = '\0';
	copy.script[sizeof(copy.script) - 1] = '\0';
	return copy;
}

/* Seconds that have passed, or none if the clock was set back. */
static zend_long since(int64_t started_at, time_t now)
{
	return now > started_at ? now - started_at : 0;
}

static void add_process(zval *processes, const struct kraal_slot *slot, time_t now)
{
	zval row;
	bool idle = slot->stage == KRAAL_STAGE_IDLE;
	int64_t last = slot->finished_ns - slot->accepted_ns;
	array_init(&row);
	add_assoc_long(&row, "pid", slot->pid);
	add_assoc_string(&row, "state", stage_name(slot->stage));
	add_assoc_long(&row, "start-time", slot->started_at);
	add_assoc_long(&row, "start-since", since(slot->started_at, now));
	add_assoc_long(&row, "requests", (zend_long)slot->requests);
	add_assoc_long(&row, "request-duration", (idle ? last : clock_ns(CLOCK_MONOTONIC) - slot->accepted_ns) / 1000);
	add_assoc_string(&row, "request-method", slot->method);
	add_assoc_string(&row, "request-uri", slot->uri);
	add_assoc_string(&row, "query-string", slot->query);
	add_assoc_long(&row, "request-length", (zend_long)slot->content_length);
	add_assoc_string(&row, "user", slot->user[0] ? slot->user : "-");
	add_assoc_string(&row, "script", slot->script[0] ? slot->script : "-");
	add_assoc_double(&row, "last-request-cpu", idle && last > 0 ? 100.0 * (double)slot->cpu_ns / (double)last : 0.0);
	add_assoc_long(&row, "last-request-memory", idle ? (zend_long)slot->memory : 0);
	if (slot->requests && slot->waited_ns >= 0) {
		add_assoc_long(&row, "request-queue-time", slot->waited_ns / 1000);
	}
	add_next_index_zval(processes, &row);
}

void poolstatus_export(zval *status)
{
	const struct kraal_scoreboard *board = worker->scoreboard;
	struct queue queue = queue_look(worker->listener);
	const struct kraal_slot *slots = scoreboard_slots(worker->scoreboard);
	zend_long idle = 0, active = 0;
	time_t now = time(NULL);
	zval processes;

	kraal_queue_note(worker->scoreboard, queue.waiting, queue.limit);
	array_init(&processes);
	for (uint32_t i = 0; i < worker->slot_count; i++) {
		struct kraal_slot slot = copy_slot(&slots[i]);
		if (slot.pid > 0) {
			*(slot.stage == KRAAL_STAGE_IDLE ? &idle : &active) += 1;
			add_process(&processes, &slot, now);
		}
	}
	add_assoc_string(status, "pool", worker->pool);
	add_assoc_string(status, "process-manager", worker->policy);
	add_assoc_long(status, "start-time", board->started_at);
	add_assoc_long(status, "start-since", since(board->started_at, now));
	add_assoc_long(status, "accepted-conn", (zend_long)board->accepted);
	add_assoc_long(status, "listen-queue", queue.waiting);
	add_assoc_long(status, "max-listen-queue", board->max_queue);
	add_assoc_long(status, "listen-queue-len", queue.limit);
	add_assoc_long(status, "idle-processes", idle);
	add_assoc_long(status, "active-processes", active);
	add_assoc_long(status, "total-processes", idle + active);
	add_assoc_long(status, "max-active-processes", MAX((zend_long)board->max_active, active));
	add_assoc_long(status, "max-children-reached", board->max_children_reached);
	add_assoc_long(status, "slow-requests", (zend_long)board->slow);
#if PHP_VERSION_ID >= 80400
	add_assoc_long(status, "memory-peak", (zend_long)board->memory_peak);
#endif
	if (worker->bounded) {
		add_assoc_long(status, "turned-away", (zend_long)board->turned_away);
	}
	add_assoc_zval(status, "procs", &processes);
}
