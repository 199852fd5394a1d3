#include "refusal.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "log.h"

#define TELL_SECONDS 10
#define PAUSE_NS 100000000

static void tell(int error)
{
	log_line(KRAAL_LOG_ERROR, "cannot accept connections: %s", strerror(error));
}

static void tell_now_and_then(int error)
{
	static int64_t told;
	int64_t now = clock_seconds();
	if (!told || now - told >= TELL_SECONDS) {
		told = now;
		tell(error);
	}
}

enum accepted refusal_meet(int error)
{
	switch (error) {
	case EMFILE:
		/* Scripts have kept so many descriptors: a new worker is better. */
		tell(error);
		return ACCEPT_LOST;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
	case EOPNOTSUPP:
	case EFAULT:
		return ACCEPT_LOST;
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		tell_now_and_then(error);
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
		return ACCEPT_NONE;
	default:
		return ACCEPT_NONE;
	}
}
