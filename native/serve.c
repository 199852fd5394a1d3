#define _GNU_SOURCE
#include "bridge.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "connections.h"
#include "fastcgi.h"
#include "log.h"
#include "response.h"
#include "sapi.h"
#include "scoreboard.h"
#include "sharing.h"

#define EVENTS_AT_ONCE 32
#define DRAIN_SECONDS 5

/* A parked worker looks after so long whether those that it leaves new connections to do take them. */
#define PARKED_MS 500

/* A client that has connected is about to send: so long is waited for it before the next is let in. */
#define FIRST_BYTES_MS 5

/* A worker is one thread. */
static struct fcgi_connection *page_connection;  /* waits for kraal_answer */
static struct fcgi_connection *pending;          /* answered by kraal_answer, not settled yet */
static struct fcgi_io io;
static uint64_t requests;
static int epoll = -1;
static int stop_event = -1;
static bool listening;
static bool parked;
static bool rescuing;  /* nobody took a connection that had been waiting: take all that wait */
static bool held;
static volatile sig_atomic_t stopping;

/* Marks in epoll's user data for what is not a connection. */
static char listener_mark, stop_mark, poke_mark;

static void on_quit(int number)
{
	int error = errno;
	uint64_t one = 1;
	(void)number;
	stopping = 1;
	(void)!write(stop_event, &one, sizeof(one));
	errno = error;
}

static int watch(int fd, void *mark, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = mark};
	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Listen, or leave new connections to other workers.  Returns what is so now. */
static bool listen_if(const struct kraal_worker *worker, bool wanted)
{
	if (wanted && !listening) {
		/* Exclusive: one new connection wakes one worker, not all of the pool. */
		listening = watch(worker->listener, &listener_mark, EPOLLIN | EPOLLEXCLUSIVE) == 0;
	} else if (!wanted && listening) {
		epoll_ctl(epoll, EPOLL_CTL_DEL, worker->listener, NULL);
		listening = false;
	}
	return listening;
}

int kraal_worker_start(const struct kraal_worker *worker)
{
	struct sigaction quit = {.sa_handler = on_quit, .sa_flags = SA_RESTART};
	epoll = epoll_create1(EPOLL_CLOEXEC);
	stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (epoll < 0 || stop_event < 0) {
		return -1;
	}
	if (!listen_if(worker, true) || watch(stop_event, &stop_mark, EPOLLIN) < 0) {
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
	connections_open(epoll);
	sharing_open(worker);
	sapi_worker_start(worker);
	return 0;
}

/* ---------------------------------------------------------------- requests */

static bool is_page(const char *path, const char *uri)
{
	return path && uri && strcmp(path, uri) == 0;
}

enum step { STEP_DONE, STEP_PAGE, STEP_FAILED };

static enum step run_request(const struct kraal_worker *worker, struct fcgi_connection *connection)
{
	const char *uri = PARAM_GET(&connection->params, "SCRIPT_NAME");
	requests++;
	if (is_page(worker->status_path, uri) || is_page(worker->ping_path, uri)) {
		sapi_resolve(&connection->params);
		scoreboard_request(&connection->params, NULL);
		scoreboard_stage(KRAAL_STAGE_RUNNING);
		fcgi_start_answer(connection, &io);
		page_connection = connection;
		return STEP_PAGE;
	}
	if (sapi_run(connection, &io) < 0) {
		return STEP_FAILED;
	}
	fcgi_finish(connection, &io);
	return STEP_DONE;
}

/* Serve the requests of a connection that are complete; more may stand in io already. */
static enum step serve_complete(const struct kraal_worker *worker, struct fcgi_connection *connection)
{
	while (connection->state == FCGI_READY) {
		enum step step = run_request(worker, connection);
		if (step != STEP_DONE) {
			return step;
		}
	}
	connections_settle(connection);
	return STEP_DONE;
}

/* Read from a connection and serve what is complete. */
static enum step serve_connection(const struct kraal_worker *worker, struct fcgi_connection *connection)
{
	io.input_start = io.input_end = 0;
	fcgi_advance(connection, &io);
	return serve_complete(worker, connection);
}

/* Serve a new connection.  One that is silent yet is waited for a moment: whoever was let in meanwhile would
 * have to wait for the end of its request, even where another worker could be started. */
static enum step serve_new(const struct kraal_worker *worker, struct fcgi_connection *connection)
{
	io.input_start = io.input_end = 0;
	fcgi_advance(connection, &io);
	/* Only for one at a time, or clients that never send could keep the worker from the others. */
	if (connection->state == FCGI_WAIT_BEGIN && !connection->head_size && connections_owed() == 1) {
		struct pollfd first = {.fd = connection->fd, .events = POLLIN};
		if (poll(&first, 1, FIRST_BYTES_MS) > 0) {
			fcgi_advance(connection, &io);
		}
	}
	return serve_complete(worker, connection);
}

static enum step serve_pending(const struct kraal_worker *worker)
{
	struct fcgi_connection *connection = pending;
	pending = NULL;
	return connection ? serve_complete(worker, connection) : STEP_DONE;
}

void kraal_page_get(struct kraal_page_request *page)
{
	const struct params *params = &page_connection->params;
	page->path = PARAM_GET(params, "SCRIPT_NAME");
	page->method = PARAM_GET(params, "REQUEST_METHOD");
	page->query = PARAM_GET(params, "QUERY_STRING");
}

void kraal_answer(const char *response, size_t size)
{
	struct fcgi_connection *connection = page_connection;
	page_connection = NULL;
	response_put_powered_by(connection, &io);
	fcgi_write(connection, &io, FCGI_STDOUT, response, size);
	fcgi_end(connection, &io, 0);
	scoreboard_done(0);
	fcgi_finish(connection, &io);
	/* Another request may stand in io already: the next kraal_serve begins with it. */
	pending = connection;
}

/* ---------------------------------------------------------------- the loop */

static enum kraal_outcome outcome_of(enum step step)
{
	return step == STEP_PAGE ? KRAAL_LOCAL_PAGE : KRAAL_PHP_FAILED;
}

static bool leaving(const struct kraal_worker *worker)
{
	return stopping || (worker->max_requests && requests >= worker->max_requests);
}

/* A worker that is about to leave takes no more connections than it may still answer. */
static bool has_room(const struct kraal_worker *worker)
{
	if (!worker->max_requests || requests + connections_count() < worker->max_requests) {
		return true;
	}
	return requests + connections_owed() < worker->max_requests;
}

/* Look at the events that are not of connections.  First of all, as some are not told twice. */
static void read_marks(const struct epoll_event *events, int count, bool *accept)
{
	bool woken = false;
	for (int i = 0; i < count; i++) {
		const void *mark = events[i].data.ptr;
		if (mark == &poke_mark) {
			parked = false;
			*accept = true;
		} else if (mark == &listener_mark) {
			woken = *accept = true;
		}
	}
	/* The kernel woke this worker alone for the new connection, and it has old ones to serve first. */
	if (woken && count > 1 && sharing_other_is_idle()) {
		sharing_poke();
	}
}

static bool is_connection(const void *mark)
{
	return mark != &listener_mark && mark != &poke_mark && mark != &stop_mark;
}

/* Wait for something, then serve every connection that has bytes.  Sets *accept when the listener has one. */
static enum step wait_and_serve(const struct kraal_worker *worker, int timeout_ms, bool *accept)
{
	struct epoll_event events[EVENTS_AT_ONCE];
	bool was_leaving = leaving(worker);
	int count = epoll_wait(epoll, events, EVENTS_AT_ONCE, connections_lingering() ? 1000 : timeout_ms);
	read_marks(events, count, accept);
	/* When the limit is reached in the middle, what is left is drained. */
	for (int i = 0; i < count && leaving(worker) == was_leaving; i++) {
		if (is_connection(events[i].data.ptr)) {
			enum step step = serve_connection(worker, events[i].data.ptr);
			if (step != STEP_DONE) {
				return step;
			}
		}
	}
	if (count == 0 && parked) {
		parked = false;
		rescuing = *accept = true;
	}
	if (connections_lingering()) {
		connections_expire();
	}
	return STEP_DONE;
}

/* Requests that have arrived on idle kept connections are served before the worker leaves. */
static enum step serve_last(const struct kraal_worker *worker)
{
	for (size_t i = connections_count(); i-- > 0;) {
		struct fcgi_connection *connection = connections_at(i);
		if (!connection || connection->state == FCGI_LINGER) {
			continue;
		}
		enum step step = serve_connection(worker, connection);
		if (step != STEP_DONE) {
			return step;
		}
	}
	return STEP_DONE;
}

/* Answer whoever was let in, but do not wait for ever for a request that does not come. */
static enum step drain(const struct kraal_worker *worker)
{
	bool accept;
	int64_t deadline = clock_seconds() + DRAIN_SECONDS;
	/* The event stays readable and would keep every wait from waiting. */
	epoll_ctl(epoll, EPOLL_CTL_DEL, stop_event, NULL);
	listen_if(worker, false);
	sharing_hold(true);
	/* The kernel may have woken this worker for a connection that it will not take. */
	sharing_poke();
	while (connections_owed() && clock_seconds() < deadline) {
		enum step step = wait_and_serve(worker, 1000, &accept);
		if (step != STEP_DONE) {
			return step;
		}
	}
	return serve_last(worker);
}

/* Whether this worker has connections changed: leave new ones to others, or not any more. */
static void update_sharing(void)
{
	bool holding = connections_count() > 0;
	if (holding != held) {
		held = holding;
		sharing_hold(holding);
	}
	if (!holding) {
		parked = false;
		sharing_unpark();
	}
}

/* One turn: a new connection if there may be one, else whatever happens first. */
static enum step turn(const struct kraal_worker *worker, bool *accept, bool *lost)
{
	struct fcgi_connection *connection = NULL;
	bool wanted = !parked && has_room(worker);
	if (!listen_if(worker, wanted)) {
		*accept = false;
	}
	if (*accept) {
		enum accepted accepted = connections_accept(worker, &connection);
		*lost = accepted == ACCEPT_LOST;
		*accept = accepted == ACCEPT_ONE && !connections_count();
	}
	if (connection) {
		update_sharing();
		enum step step = serve_new(worker, connection);
		update_sharing();
		/* With nobody else to look after, the next accept may be tried at once. */
		*accept = !held || rescuing;
		parked = held && !rescuing && sharing_park();
		return step;
	}
	if (rescuing && !*accept) {
		rescuing = false;
		parked = held && sharing_park();
		return STEP_DONE;
	}
	if (*accept || *lost) {
		return STEP_DONE;
	}
	enum step step = wait_and_serve(worker, parked ? PARKED_MS : -1, accept);
	update_sharing();
	return step;
}

enum kraal_outcome kraal_serve(const struct kraal_worker *worker)
{
	bool accept = true, lost = false;
	enum step step = serve_pending(worker);
	update_sharing();
	while (step == STEP_DONE && !lost && !leaving(worker)) {
		step = turn(worker, &accept, &lost);
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
	return stopping ? KRAAL_STOPPED : KRAAL_SPENT;
}
