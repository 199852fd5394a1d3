/* How many connections wait in a listening socket; unix/queue.py asks the same. */
#ifndef KRAAL_QUEUE_H
#define KRAAL_QUEUE_H

#include <stdint.h>

struct queue {
	uint32_t waiting;
	uint32_t limit;    /* how many can wait; 0: unknown */
};

/* Where the kernel does not tell, both are 0. */
struct queue queue_look(int listener);

#endif
