/* What a worker script wants to be done when processes are forked off the one that it was booted in.
 *
 * kraal_before_fork() and kraal_after_fork() take functions while such a script boots, and tell others that there is
 * nothing to be forked.  Those for before run once, in the zygote; those for after in each process that is forked. */
#ifndef KRAAL_HOOKS_H
#define KRAAL_HOOKS_H

#include <stdbool.h>

/* Whether functions are taken from now on. */
void hooks_take(bool wanted);

/* Call them, on the script's stack, in the order of their coming.  Returns false if one of them has thrown. */
bool hooks_run(bool after);

/* The script has ended. */
void hooks_forget(void);

#endif
