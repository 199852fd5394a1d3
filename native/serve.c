#define _GNU_SOURCE
#include "bridge.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "connections.h"
#include "fastcgi.h"
#include "handoff.h"
#include "listening.h"
#include "overtime.h"
#include "requests.h"
#include "resident.h"
#include "rest.h"
#include "sapi.h"
#include "sharing.h"

#define EVENTS_AT_ONCE 32
#define DRAIN_SECONDS 5

/* A parked worker looks after so long whether those that it leaves new connections to do take them. */
#define PARKED_MS 500

/* Where connections are given away there may be no room; others make some. */
#define GIVE_AGAIN_MS 5

/* A client that has connected is about to send: so long is waited for it before the next is let in. */
#define FIRST_BYTES_MS 5

/* A worker is one thread. */
static struct fcgi_io io;
static int epoll = -1;
static int stop_event = -1;
static bool taking;    /* what others give away */
static bool knocked;   /* the listener may have a connection */
static bool offered;   /* another worker may have given one away */
static bool parked;
static bool rescuing;  /* nobody took a connection that had been waiting: take all that wait */
static size_t held;    /* connections, as others know it */
static bool said_spent;
static volatile sig_atomic_t stopping;
static pid_t self;

/* Marks in epoll's user data for what is not a connection. */
static char listener_mark, offer_mark, stop_mark, poke_mark;

static void on_quit(int number)
{
	int error = errno;
	uint64_t one = 1;
	(void)number;
	/* A process that a script has forked shares our set and our event. */
	if (getpid() != self) {
		return;
	}
	stopping = 1;
	listening_end();
	(void)!write(stop_event, &one, sizeof(one));
	errno = error;
}

static int watch(int fd, void *mark, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = mark};
	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Watch what others give away, exclusively as the listener, or do not. */
static void take_if(const struct kraal_worker *worker, bool wanted)
{
	if (wanted && !taking) {
		taking = watch(worker->handoff_take, &offer_mark, EPOLLIN | EPOLLEXCLUSIVE) == 0;
	} else if (!wanted && taking) {
		epoll_ctl(epoll, EPOLL_CTL_DEL, worker->handoff_take, NULL);
		taking = false;
	}
}

/* Take new connections, or leave them to other workers. */
static void listen_if(const struct kraal_worker *worker, bool wanted)
{
	listening_want(wanted);
	take_if(worker, wanted && connections_may_take() && !handoff_is_over());
}

int kraal_worker_start(const struct kraal_worker *worker)
{
	struct sigaction quit = {.sa_handler = on_quit, .sa_flags = SA_RESTART};
	epoll = epoll_create1(EPOLL_CLOEXEC);
	stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (epoll < 0 || stop_event < 0) {
		return -1;
	}
	self = getpid();
	sharing_open(worker);
	listening_open(worker, epoll, &listener_mark);
	listen_if(worker, !worker->script);
	if ((!listening_now() && !worker->match) || watch(stop_event, &stop_mark, EPOLLIN) < 0) {
		return -1;
	}
	sigemptyset(&quit.sa_mask);
	if (sigaction(SIGQUIT, &quit, NULL) < 0) {
		return -1;
	}
	/* When the manager dies, finish and leave: nobody would replace us or stop us. */
	if (prctl(PR_SET_PDEATHSIG, SIGQUIT) < 0) {
		return -1;
	}
	if (getppid() != worker->manager) {
		on_quit(SIGQUIT);
	}
	if (watch(worker->poke, &poke_mark, EPOLLIN | EPOLLET) < 0) {
		return -1;
	}
	connections_open(worker, epoll);
	handoff_open(worker);
	requests_open(worker, &io);
	sapi_worker_start(worker);
	if (worker->script && resident_open(worker) < 0) {
		return -1;
	}
	return overtime_open(worker);
}

/* Read from a connection and serve what is complete. */
static enum step serve_connection(struct fcgi_connection *connection)
{
	io.input_start = io.input_end = 0;
	return requests_serve(connection);
}

/* Serve a new connection.  One that is silent yet is waited for a moment: whoever was let in meanwhile would
 * have to wait for the end of its request, even where another worker could be started. */
static enum step serve_new(struct fcgi_connection *connection)
{
	io.input_start = io.input_end = 0;
	fcgi_advance(connection, &io);
	/* Only for one at a time, or clients that never send could keep the worker from the others. */
	if (fcgi_is_silent(connection) && connections_owed() == 1) {
		struct pollfd first = {.fd = connection->fd, .events = POLLIN};
		poll(&first, 1, FIRST_BYTES_MS);
		return requests_serve(connection);
	}
	return requests_serve_decoded(connection);
}

/* ---------------------------------------------------------------- the loop */

static enum kraal_outcome outcome_of(enum step step)
{
	return step == STEP_PAGE ? KRAAL_LOCAL_PAGE : KRAAL_PHP_FAILED;
}

static bool is_spent(const struct kraal_worker *worker)
{
	return worker->max_requests && requests_served() >= worker->max_requests;
}

/* A resident goes on until another one can take its place. */
static bool leaving(const struct kraal_worker *worker)
{
	return stopping || (!worker->script && is_spent(worker));
}

/* Look at the events that are not of connections.  First of all, as some are not told twice. */
static void read_marks(const struct epoll_event *events, int count)
{
	bool woken = false;
	for (int i = 0; i < count; i++) {
		const void *mark = events[i].data.ptr;
		if (mark == &poke_mark) {
			parked = false;
			knocked = true;
		} else if (mark == &listener_mark) {
			woken = knocked = true;
		} else if (mark == &offer_mark) {
			woken = offered = true;
		}
	}
	/* The kernel woke this worker alone for the new connection, and it has old ones to serve first. */
	if (woken && count > 1 && sharing_other_is_idle()) {
		sharing_poke();
	}
}

static bool is_connection(const void *mark)
{
	return mark != &listener_mark && mark != &offer_mark && mark != &poke_mark && mark != &stop_mark;
}

/* Several connections have sent something: have the last one served by somebody who has fewer.  Returns how many events
 * are left. */
static int share(const struct epoll_event *events, int count)
{
	if (count < 2 || !is_connection(events[count - 1].data.ptr) || !sharing_other_has_fewer()) {
		return count;
	}
	return connections_give_ready(events[count - 1].data.ptr) ? count - 1 : count;
}

/* Wait for something, then serve every connection that has bytes. */
static enum step wait_and_serve(const struct kraal_worker *worker, int timeout_ms)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	bool was_leaving = leaving(worker);
	/* What comes after a rest has not waited for this worker. */
	int count = rest_until(epoll, events, EVENTS_AT_ONCE, connections_patience(timeout_ms));
	read_marks(events, count);
	int left = share(events, count);
	uint64_t given = connections_given();
	/* When the limit is reached, what is left is drained; when connections were given away, it is told once more. */
	for (int i = 0; i < left && leaving(worker) == was_leaving && connections_given() == given; i++) {
		if (is_connection(events[i].data.ptr)) {
			enum step step = serve_connection(events[i].data.ptr);
			if (step != STEP_DONE) {
				return step;
			}
		}
	}
	if (count == 0 && timeout_ms == PARKED_MS) {
		parked = false;
		rescuing = knocked = true;
	}
	connections_tidy();
	return STEP_DONE;
}

/* Requests that have arrived on idle kept connections are served before the worker leaves. */
static enum step serve_last(void)
{
	for (size_t i = connections_count(); i-- > 0;) {
		struct fcgi_connection *connection = connections_at(i);
		if (!connection || connection->state == FCGI_LINGER) {
			continue;
		}
		enum step step = serve_connection(connection);
		if (step != STEP_DONE) {
			return step;
		}
	}
	return STEP_DONE;
}

/* Answer whoever was let in, but do not wait for ever for a request that does not come.  Connections that only
 * wait go to the other workers. */
static enum step drain(const struct kraal_worker *worker)
{
	int64_t deadline = clock_seconds() + DRAIN_SECONDS;
	/* The event stays readable and would keep every wait from waiting. */
	epoll_ctl(epoll, EPOLL_CTL_DEL, stop_event, NULL);
	listen_if(worker, false);
	sharing_hold(SIZE_MAX);
	if (worker->script) {
		sharing_take_residence(false);
	}
	/* The kernel may have woken this worker for a connection that it will not take. */
	sharing_poke();
	bool given = connections_give_waiting(NULL);
	while ((connections_owed() || !given) && clock_seconds() < deadline) {
		enum step step = wait_and_serve(worker, given ? 1000 : GIVE_AGAIN_MS);
		if (step != STEP_DONE) {
			return step;
		}
		given = connections_give_waiting(NULL);
	}
	return serve_last();
}

/* Whether this worker has connections changed: leave new ones to others, or not any more. */
static void update_sharing(void)
{
	if (held != connections_count()) {
		held = connections_count();
		sharing_hold(held);
	}
	if (!held) {
		parked = false;
		sharing_unpark();
	}
}

/* Serve what another worker gave away. */
static enum step turn_to_offer(void)
{
	struct fcgi_connection *connection = connections_take(&io);
	offered = false;
	if (!connection) {
		return STEP_DONE;
	}
	update_sharing();
	enum step step = requests_serve(connection);
	update_sharing();
	parked = held && sharing_park();
	return step;
}

/* Serve a new connection.  Sets *lost when there will never be another one. */
static enum step turn_to_listener(bool *lost)
{
	struct fcgi_connection *connection = NULL;
	enum accepted accepted = connections_accept(&connection);
	*lost = accepted == ACCEPT_LOST && !listening_has_ended();
	knocked = accepted == ACCEPT_ONE && !connections_count();
	if (connection) {
		update_sharing();
		enum step step = serve_new(connection);
		update_sharing();
		/* Whether there is another one tells the next wait: an accept in vain costs seven times more, as the kernel
		 * makes a socket and a file first. */
		knocked = rescuing;
		parked = held && !rescuing && sharing_park();
		return step;
	}
	if (rescuing && !knocked) {
		rescuing = false;
		parked = held && sharing_park();
	}
	return STEP_DONE;
}

/* One turn: a connection if there may be one, else whatever happens first. */
static enum step turn(const struct kraal_worker *worker, bool *lost)
{
	listen_if(worker, !parked);
	knocked = knocked && (listening_now() || rescuing);
	offered = offered && taking;
	if (offered) {
		return turn_to_offer();
	}
	if (knocked) {
		return turn_to_listener(lost);
	}
	bool others_listen = parked || (taking && !listening_now());
	enum step step = wait_and_serve(worker, others_listen ? PARKED_MS : -1);
	update_sharing();
	return step;
}

/* Whether Python has something to decide on before the next turn. */
static bool needs_decision(const struct kraal_worker *worker)
{
	return worker->script && (!resident_is_waiting() || (is_spent(worker) && !said_spent));
}

static enum kraal_outcome decision(void)
{
	if (!resident_is_waiting()) {
		return KRAAL_SCRIPT_ENDED;
	}
	said_spent = true;
	return KRAAL_SPENT;
}

enum kraal_outcome kraal_serve(const struct kraal_worker *worker)
{
	bool lost = false;
	enum step step = requests_serve_pending();
	knocked = true;
	update_sharing();
	while (step == STEP_DONE && !lost && !leaving(worker)) {
		if (needs_decision(worker)) {
			return decision();
		}
		step = turn(worker, &lost);
	}
	if (lost) {
		return KRAAL_LISTENER_LOST;
	}
	if (step == STEP_DONE) {
		step = drain(worker);
	}
	if (step != STEP_DONE) {
		return outcome_of(step);
	}
	connections_close_all();
	if (worker->script) {
		resident_leave();
	}
	return stopping ? KRAAL_STOPPED : KRAAL_SPENT;
}
