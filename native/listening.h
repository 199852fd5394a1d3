/* Whether this worker listens: it takes new connections, leaves them to others for a while, or has let go of the
 * listener for good.
 *
 * A worker that is told to leave lets go at once, even in the middle of a request.  The listener is not only ours: the
 * next generation has it, and nothing in its queue is lost.  But when the master was killed nobody has it any more, and
 * whoever is started in its place finds the address free although an old request still runs. */
#ifndef KRAAL_LISTENING_H
#define KRAAL_LISTENING_H

#include <stdbool.h>

#include "bridge.h"

/* `epoll` is where the listener is watched, and `mark` is the user data of its events. */
void listening_open(const struct kraal_worker *worker, int epoll, void *mark);

/* Watch the listener, exclusively (one connection wakes one worker, not all of the pool), or do not.  Where residents
 * are up, ordinary workers do not. */
void listening_want(bool wanted);
bool listening_now(void);

/* Let go of it.  For signal handlers: it may come at any moment of the main thread.  From now on accepting fails. */
void listening_end(void);
bool listening_has_ended(void);

#endif
