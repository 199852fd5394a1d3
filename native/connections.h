/* The connections of one worker: waiting for a request, or lingering after the answer. */
#ifndef KRAAL_CONNECTIONS_H
#define KRAAL_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge.h"
#include "fastcgi.h"

/* A worker keeps so many connections, or as many as half of its descriptors, and of unfinished requests so much memory. */
#define CONNECTIONS_MAX 1024
#define CONNECTIONS_MEMORY_MAX ((size_t)16 << 20)

/* `epoll` is where connections that wait are watched, each with itself as the user data. */
void connections_open(const struct kraal_worker *worker, int epoll);

size_t connections_count(void);

/* Whether to take what others give away: not above the limit, unless nobody else could either. */
bool connections_may_take(void);

/* How many peers still wait for an answer. */
uint64_t connections_owed(void);

/* Accept a connection.  Above the limit an idle one goes to another worker, or else one is given up for it, see
 * patience.h.
 * ACCEPT_ONE: there may be more; this one may be NULL, because the peer is not allowed.
 * ACCEPT_NONE: wait.  ACCEPT_LOST: this worker will never accept another one. */
enum accepted { ACCEPT_NONE, ACCEPT_ONE, ACCEPT_LOST };
enum accepted connections_accept(struct fcgi_connection **connection);

/* Take a connection that another worker gave away, or NULL.  What was read of its next request is in io. */
struct fcgi_connection *connections_take(struct fcgi_io *io);

/* Give a connection that is between two requests to whichever worker has time, with what is in the input of
 * io.  Returns false if nobody can take it; else it is dead, and to be settled. */
bool connections_give(struct fcgi_connection *connection, struct fcgi_io *io);

/* Give a FCGI_READY connection to the workers of the other kind, with its request and what is in the input of
 * io.  Returns false if there is no room, or the request is too long; else it is dead, and to be settled. */
bool connections_pass(struct fcgi_connection *connection, struct fcgi_io *io);

/* Give away all that wait for a request or for the rest of one, but for `but`, and those that have sent more than
 * goes along.  Returns false if there is no room for some of them now. */
bool connections_give_waiting(const struct fcgi_connection *but);

/* Give away one that has sent something, of which nothing was read yet.  Returns false if that is not so, or if nobody
 * can take it. */
bool connections_give_ready(struct fcgi_connection *connection);

/* How many were given away so far: pointers from before the last one may be to nothing. */
uint64_t connections_given(void);

/* Keep a connection for what comes next, or close it if it is dead. */
void connections_settle(struct fcgi_connection *connection);

/* How many milliseconds to wait for events before connections_tidy may have something to do; timeout_ms, and -1 is for
 * ever, if that is less. */
int connections_patience(int timeout_ms);

/* Close those that were waited for long enough, and as many as take too much memory. */
void connections_tidy(void);

/* Visit from the last to the first; the visited one may close. */
struct fcgi_connection *connections_at(size_t index);

void connections_close_all(void);

#endif
