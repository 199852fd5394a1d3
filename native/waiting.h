/* How long a request waited before it came here: web servers can say when they got it. */
#ifndef KRAAL_WAITING_H
#define KRAAL_WAITING_H

#include <stdint.h>

#include "params.h"

/* The moment that REQUEST_START or the header X-Request-Start names, in nanoseconds of the epoch, or -1.  It is a
 * number, perhaps with a fraction and `t=` before it, of seconds, milliseconds, microseconds or nanoseconds: its
 * size tells which. */
int64_t waiting_since(const struct params *params);

/* How long a request waited that came at `now_ns` of the epoch: -1 if nobody knows.  A clock of another machine
 * that is ahead of ours is taken for no wait, and more than a day for a mistake. */
int64_t waiting_time(const struct params *params, int64_t now_ns);

#endif
