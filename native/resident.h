/* A resident: a worker in which the worker script stays loaded, and handles requests in a loop.
 *
 * The script is one long request of PHP, on a stack of its own (callstack.h).  It runs until it calls
 * kraal_handle_request(), which is known by FrankenPHP's name as well; there it stands until the serve loop has
 * a request for it, or until the worker is to leave. */
#ifndef KRAAL_RESIDENT_H
#define KRAAL_RESIDENT_H

#include <stdbool.h>

#include "bridge.h"
#include "fastcgi.h"

/* In a process that was forked off a zygote the script stands in its wait already.  Returns 0, or -1 with errno. */
int resident_open(const struct kraal_worker *worker);

/* Whether the script has been started, and has not ended. */
bool resident_is_up(void);

/* Whether it stands in its wait. */
bool resident_is_waiting(void);

/* Have it handle one FCGI_READY request.  It may have ended afterwards; if it had before, it is started.
 * Returns 0, or -1 if PHP is beyond repair. */
int resident_run(struct fcgi_connection *connection, struct fcgi_io *io);

/* Tell it that there will be no more requests, and wait for its end. */
void resident_leave(void);

#endif
