/* PHP's time limits (max_input_time, max_execution_time) without a system call per request.
 *
 * For each request PHP installs the handler of SIGPROF again, unblocks the signal, sets the timer of processor time once
 * or twice and takes it back in the end.  Here the kernel's timer goes on from one request to the next.  It was set for
 * no longer than PHP asks now, so its signal comes too early, never too late.  The handler looks how much the request has
 * used: it passes the signal on if that is enough, and sets the timer to what is left if not.
 *
 * What a script asks for itself (set_time_limit) and the limits of a request with a body, which may use much time before
 * its script starts, are set in the kernel at once and exactly, as PHP does it. */
#ifndef KRAAL_TIMELIMIT_H
#define KRAAL_TIMELIMIT_H

#include <stdbool.h>

/* Once, after PHP's start: take the place of what libphp calls.  Nothing is different until the first request. */
void timelimit_prepare(void);

/* Before PHP starts a request, and before it starts the script. */
void timelimit_request(bool has_body);
void timelimit_script(void);

#endif
