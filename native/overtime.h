/* Ending a request that has run too long, in two steps.
 *
 * The manager writes into the worker's slot which request it means, and how (enum kraal_overtime), and sends
 * KRAAL_OVERTIME_SIGNAL.  A request that ended in between is not the one that is meant, so the next one
 * has nothing to fear. */
#ifndef KRAAL_OVERTIME_H
#define KRAAL_OVERTIME_H

#include "bridge.h"

/* Returns 0, or -1 with errno. */
int overtime_open(const struct kraal_worker *worker);

#endif
