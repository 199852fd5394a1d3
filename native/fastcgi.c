#define _GNU_SOURCE
#include "fastcgi_parts.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void fcgi_open(struct fcgi_connection *connection, int fd)
{
	memset(connection, 0, sizeof(*connection));
	connection->fd = fd;
	connection->state = FCGI_WAIT_BEGIN;
	params_init(&connection->params);
}

void fcgi_forget_request(struct fcgi_connection *connection)
{
	params_reset(&connection->params);
	free(connection->body.bytes);
	memset(&connection->body, 0, sizeof(connection->body));
}

void fcgi_release(struct fcgi_connection *connection)
{
	fcgi_forget_request(connection);
	params_release(&connection->params);
	if (connection->fd >= 0) {
		close(connection->fd);
	}
	connection->fd = -1;
}

ssize_t fcgi_receive(const struct fcgi_connection *connection, struct fcgi_io *io, int flags)
{
	ssize_t got;
	do {
		got = recv(connection->fd, io->input, FCGI_INPUT_SIZE, flags);
	} while (got < 0 && errno == EINTR);
	io->input_start = 0;
	io->input_end = got > 0 ? (size_t)got : 0;
	return got;
}

bool fcgi_nothing_yet(ssize_t got)
{
	return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Throw away what a peer still sends after its answer. */
static void linger(struct fcgi_connection *connection, struct fcgi_io *io)
{
	ssize_t got = fcgi_receive(connection, io, MSG_DONTWAIT);
	if (got == 0 || (got < 0 && !fcgi_nothing_yet(got))) {
		connection->state = FCGI_DEAD;
	}
	io->input_start = io->input_end = 0;
}

void fcgi_advance(struct fcgi_connection *connection, struct fcgi_io *io)
{
	if (connection->state == FCGI_LINGER) {
		linger(connection, io);
		return;
	}
	if (io->input_start == io->input_end) {
		ssize_t got = fcgi_receive(connection, io, MSG_DONTWAIT);
		if (fcgi_nothing_yet(got)) {
			return;
		}
		if (got < 0 || (got == 0 && connection->state != FCGI_WAIT_BODY)) {
			fcgi_die(connection, NULL);
			return;
		}
		connection->eof = got == 0;
	}
	if (connection->state == FCGI_WAIT_BODY) {
		/* Whoever has asked for it gathers on. */
		connection->state = FCGI_READY;
	}
	fcgi_decode(connection, io);
}

void fcgi_start_answer(struct fcgi_connection *connection, struct fcgi_io *io)
{
	io->output_size = 0;
	io->record_start = NO_RECORD;
	connection->aborted = false;
}

static bool request_is_over(const struct fcgi_connection *connection)
{
	return connection->stdin_done && connection->head_size == 0;
}

/* Go on over what has arrived to the end of the request, but not over bytes of its body. */
static void look_ahead(struct fcgi_connection *connection, struct fcgi_io *io)
{
	while (io->input_start < io->input_end && connection->state != FCGI_DEAD && !connection->aborted) {
		if (request_is_over(connection) || fcgi_body_is_next(connection)) {
			return;
		}
		fcgi_decode_step(connection, io, true);
	}
}

bool fcgi_at_rest(struct fcgi_connection *connection, struct fcgi_io *io)
{
	look_ahead(connection, io);
	return connection->keep && request_is_over(connection) && !connection->eof && !connection->aborted &&
	       connection->state != FCGI_DEAD;
}

static bool abort_is_next(const struct fcgi_connection *connection, const struct fcgi_io *io)
{
	const uint8_t *head = io->input + io->input_start;
	return io->input_end - io->input_start >= FCGI_HEADER_SIZE && head[1] == FCGI_ABORT_REQUEST &&
	       (head[2] << 8 | head[3]) == connection->request_id;
}

void fcgi_look(struct fcgi_connection *connection, struct fcgi_io *io)
{
	look_ahead(connection, io);
	if (io->input_start == io->input_end && !connection->eof) {
		connection->eof = fcgi_receive(connection, io, MSG_DONTWAIT) == 0;
		look_ahead(connection, io);
	}
	/* What comes behind the end of the request is not decoded yet: it may be the next one. */
	connection->aborted = connection->aborted || (request_is_over(connection) && abort_is_next(connection, io));
}

static bool is_unix_socket(int fd)
{
	int domain = 0;
	socklen_t size = sizeof(domain);
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

bool fcgi_peer_left(const struct fcgi_connection *connection)
{
	struct pollfd look = {.fd = connection->fd, .events = POLLRDHUP};
	if (poll(&look, 1, 0) <= 0) {
		return false;
	}
	return look.revents & (POLLHUP | POLLERR) || !is_unix_socket(connection->fd);
}

/* Throw away what has arrived of the body, and nothing behind it. */
static void skip_body(struct fcgi_connection *connection, struct fcgi_io *io)
{
	connection->state = FCGI_WAIT_STDIN;
	fcgi_after_body(connection);
	while (connection->state == FCGI_WAIT_STDIN && io->input_start < io->input_end) {
		fcgi_decode_step(connection, io, false);
		fcgi_after_body(connection);
	}
}

void fcgi_finish(struct fcgi_connection *connection, struct fcgi_io *io)
{
	bool keep = connection->keep;  /* of this request; another one may stand in io */
	fcgi_forget_request(connection);
	connection->phase = FCGI_PHASE_NONE;
	connection->served = true;
	if (connection->state == FCGI_DEAD || connection->aborted || connection->eof) {
		connection->state = FCGI_DEAD;
		return;
	}
	skip_body(connection, io);
	if (keep) {
		fcgi_decode(connection, io);
	} else if (connection->stdin_done || connection->state == FCGI_DEAD) {
		fcgi_die(connection, NULL);
	} else {
		/* Closing with unread bytes would reset the connection and could cost the peer its answer. */
		shutdown(connection->fd, SHUT_WR);
		connection->state = FCGI_LINGER;
	}
}

size_t fcgi_memory(const struct fcgi_connection *connection)
{
	return params_memory(&connection->params) + connection->body.capacity;
}

bool fcgi_is_silent(const struct fcgi_connection *connection)
{
	return connection->state == FCGI_WAIT_BEGIN && !connection->head_size;
}

bool fcgi_can_be_handed(const struct fcgi_connection *connection)
{
	enum fcgi_state state = connection->state;
	return state == FCGI_WAIT_BEGIN || state == FCGI_WAIT_PARAMS || state == FCGI_WAIT_BODY;
}

bool fcgi_owes_answer(const struct fcgi_connection *connection)
{
	switch (connection->state) {
	case FCGI_WAIT_BEGIN:
		return !connection->served || connection->head_size;
	case FCGI_WAIT_PARAMS:
	case FCGI_READY:
	case FCGI_WAIT_BODY:
		return true;
	default:
		return false;
	}
}
