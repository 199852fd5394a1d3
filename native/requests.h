/* Complete requests of a connection: run them, or have their page answered. */
#ifndef KRAAL_REQUESTS_H
#define KRAAL_REQUESTS_H

#include <stdint.h>

#include "bridge.h"
#include "fastcgi.h"

enum step {
	STEP_DONE,   /* go on */
	STEP_PAGE,   /* a page waits for kraal_answer, and the connection for requests_serve_pending */
	STEP_FAILED  /* PHP is beyond repair */
};

void requests_open(const struct kraal_worker *worker, struct fcgi_io *io);

/* How many requests were served, pages included. */
uint64_t requests_served(void);

/* Read from a connection, serve the requests that are complete, and settle it.  Bytes that were read of it
 * before stand in io. */
enum step requests_serve(struct fcgi_connection *connection);

/* The same for what has been read and decoded already. */
enum step requests_serve_decoded(struct fcgi_connection *connection);

/* Go on with the connection whose page was answered; more of its requests may stand in io. */
enum step requests_serve_pending(void);

/* The worker had nothing to do until `now_ns` of CLOCK_MONOTONIC: what comes has not waited for it. */
void requests_rested(int64_t now_ns);

#endif
