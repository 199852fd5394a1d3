/* What the worker script has set until its first wait holds for every request, and what a request sets holds
 * for that one: settings (ini), environment, $_ENV, working directory, umask and locale.
 *
 * How sessions are kept is set up once by frameworks, perhaps in the first request: settings called session.* stay. */
#ifndef KRAAL_BOOTSTATE_H
#define KRAAL_BOOTSTATE_H

/* Once, when PHP has started: see who changes the directory and the umask, so that nobody asks the kernel in vain. */
void bootstate_prepare(void);

/* Remember how things are. */
void bootstate_open(void);

/* Put back what is not so any more. */
void bootstate_restore(void);

/* $_ENV has just been made anew for a request: give it its old content. */
void bootstate_restore_variables(void);

/* Forget. */
void bootstate_close(void);

#endif
