/* A request within a longer one: what PHP sets up and tears down for each request of the worker script.
 *
 * PHP's own start and end of a request would end the script, too.  Here only those parts of it run that belong
 * to a client: input, output, headers, superglobals, session, timers. */
#ifndef KRAAL_RENEWAL_H
#define KRAAL_RENEWAL_H

#include "fastcgi.h"

/* A request has come for the worker script. */
void renewal_begin(struct fcgi_connection *connection, struct fcgi_io *io, const char *worker_script);

/* It has been handled: its answer is complete afterwards.  What the script says then goes nowhere. */
void renewal_end(void);

/* The script waits for the first time: what it did until then was no request of a client. */
void renewal_end_boot(void);

/* The process was forked off one in which the script waits: no number that is to be random comes in both. */
void renewal_forked(void);

/* The script is about to wait. */
void renewal_rest(void);

#endif
