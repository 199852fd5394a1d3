/* The working folder: scripts run in their own, and everything else in the worker's.
 *
 * PHP does this itself, by names: it asks where it is, goes to the script's folder and comes back.  With a
 * descriptor of the worker's folder neither the question nor a walk along the path back is needed, and who has
 * changed the folder in a shutdown function does not leave the next request there. */
#ifndef KRAAL_FOLDER_H
#define KRAAL_FOLDER_H

#include <stdbool.h>

/* Remember where the worker is. */
void folder_open(void);

/* Go where the script is.  Returns false if that is left to PHP: then no folder_leave. */
bool folder_enter(const char *script);
void folder_leave(void);

#endif
