#include "scoreboard.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "ledger.h"
#include "waiting.h"

/* A request that takes less has its whole time counted as processor time. */
#define SHORT_NS 100000
#define READ_EACH 16

static struct kraal_scoreboard *board;
static struct kraal_slot *slot;
static int alarm_event = -1;
static int64_t cpu_before;  /* processor time when the last request ended, near enough */
static uint32_t unread;     /* so many ends ago it was read */

/* An odd sequence tells readers that the slot is being written. */
static void open_slot(void)
{
	__atomic_store_n(&slot->sequence, slot->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void close_slot(void)
{
	__atomic_store_n(&slot->sequence, slot->sequence + 1, __ATOMIC_RELEASE);
}

void scoreboard_open(void *base, uint32_t index, int alarm)
{
	board = base;
	alarm_event = alarm;
	slot = base ? scoreboard_slots(base) + index : NULL;
	if (slot) {
		/* The manager says so, too, but may learn it after the first request. */
		slot->pid = getpid();
		scoreboard_read_clock();
		scoreboard_stage(KRAAL_STAGE_IDLE);
	}
}

int64_t scoreboard_cpu(void)
{
	return cpu_before;
}

void scoreboard_read_clock(void)
{
	cpu_before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	unread = 0;
}

/* Processor time of a request that took so long.  To read the clock is a system call: where all of the time is
 * next to nothing it counts as used, and only now and then what it adds up to is put right. */
static int64_t used(int64_t took)
{
	if (took < SHORT_NS) {
		cpu_before += took;
		if (++unread == READ_EACH) {
			scoreboard_read_clock();
		}
		return took;
	}
	int64_t before = cpu_before;
	scoreboard_read_clock();
	return cpu_before > before ? cpu_before - before : 0;
}

static void copy(char *to, size_t size, const char *from)
{
	size_t length = from ? strnlen(from, size - 1) : 0;
	if (length) {
		memcpy(to, from, length);
	}
	to[length] = '\0';
}

static uint32_t *counter_of(struct kraal_scoreboard *header, const struct kraal_slot *of)
{
	return of->residence == KRAAL_ORDINARY ? &header->active : &header->residents_active;
}

/* Returns how many ordinary ones there are now. */
static uint32_t count_active(void)
{
	__atomic_add_fetch(counter_of(board, slot), 1, __ATOMIC_RELAXED);
	uint32_t ordinary = __atomic_load_n(&board->active, __ATOMIC_RELAXED);
	uint32_t active = ordinary + __atomic_load_n(&board->residents_active, __ATOMIC_RELAXED);
	uint32_t most = __atomic_load_n(&board->max_active, __ATOMIC_RELAXED);
	while (active > most && active <= board->slot_count &&
	       !__atomic_compare_exchange_n(&board->max_active, &most, active, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
	return ordinary;
}

/* Tell the manager, if it has asked to be told of so many active workers.  The first who sees it tells. */
static void ring(uint32_t active)
{
	/* First the stage, then the look, as the manager does it the other way round: none misses the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	uint32_t wanted = __atomic_load_n(&board->alarm, __ATOMIC_RELAXED);
	if (!wanted || active < wanted) {
		return;
	}
	if (__atomic_exchange_n(&board->alarm, 0, __ATOMIC_SEQ_CST)) {
		uint64_t one = 1;
		(void)!write(alarm_event, &one, sizeof(one));
	}
}

/* Raise a figure of which the most counts. */
static void raise_to(uint64_t *most, uint64_t value)
{
	uint64_t before = __atomic_load_n(most, __ATOMIC_RELAXED);
	while (value > before &&
	       !__atomic_compare_exchange_n(most, &before, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
}

void kraal_queue_note(void *base, uint32_t waiting, uint32_t limit)
{
	struct kraal_scoreboard *header = base;
	uint32_t most = __atomic_load_n(&header->max_queue, __ATOMIC_RELAXED);
	__atomic_store_n(&header->queue, waiting, __ATOMIC_RELAXED);
	__atomic_store_n(&header->queue_limit, limit, __ATOMIC_RELAXED);
	while (waiting > most &&
	       !__atomic_compare_exchange_n(&header->max_queue, &most, waiting, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
	}
}

void kraal_alarm_set(void *base, uint32_t active)
{
	struct kraal_scoreboard *header = base;
	__atomic_store_n(&header->alarm, active, __ATOMIC_SEQ_CST);
}

void scoreboard_connection(void)
{
	if (board) {
		__atomic_add_fetch(&board->connections, 1, __ATOMIC_RELAXED);
	}
}

void scoreboard_request(const struct params *params, const char *user)
{
	if (!slot) {
		return;
	}
	__atomic_add_fetch(&board->accepted, 1, __ATOMIC_RELAXED);
	uint32_t active = count_active();
	const char *length = PARAM_GET(params, "CONTENT_LENGTH");
	int64_t waited = waiting_time(params, clock_ns(CLOCK_REALTIME));
	open_slot();
	slot->stage = KRAAL_STAGE_INFO;
	slot->requests++;
	slot->accepted_ns = clock_ns(CLOCK_MONOTONIC);
	slot->waited_ns = waited;
	slot->content_length = length ? strtoull(length, NULL, 10) : 0;
	copy(slot->method, sizeof(slot->method), PARAM_GET(params, "REQUEST_METHOD"));
	copy(slot->uri, sizeof(slot->uri), PARAM_GET(params, "SCRIPT_NAME"));
	copy(slot->query, sizeof(slot->query), PARAM_GET(params, "QUERY_STRING"));
	copy(slot->script, sizeof(slot->script), PARAM_GET(params, "SCRIPT_FILENAME"));
	copy(slot->user, sizeof(slot->user), user);
	close_slot();
	if (waited >= 0) {
		ledger_wait(waited);
	}
	ring(active);
}

void scoreboard_stage(enum kraal_stage stage)
{
	if (slot) {
		__atomic_store_n(&slot->stage, stage, __ATOMIC_RELEASE);
	}
}

int64_t scoreboard_waited(void)
{
	return slot ? slot->waited_ns : -1;
}

void scoreboard_error(const char *text)
{
	if (slot) {
		open_slot();
		slot->error_request = slot->requests;
		copy(slot->error, sizeof(slot->error), text);
		close_slot();
	}
}

void scoreboard_done(uint64_t memory)
{
	if (!slot) {
		return;
	}
	int64_t now = clock_ns(CLOCK_MONOTONIC);
	int64_t cpu = used(now - slot->accepted_ns);
	open_slot();
	slot->finished_ns = now;
	slot->cpu_ns = cpu;
	slot->memory = memory;
	slot->stage = KRAAL_STAGE_IDLE;
	close_slot();
	ledger_duration(now - slot->accepted_ns);
	raise_to(&board->memory_peak, memory);
	__atomic_sub_fetch(counter_of(board, slot), 1, __ATOMIC_RELAXED);
}

/* Take one off a counter that several processes use, unless it is at zero already. */
static void take_one(uint32_t *counter)
{
	uint32_t before = __atomic_load_n(counter, __ATOMIC_SEQ_CST);
	while (before && !__atomic_compare_exchange_n(counter, &before, before - 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
	}
}

void kraal_slot_overtime(void *base, uint32_t index, uint64_t request, enum kraal_overtime step)
{
	struct kraal_slot *meant = scoreboard_slots(base) + index;
	__atomic_store_n(&meant->overtime_step, step, __ATOMIC_RELAXED);
	__atomic_store_n(&meant->overtime, request, __ATOMIC_RELEASE);
}

void scoreboard_lost(struct kraal_scoreboard *header, uint32_t lines, int error)
{
	__atomic_add_fetch(&header->log_lost, lines, __ATOMIC_RELAXED);
	__atomic_store_n(&header->log_error, error, __ATOMIC_RELAXED);
	__atomic_add_fetch(&header->log_untold, lines, __ATOMIC_RELAXED);
}

void kraal_slot_vacate(void *base, uint32_t index)
{
	struct kraal_scoreboard *header = base;
	struct kraal_slot *left = scoreboard_slots(base) + index;
	if (left->stage != KRAAL_STAGE_IDLE) {
		take_one(counter_of(header, left));
	}
	if (left->parked) {
		take_one(&header->parked);
	}
	memset(left, 0, sizeof(*left));
}
