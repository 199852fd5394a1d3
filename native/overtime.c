#define _GNU_SOURCE
#include "overtime.h"

#include <errno.h>
#include <signal.h>

#include <php.h>

#include "scoreboard.h"

static const struct kraal_slot *slot;
static uint32_t limit;
static void (*interrupted_before)(zend_execute_data *execute_data);
static uint64_t stopped;  /* the request that was told */

/* The running request is the one that the manager means. */
static bool is_meant(void)
{
	uint64_t meant = __atomic_load_n(&slot->overtime, __ATOMIC_ACQUIRE);
	return meant == slot->requests && __atomic_load_n(&slot->stage, __ATOMIC_ACQUIRE) != KRAAL_STAGE_IDLE;
}

static void on_signal(int number)
{
	int error = errno;
	(void)number;
	if (is_meant()) {
		if (slot->overtime_step == KRAAL_OVERTIME_KILL) {
			/* PHP's handler waits until what OPcache shares is whole. */
			raise(SIGTERM);
		}
		/* PHP looks at this between two opcodes. */
		zend_atomic_bool_store_ex(&EG(vm_interrupt), true);
	}
	errno = error;
}

static void on_interrupt(zend_execute_data *execute_data)
{
	if (is_meant() && stopped != slot->requests) {
		stopped = slot->requests;
		zend_error_noreturn(E_ERROR, "Maximum time of %u second%s for a request exceeded (request_terminate_timeout)",
		                    limit, limit == 1 ? "" : "s");
	}
	if (interrupted_before) {
		interrupted_before(execute_data);
	}
}

int overtime_open(const struct kraal_worker *worker)
{
	/* No restart: a script that waits in a system call is to go on, and to see that it is over. */
	struct sigaction action = {.sa_handler = on_signal};
	slot = scoreboard_slots(worker->scoreboard) + worker->slot;
	limit = worker->terminate_timeout;
	interrupted_before = zend_interrupt_function;
	zend_interrupt_function = on_interrupt;
	sigemptyset(&action.sa_mask);
	return sigaction(KRAAL_OVERTIME_SIGNAL, &action, NULL);
}
