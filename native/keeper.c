#define _GNU_SOURCE
#include "keeper.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "connections.h"

/* A request that is seen at two looks is long. */
#define LOOK_NS 5000000
/* So many looks without a new request, and it sleeps until there is one. */
#define LOOKS_IN_VAIN 40
#define STACK_SIZE (128 * 1024)

static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static struct fcgi_connection *served;
static struct fcgi_io *leftover; /* of the served one, if its answer has ended: then it is given away, too */
static bool away;                /* the main thread does not hold the lock */
static atomic_uint requests;     /* that the main thread has left for */
static bool running;             /* there is a keeper */
static atomic_bool asleep;
static sem_t called;

/* A script forks: the child gets a whole table, but no keeper. */
static void before_fork(void)
{
	if (away) {
		pthread_mutex_lock(&table);
	}
}

static void after_fork(void)
{
	if (away) {
		pthread_mutex_unlock(&table);
	}
}

static void in_child(void)
{
	after_fork();
	running = false;
}

void keeper_open(void)
{
	pthread_mutex_lock(&table);
	sem_init(&called, 0, 0);
	pthread_atfork(before_fork, after_fork, in_child);
}

/* Wait for the main thread to run another request. */
static void sleep_until_called(unsigned int seen)
{
	/* First the word, then the look, as the main thread does it the other way round: none misses the other. */
	atomic_store(&asleep, true);
	if (atomic_load(&requests) != seen && atomic_exchange(&asleep, false)) {
		return;
	}
	while (sem_wait(&called) < 0) {
	}
}

/* Give away what waits for a request that is still the same as at the last look. */
static void look(unsigned int seen)
{
	if (pthread_mutex_trylock(&table) != 0) {
		return;
	}
	if (atomic_load(&requests) == seen) {
		if (leftover && connections_give(served, leftover)) {
			leftover = NULL;
		}
		connections_give_waiting(served);
	}
	pthread_mutex_unlock(&table);
}

static void *keep(void *unused)
{
	unsigned int seen = atomic_load(&requests), in_vain = 0;
	for (;;) {
		nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
		look(seen);
		unsigned int now = atomic_load(&requests);
		in_vain = now == seen ? in_vain + 1 : 0;
		seen = now;
		if (in_vain == LOOKS_IN_VAIN) {
			sleep_until_called(seen);
			in_vain = 0;
		}
	}
	return unused;
}

/* All signals are for the main thread. */
static bool start(void)
{
	pthread_t thread;
	pthread_attr_t attributes;
	sigset_t all, before;
	sigfillset(&all);
	if (pthread_attr_init(&attributes) != 0) {
		return false;
	}
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bool started = pthread_create(&thread, &attributes, keep, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (started) {
		pthread_setname_np(thread, "kraal: keeper");
	}
	pthread_attr_destroy(&attributes);
	return started;
}

static void leave(struct fcgi_connection *serving)
{
	served = serving;
	away = true;
	atomic_fetch_add(&requests, 1);
	pthread_mutex_unlock(&table);
	if (!running) {
		running = start();
	} else if (atomic_load(&asleep) && atomic_exchange(&asleep, false)) {
		sem_post(&called);
	}
}

void keeper_leave(struct fcgi_connection *serving)
{
	if (connections_count() > 1) {
		leave(serving);
	}
}

void keeper_entrust(struct fcgi_connection *answered, struct fcgi_io *io)
{
	keeper_return();
	leftover = io;
	leave(answered);
	if (!running) {
		keeper_return();
		connections_give(answered, io);
	}
}

void keeper_return(void)
{
	if (away) {
		pthread_mutex_lock(&table);
		away = false;
		leftover = NULL;
	}
}
