/* What PHP's libraries call of libc: ours in its place, where a call would change nothing.
 *
 * The dynamic linker has filled a table of addresses in each library; one entry of one library is exchanged.  Whoever
 * else calls the function still calls libc's, and so does what is put in its place. */
#ifndef KRAAL_IMPORTS_H
#define KRAAL_IMPORTS_H

#include <stdbool.h>

/* In the library that contains the address `inside`, have calls of the function `name` go to `with`.  Returns false,
 * with everything as it was, if the library does not call it, or cannot be changed. */
bool imports_replace(const void *inside, const char *name, void (*with)(void));

#endif
