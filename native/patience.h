/* How long a connection may be waited for, and which one is given up when there are too many. */
#ifndef KRAAL_PATIENCE_H
#define KRAAL_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "bridge.h"
#include "fastcgi.h"

#define PATIENCE_ENDLESS INT64_MAX

/* What a connection is waited for. */
enum fcgi_phase patience_phase(const struct fcgi_connection *connection);

/* Whether a part of a request is there, or none yet on a new connection. */
bool patience_is_unfinished(enum fcgi_phase phase);

/* When to close it, in milliseconds of CLOCK_MONOTONIC, or PATIENCE_ENDLESS. */
int64_t patience_deadline(const struct kraal_worker *worker, const struct fcgi_connection *connection);

/* Whether `one` is to be given up rather than `other` when there are too many: first who has taken more than a second
 * over a request, the oldest first; then who only lingers; who is kept and idle; and last who has just come. */
bool patience_prefers(const struct fcgi_connection *one, const struct fcgi_connection *other, int64_t now_ms);

/* Why a client was not waited for any longer; the numbers are places in the ledger. */
enum patience_end {
	PATIENCE_OVERDUE = 0, /* its request did not come in time */
	PATIENCE_CROWD = 1    /* there were too many, or they took too much memory */
};

/* A client is not waited for any longer.  Count it, and tell the log: at once, and then not more than once a minute. */
void patience_end(enum patience_end why, int64_t now_ms);

#endif
