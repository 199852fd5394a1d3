/* The last error that PHP raised, kept in the scoreboard: should the worker die, its manager can tell. */
#ifndef KRAAL_LASTERROR_H
#define KRAAL_LASTERROR_H

/* Call once, in the worker. */
void lasterror_open(void);

#endif
