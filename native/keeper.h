/* Looking after the worker's other connections while it runs a request.
 *
 * A worker may hold several kept connections.  While it runs a long request on one, those that wait for their
 * next request would wait for it, although other workers have time.  So a second thread, the keeper, gives them
 * away (handoff.h) when a request has run for some milliseconds.
 *
 * Signals are no way to do this: they would cut short what the script waits for.  Nor is giving before each
 * request: most are short, and the request path is to cost no system call more.  The keeper looks every few
 * milliseconds, and sleeps for good while the worker has nothing to do or one connection only.
 *
 * The table of connections has one owner at a time, who holds the keeper's lock: the main thread, except between
 * keeper_leave and keeper_return.  The keeper never touches PHP, and the connection that is being served only when
 * its answer has ended: whoever runs the script sees by `ended` that nothing is to be done with it any more. */
#ifndef KRAAL_KEEPER_H
#define KRAAL_KEEPER_H

#include "fastcgi.h"

/* Once, in the worker's process. */
void keeper_open(void);

/* The main thread runs a request of this connection, and leaves the others to the keeper. */
void keeper_leave(struct fcgi_connection *serving);

/* The answer has ended, the connection is at rest, and the script works on: for a moment only, most often, so that the
 * next request of this client finds its worker warm.  Otherwise the connection is given away with the others. */
void keeper_entrust(struct fcgi_connection *answered, struct fcgi_io *io);

/* It needs them again, or the request has ended.  Harmless when called twice. */
void keeper_return(void);

#endif
