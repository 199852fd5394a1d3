/* Passing kept connections from worker to worker.
 *
 * A worker that will be busy with something else, or is about to leave, gives away the connections that
 * wait for a request or for the rest of one: each goes as a descriptor into a socket pair that all workers of
 * the pool share, with what was read of its next request.  Whoever has time takes it.  While nobody has, it waits
 * in the socket; what its peer sends meanwhile waits in the kernel.
 *
 * Once the manager has shut the pair down (the pool is stopping) nothing can be given any more. */
#ifndef KRAAL_HANDOFF_H
#define KRAAL_HANDOFF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "bridge.h"

/* What goes before the bytes that were read of the next request. */
struct handoff_note {
	int64_t since, heard;  /* see struct fcgi_connection; */
	uint32_t phase;        /* the times count from now on, if it is FCGI_PHASE_NONE */
	uint32_t served;       /* requests were answered on it before */
};

struct handed {
	int fd;
	struct handoff_note note;
	size_t size;  /* bytes that were read */
};

void handoff_open(const struct kraal_worker *worker);

/* Give a connection with a request to a worker of the other kind. */
bool handoff_pass(int fd, const struct handoff_note *note, const void *bytes, size_t size);

/* Give `fd` away; the caller closes its own.  Returns false if there is no room, or the pool is stopping. */
bool handoff_give(int fd, const struct handoff_note *note, const void *bytes, size_t size);

/* Take a connection, if one waits.  Its bytes go to `to`, which has room for FCGI_HANDED_SIZE. */
bool handoff_take(struct handed *handed, void *to);

/* Whether the pair was seen to be shut down: nothing will come or go any more. */
bool handoff_is_over(void);

#endif
