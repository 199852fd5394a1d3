/* Sharing the listener between the workers of a pool.
 *
 * The kernel wakes whichever worker it likes for a new connection.  A worker that holds kept
 * connections would collect more and more of them, and its clients would wait for each other while
 * other workers are idle.  So a worker with connections stops listening ("parks") for as long as
 * another one has none; whoever takes the last place without connections pokes the parked ones.
 *
 * Connections that a worker has all the same are passed on one by one, when several of them have sent something
 * at the same time and another worker has fewer and nothing to do: where all are busy, each client gets the share
 * of a worker that there are clients for it.
 *
 * All of this goes by the workers' slots.  A slot that lies (its worker died, or is hostile) can
 * make others listen or not listen; the manager pokes after each death, so that nobody waits on it.
 * Where there are residents, which alone listen while one of them is up, each kind shares among itself.
 *
 * A worker that has no connections but does not take any either (it is stopped, or swapped out) is the
 * reason why a parked one looks by itself every now and then. */
#ifndef KRAAL_SHARING_H
#define KRAAL_SHARING_H

#include <stdbool.h>
#include <stddef.h>

#include "bridge.h"

void sharing_open(const struct kraal_worker *worker);

/* Say how many connections this worker has; pokes when it was the last one without. */
void sharing_hold(size_t number);

/* Whether some other worker runs no request now, and has fewer connections: by two at least, so that passing one on
 * makes a difference. */
bool sharing_other_has_fewer(void);

/* For a worker that has as many as it may: whether some other has fewer. */
bool sharing_other_has_room(void);

/* For a resident: say whether it can serve. */
void sharing_take_residence(bool up);

/* Whether some resident of the pool can. */
bool sharing_resident_is_up(void);

/* Have every worker of the pool look for new connections. */
void sharing_poke(void);

/* Whether some other worker runs no request now. */
bool sharing_other_is_idle(void);

/* For a worker with connections: may it leave new ones to others?  Remember to ask again when poked. */
bool sharing_park(void);
void sharing_unpark(void);

#endif
