/* The connections of one worker: waiting for a request, or lingering after the answer. */
#ifndef KRAAL_CONNECTIONS_H
#define KRAAL_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridge.h"
#include "fastcgi.h"

/* `epoll` is where connections that wait are watched, each with itself as the user data. */
void connections_open(int epoll);

size_t connections_count(void);

/* How many peers still wait for an answer. */
uint64_t connections_owed(void);

/* Accept a connection.  Above the limit the one that was silent longest is given up for it.
 * ACCEPT_ONE: there may be more; this one may be NULL, because the peer is not allowed.
 * ACCEPT_NONE: wait.  ACCEPT_LOST: this worker will never accept another one. */
enum accepted { ACCEPT_NONE, ACCEPT_ONE, ACCEPT_LOST };
enum accepted connections_accept(const struct kraal_worker *worker, struct fcgi_connection **connection);

/* Take a connection that another worker gave away, or NULL.  What was read of its next request is in io. */
struct fcgi_connection *connections_take(struct fcgi_io *io);

/* Give a connection that is between two requests to whichever worker has time, with what is in the input of
 * io.  Returns false if nobody can take it; else it is dead, and to be settled. */
bool connections_give(struct fcgi_connection *connection, struct fcgi_io *io);

/* Give a FCGI_READY connection to the workers of the other kind, with its request and what is in the input of
 * io.  Returns false if there is no room, or the request is too long; else it is dead, and to be settled. */
bool connections_pass(struct fcgi_connection *connection, struct fcgi_io *io);

/* Give away all that wait for a request, but for one.  Returns false if there is no room for some of them now. */
bool connections_give_idle(const struct fcgi_connection *but);

/* How many were given away so far: pointers from before the last one may be to nothing. */
uint64_t connections_given(void);

/* Keep a connection for what comes next, or close it if it is dead. */
void connections_settle(struct fcgi_connection *connection);

/* Whether some connection lingers: then call connections_expire about once a second. */
bool connections_lingering(void);
void connections_expire(void);

/* Visit from the last to the first; the visited one may close. */
struct fcgi_connection *connections_at(size_t index);

void connections_close_all(void);

#endif
