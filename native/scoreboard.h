/* Writing the worker's own slot of the scoreboard.  Nobody else writes it while the worker lives. */
#ifndef KRAAL_SCOREBOARD_H
#define KRAAL_SCOREBOARD_H

#include "bridge.h"
#include "params.h"

/* The slots of a scoreboard stand behind its header. */
static inline struct kraal_slot *scoreboard_slots(void *board)
{
	return (struct kraal_slot *)((struct kraal_scoreboard *)board + 1);
}

/* Find the slot; further calls write there.  `base` NULL: every call does nothing.  `alarm` is an eventfd. */
void scoreboard_open(void *base, uint32_t slot, int alarm);

/* A connection was taken from the listener. */
void scoreboard_connection(void);

/* A request was read: count it and note what it asks for.  `user` is who logged in, or NULL. */
void scoreboard_request(const struct params *params, const char *user);

void scoreboard_stage(enum kraal_stage stage);

/* How long the request waited before it came here, in nanoseconds; -1: nobody knows. */
int64_t scoreboard_waited(void);

/* PHP has raised an error: should the worker die, this may tell why. */
void scoreboard_error(const char *text);

/* Lines of the access log are lost. */
void scoreboard_lost(struct kraal_scoreboard *board, uint32_t lines, int error);

/* The request is over: note its cost and become idle. */
void scoreboard_done(uint64_t memory);

/* Processor time of this worker when the last request ended, a few milliseconds more or less. */
int64_t scoreboard_cpu(void);

/* Have the clock read that scoreboard_cpu tells of. */
void scoreboard_read_clock(void);

#endif
