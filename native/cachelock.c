#define _GNU_SOURCE
#include "cachelock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <unistd.h>

#include <php.h>
#include <zend_extensions.h>

#include "imports.h"
#include "scoreboard.h"

/* The byte of OPcache's lock file that stands for using the shared memory. */
#define USAGE 1

static struct kraal_slot *slots;
static struct kraal_slot *own;   /* NULL: the kernel has all locks */
static uint32_t slot_count;
static bool others;              /* the kernel may have other locks of this process */
static bool used;                /* what OPcache takes to be so; forked processes go on with it */

static void say(bool uses)
{
	used = uses;
	if (own) {
		/* What follows looks whether the cache is being emptied: not before everybody sees this. */
		__atomic_store_n(&own->cached, uses, __ATOMIC_SEQ_CST);
	}
}

static bool is_for(const struct flock *lock, short type, off_t start, off_t size)
{
	return lock->l_type == type && lock->l_whence == SEEK_SET && lock->l_start == start && lock->l_len == size;
}

/* Whether no more is to be done. */
static bool change(const struct flock *lock)
{
	if (is_for(lock, F_RDLCK, USAGE, 1) || is_for(lock, F_UNLCK, USAGE, 1)) {
		say(lock->l_type == F_RDLCK);
		return own != NULL;
	}
	if (is_for(lock, F_UNLCK, 0, 0)) {
		say(false);
		bool done = !others;
		others = false;
		return own && done;
	}
	return false;
}

/* Tell of another worker that uses the cache, as the kernel would tell of its lock. */
static bool find_user(struct flock *lock)
{
	for (uint32_t i = 0; i < slot_count; i++) {
		pid_t pid = __atomic_load_n(&slots[i].pid, __ATOMIC_SEQ_CST);
		if (&slots[i] != own && pid > 0 && __atomic_load_n(&slots[i].cached, __ATOMIC_SEQ_CST)) {
			*lock = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = USAGE, .l_len = 1, .l_pid = pid};
			return true;
		}
	}
	return false;
}

/* All that OPcache gives to fcntl() is a pointer or a number, which travel alike. */
static int replaced_fcntl(int file, int command, ...)
{
	va_list arguments;
	va_start(arguments, command);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	if (command == F_SETLK && change(argument)) {
		return 0;
	}
	if (own && command == F_GETLK && is_for(argument, F_WRLCK, USAGE, 1) && find_user(argument)) {
		return 0;
	}
	if ((command == F_SETLK || command == F_SETLKW) && ((const struct flock *)argument)->l_type != F_UNLCK) {
		others = true;
	}
	return fcntl(file, command, argument);
}

/* The slot is the parent's, and locks are not inherited. */
static void forget(void)
{
	own = NULL;
}

void cachelock_prepare(void)
{
	const zend_extension *opcache = zend_get_extension("Zend OPcache");
	if (!opcache || !opcache->startup) {
		return;
	}
	const void *inside = (const void *)opcache->startup;
	imports_replace(inside, "fcntl", (void (*)(void))replaced_fcntl);
	imports_replace(inside, "fcntl64", (void (*)(void))replaced_fcntl);
	pthread_atfork(NULL, NULL, forget);
}

void cachelock_open(const struct kraal_worker *worker)
{
	slots = worker->scoreboard ? scoreboard_slots(worker->scoreboard) : NULL;
	slot_count = worker->slot_count;
	own = slots ? &slots[worker->slot] : NULL;
	/* If the process before the fork had locks, this one has not. */
	others = false;
	say(used);
}
