#define _GNU_SOURCE
#include "connections.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "handoff.h"
#include "log.h"
#include "patience.h"
#include "peer.h"
#include "refusal.h"
#include "scoreboard.h"
#include "sharing.h"

/* Deadlines are looked at once so often at most. */
#define LOOK_EACH_MS 1000

static int epoll = -1;
static struct fcgi_connection *table[CONNECTIONS_MAX];
static size_t count;
static size_t limit = CONNECTIONS_MAX;
static size_t charged;                 /* bytes of memory of all of them */
static int64_t look_at = PATIENCE_ENDLESS;  /* in CLOCK_MONOTONIC milliseconds: no deadline is earlier */
static int64_t looked_at;
static const struct kraal_worker *worker;
static uint64_t given;
static uint8_t encoded[FCGI_HANDED_SIZE];  /* what goes along with one that is given away */
static struct fcgi_connection *spare;  /* a closed one, for the sake of its buffers */

void connections_open(const struct kraal_worker *settings, int epoll_fd)
{
	struct rlimit files;
	worker = settings;
	epoll = epoll_fd;
	/* Half of the descriptors are for the scripts. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 2 < limit) {
		limit = files.rlim_cur < 2 ? 1 : files.rlim_cur / 2;
	}
}

size_t connections_count(void)
{
	return count;
}

bool connections_may_take(void)
{
	return count < limit || !sharing_other_has_room();
}

struct fcgi_connection *connections_at(size_t index)
{
	return index < count ? table[index] : NULL;
}

uint64_t connections_owed(void)
{
	uint64_t owed = 0;
	for (size_t i = 0; i < count; i++) {
		owed += fcgi_owes_answer(table[i]);
	}
	return owed;
}

static void drop(struct fcgi_connection *connection)
{
	if (connection->fault) {
		log_line(KRAAL_LOG_WARNING, "FastCGI protocol error: %s; connection closed", connection->fault);
	}
	if (connection->overdue) {
		patience_end(PATIENCE_OVERDUE, clock_ms());
	}
	if (connection->taken && connection->watched) {
		/* As long as the giver's copy is there our set would go on telling of it. */
		epoll_ctl(epoll, EPOLL_CTL_DEL, connection->fd, NULL);
	}
	charged -= connection->charged;
	table[connection->index] = table[--count];
	table[connection->index]->index = connection->index;
	if (!spare) {
		if (connection->fd >= 0) {
			close(connection->fd);
		}
		fcgi_forget_request(connection);
		spare = connection;
	} else {
		fcgi_release(connection);
		free(connection);
	}
}

/* Close the one that others are preferred to; only if it takes memory, if that is what is lacking.  Returns whether
 * there was one. */
static bool give_up_one(int64_t now, bool for_memory)
{
	struct fcgi_connection *found = NULL;
	for (size_t i = 0; i < count; i++) {
		bool counts = !for_memory || patience_is_unfinished(table[i]->phase);
		if (counts && (!found || patience_prefers(table[i], found, now))) {
			found = table[i];
		}
	}
	if (found) {
		patience_end(PATIENCE_CROWD, now);
		drop(found);
	}
	return found != NULL;
}

static bool give(struct fcgi_connection *connection, const uint8_t *bytes, size_t size);

/* Give the idle one that was silent longest to a worker that has time and room for it.  Returns whether that was
 * possible. */
static bool give_oldest(void)
{
	struct fcgi_connection *oldest = NULL;
	for (size_t i = 0; i < count; i++) {
		if (fcgi_is_silent(table[i]) && (!oldest || table[i]->since < oldest->since)) {
			oldest = table[i];
		}
	}
	if (!oldest || !sharing_other_has_fewer() || !give(oldest, NULL, 0)) {
		return false;
	}
	drop(oldest);
	return true;
}

/* Have one connection less.  Returns whether there was one. */
static bool make_room(void)
{
	return give_oldest() || give_up_one(clock_ms(), false);
}

/* Take a connected socket.  Returns NULL, with fd closed, without memory. */
static struct fcgi_connection *add(int fd)
{
	if (count >= limit) {
		make_room();
	}
	struct fcgi_connection *connection = spare ? spare : malloc(sizeof(*connection));
	if (!connection) {
		close(fd);
		return NULL;
	}
	struct params params = {0};
	if (spare) {
		params = spare->params;
		spare = NULL;
	}
	fcgi_open(connection, fd);
	connection->params = params;
	connection->index = count;
	table[count++] = connection;
	return connection;
}

enum accepted connections_accept(struct fcgi_connection **connection)
{
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	*connection = NULL;
	int fd = accept4(worker->listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
	if (fd >= 0) {
		scoreboard_connection();
		if (!peer_is_allowed(worker, fd)) {
			close(fd);
		} else {
			*connection = add(fd);
			peer_note(*connection, &peer, size);
		}
		return ACCEPT_ONE;
	}
	int error = errno;
	/* Perhaps the connections use up the descriptors. */
	return error == EMFILE && make_room() ? ACCEPT_ONE : refusal_meet(error);
}

/* Whoever wrote this may be hostile. */
static void believe(struct fcgi_connection *connection, const struct handoff_note *note)
{
	int64_t now = clock_ms();
	connection->served = note->served != 0;
	if (note->phase <= FCGI_PHASE_BODY) {
		connection->phase = (enum fcgi_phase)note->phase;
		connection->since = note->since < now ? note->since : now;
		connection->heard = note->heard < now ? note->heard : now;
	}
}

struct fcgi_connection *connections_take(struct fcgi_io *io)
{
	struct handed handed;
	if (!handoff_take(&handed, io->input)) {
		return NULL;
	}
	struct fcgi_connection *connection = add(handed.fd);
	if (connection) {
		believe(connection, &handed.note);
		connection->taken = true;
		io->input_start = 0;
		io->input_end = handed.size;
	}
	return connection;
}

/* Somebody else has it now. */
static void let_go(struct fcgi_connection *connection)
{
	if (connection->watched) {
		/* The taker's copy would keep it in our set. */
		epoll_ctl(epoll, EPOLL_CTL_DEL, connection->fd, NULL);
		connection->watched = false;
	}
	close(connection->fd);
	connection->fd = -1;
	connection->state = FCGI_DEAD;
	given++;
}

static struct handoff_note note_of(const struct fcgi_connection *connection)
{
	return (struct handoff_note){
	    .since = connection->since,
	    .heard = connection->heard,
	    .phase = connection->phase,
	    .served = connection->served || connection->ended,
	};
}

static bool give(struct fcgi_connection *connection, const uint8_t *bytes, size_t size)
{
	struct handoff_note note = note_of(connection);
	if (!handoff_give(connection->fd, &note, bytes, size)) {
		return false;
	}
	let_go(connection);
	return true;
}

bool connections_pass(struct fcgi_connection *connection, struct fcgi_io *io)
{
	struct handoff_note note = {.served = connection->served};
	size_t size = fcgi_encode_request(connection, io, encoded, sizeof(encoded));
	if (!size || !handoff_pass(connection->fd, &note, encoded, size)) {
		return false;
	}
	let_go(connection);
	io->input_start = io->input_end = 0;
	return true;
}

uint64_t connections_given(void)
{
	return given;
}

bool connections_give(struct fcgi_connection *connection, struct fcgi_io *io)
{
	connection->phase = FCGI_PHASE_NONE;
	if (!give(connection, io->input + io->input_start, io->input_end - io->input_start)) {
		return false;
	}
	io->input_start = io->input_end = 0;
	return true;
}

bool connections_give_waiting(const struct fcgi_connection *but)
{
	for (size_t i = count; i-- > 0;) {
		struct fcgi_connection *connection = table[i];
		size_t size = 0;
		if (connection == but || !fcgi_can_be_handed(connection) ||
		    !fcgi_encode_begun(connection, encoded, sizeof(encoded), &size)) {
			continue;
		}
		if (!give(connection, encoded, size)) {
			return handoff_is_over();
		}
		drop(connection);
	}
	return true;
}

bool connections_give_ready(struct fcgi_connection *connection)
{
	if (!fcgi_is_silent(connection) || !give(connection, NULL, 0)) {
		return false;
	}
	drop(connection);
	return true;
}

/* Note what it is waited for now, and since when. */
static void note_phase(struct fcgi_connection *connection)
{
	enum fcgi_phase before = connection->phase;
	connection->phase = patience_phase(connection);
	connection->heard = clock_ms();
	if (connection->phase != before &&
	    !(patience_is_unfinished(connection->phase) && patience_is_unfinished(before))) {
		connection->since = connection->heard;
	}
	int64_t deadline = patience_deadline(worker, connection);
	if (deadline < look_at) {
		look_at = deadline < looked_at + LOOK_EACH_MS ? looked_at + LOOK_EACH_MS : deadline;
	}
}

/* Note how much memory it takes.  Where that is much, who has nothing to keep keeps nothing. */
static void note_memory(struct fcgi_connection *connection)
{
	if (charged > CONNECTIONS_MEMORY_MAX / 2 && !patience_is_unfinished(connection->phase)) {
		params_release(&connection->params);
	}
	size_t size = fcgi_memory(connection);
	charged += size - connection->charged;
	connection->charged = size;
}

void connections_settle(struct fcgi_connection *connection)
{
	if (connection->state != FCGI_DEAD && !connection->watched) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0) {
			connection->state = FCGI_DEAD;
		}
		connection->watched = true;
	}
	if (connection->state == FCGI_DEAD) {
		drop(connection);
		return;
	}
	note_phase(connection);
	note_memory(connection);
}

int connections_patience(int timeout_ms)
{
	if (look_at == PATIENCE_ENDLESS) {
		return timeout_ms;
	}
	int64_t left = look_at - clock_ms();
	left = left > 0 ? left : 0;
	return timeout_ms >= 0 && timeout_ms < left ? timeout_ms : left < INT_MAX ? (int)left : INT_MAX;
}

/* Whether something has come of an idle one just now: nobody is to lose a request by it. */
static bool has_just_sent(const struct fcgi_connection *connection)
{
	uint8_t first;
	return connection->phase == FCGI_PHASE_IDLE && recv(connection->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Close all that were waited for long enough. */
static void close_overdue(int64_t now)
{
	look_at = PATIENCE_ENDLESS;
	looked_at = now;
	for (size_t i = count; i-- > 0;) {
		int64_t deadline = patience_deadline(worker, table[i]);
		if (deadline <= now && !has_just_sent(table[i])) {
			table[i]->overdue = patience_is_unfinished(table[i]->phase);
			drop(table[i]);
		} else if (deadline < look_at) {
			look_at = deadline;
		}
	}
	if (look_at < now + LOOK_EACH_MS) {
		look_at = now + LOOK_EACH_MS;
	}
}

void connections_tidy(void)
{
	int64_t now = look_at == PATIENCE_ENDLESS ? 0 : clock_ms();
	if (now >= look_at) {
		close_overdue(now);
	}
	while (charged > CONNECTIONS_MEMORY_MAX && give_up_one(clock_ms(), true)) {
	}
}

void connections_close_all(void)
{
	while (count) {
		drop(table[count - 1]);
	}
}
