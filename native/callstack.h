/* A second C stack, on which the worker script runs while it is away from its wait.
 *
 * The script calls kraal_handle_request() and stands there, with all its frames, while the serve loop goes on
 * on the first stack, and even returns to Python.  PHP's fibers are made the same way. */
#ifndef KRAAL_CALLSTACK_H
#define KRAAL_CALLSTACK_H

#include <stddef.h>

/* Have a stack on which `entry` is to run, which must not return.  Returns 0, or -1 with errno. */
int callstack_open(void (*entry)(void));

/* Where the second stack begins, which is its upper end, and how large it is. */
void *callstack_base(void);
size_t callstack_size(void);

/* On the first stack: go on where the second one stands, until that one leaves. */
void callstack_enter(void);

/* On the second stack: let the first one go on, until it enters again. */
void callstack_leave(void);

#endif
