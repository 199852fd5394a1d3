/* What a worker adds to the ledger of its pool: plain memory, no system call, no lock. */
#ifndef KRAAL_LEDGER_H
#define KRAAL_LEDGER_H

#include <stdint.h>

/* Further calls write there.  NULL: they do nothing. */
void ledger_open(void *base);

/* A request has waited so long before it came here. */
void ledger_wait(int64_t ns);

/* The head of an answer says this status. */
void ledger_status(int status);

/* The answer has ended, whether or not the client was still there: count it, once. */
void ledger_answer(void);

/* A connection was closed because of its client; enum patience_end. */
void ledger_lazy(unsigned why);

/* A request is over, and took so long. */
void ledger_duration(int64_t ns);

#endif
