/* OPcache's lock of who uses the shared memory, without a system call per request.
 *
 * Each request that runs a cached script takes a read lock in the kernel and frees it in the end, only so that somebody
 * who wants to empty the cache can ask whether it is free.  Here a worker says in its slot of the scoreboard that it uses
 * the cache, and who asks is told of it in the same words.  A slot is the kernel's lock in what matters: it names a process,
 * and is free when that process has ended.  All other locks stay in the kernel, and so do those of whoever has no slot. */
#ifndef KRAAL_CACHELOCK_H
#define KRAAL_CACHELOCK_H

#include "bridge.h"

/* Once, after PHP's start: take the place of what OPcache calls, if there is OPcache. */
void cachelock_prepare(void);

/* In a worker, or in a zygote, which has no slot: its lock is the kernel's. */
void cachelock_open(const struct kraal_worker *worker);

#endif
