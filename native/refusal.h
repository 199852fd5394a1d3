/* accept() gives no connection: whether there will be one later, and whether the log is to know. */
#ifndef KRAAL_REFUSAL_H
#define KRAAL_REFUSAL_H

#include "connections.h"

/* What accepting has come to, by its errno.  Where the machine lacks something this waits a moment, as the listener
 * stays readable, and tells the log at once and then every ten seconds. */
enum accepted refusal_meet(int error);

#endif
