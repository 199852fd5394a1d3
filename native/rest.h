/* When a worker rests, and when it lets others run.
 *
 * A kernel lets processes that compete run in slices.  A worker that has no rest would be interrupted in the
 * middle of a request, which then waits until all others have had their slices; so it lets them run between two
 * requests, shortly before.  Who waits for a worker by then is let in by another one. */
#ifndef KRAAL_REST_H
#define KRAAL_REST_H

#include <sys/epoll.h>

/* epoll_wait.  requests_rested is told of a rest. */
int rest_until(int epoll, struct epoll_event *events, int size, int timeout_ms);

#endif
