#define _GNU_SOURCE
#include "connections.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "handoff.h"
#include "log.h"
#include "peer.h"
#include "scoreboard.h"

#define CONNECTIONS_MAX 1024
#define LINGER_SECONDS 5

static int epoll = -1;
static struct fcgi_connection *table[CONNECTIONS_MAX];
static size_t count;
static size_t limit = CONNECTIONS_MAX;
static size_t lingering;
static uint64_t given;
static struct fcgi_connection *spare;  /* a closed one, for the sake of its buffers */

void connections_open(int epoll_fd)
{
	struct rlimit files;
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
	if (connection->taken && connection->watched) {
		/* As long as the giver's copy is there our set would go on telling of it. */
		epoll_ctl(epoll, EPOLL_CTL_DEL, connection->fd, NULL);
	}
	lingering -= connection->lingers;
	table[connection->index] = table[--count];
	table[connection->index]->index = connection->index;
	if (!spare) {
		if (connection->fd >= 0) {
			close(connection->fd);
		}
		params_reset(&connection->params);
		spare = connection;
	} else {
		fcgi_release(connection);
		free(connection);
	}
}

/* Close the connection that was silent longest.  Returns whether there was one. */
static bool give_up_oldest(void)
{
	struct fcgi_connection *oldest = table[0];
	if (!count) {
		return false;
	}
	for (size_t i = 1; i < count; i++) {
		if (table[i]->since < oldest->since) {
			oldest = table[i];
		}
	}
	drop(oldest);
	return true;
}

/* Take a connected socket.  Returns NULL, with fd closed, without memory. */
static struct fcgi_connection *add(int fd)
{
	if (count >= limit) {
		give_up_oldest();
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
	connection->since = clock_seconds();
	connection->index = count;
	table[count++] = connection;
	return connection;
}

enum accepted connections_accept(const struct kraal_worker *worker, struct fcgi_connection **connection)
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
	switch (errno) {
	case EMFILE:
		/* The connections use up the descriptors, or else scripts have kept so many: a new worker is better. */
		if (give_up_oldest()) {
			return ACCEPT_ONE;
		}
		log_line(KRAAL_LOG_ERROR, "cannot accept connections: %s", strerror(EMFILE));
		return ACCEPT_LOST;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
	case EOPNOTSUPP:
	case EFAULT:
		return ACCEPT_LOST;
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		/* The listener stays readable: without a pause this would spin. */
		log_line(KRAAL_LOG_ERROR, "cannot accept connections: %s", strerror(errno));
		nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
		return ACCEPT_NONE;
	default:
		return ACCEPT_NONE;
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
		connection->served = handed.served;
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

static bool give(struct fcgi_connection *connection, const uint8_t *bytes, size_t size)
{
	if (!handoff_give(connection->fd, connection->served || connection->ended, bytes, size)) {
		return false;
	}
	let_go(connection);
	return true;
}

bool connections_pass(struct fcgi_connection *connection, struct fcgi_io *io)
{
	static uint8_t bytes[FCGI_HANDED_SIZE];
	size_t size = fcgi_encode_request(connection, io, bytes, sizeof(bytes));
	if (!size || !handoff_pass(connection->fd, connection->served, bytes, size)) {
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
	if (!give(connection, io->input + io->input_start, io->input_end - io->input_start)) {
		return false;
	}
	io->input_start = io->input_end = 0;
	return true;
}

bool connections_give_idle(const struct fcgi_connection *but)
{
	for (size_t i = count; i-- > 0;) {
		struct fcgi_connection *connection = table[i];
		if (connection != but && fcgi_is_silent(connection)) {
			if (!give(connection, NULL, 0)) {
				return handoff_is_over();
			}
			drop(connection);
		}
	}
	return true;
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
	} else if (connection->state == FCGI_LINGER && !connection->lingers) {
		connection->lingers = true;
		lingering++;
	}
}

bool connections_lingering(void)
{
	return lingering > 0;
}

void connections_expire(void)
{
	int64_t oldest = clock_seconds() - LINGER_SECONDS;
	for (size_t i = count; i-- > 0;) {
		if (table[i]->state == FCGI_LINGER && table[i]->since < oldest) {
			drop(table[i]);
		}
	}
}

void connections_close_all(void)
{
	while (count) {
		drop(table[count - 1]);
	}
}
