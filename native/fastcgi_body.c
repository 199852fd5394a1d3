/* The body of a request: its beginning is gathered before PHP runs, the rest is read when PHP asks for it. */
#include "fastcgi_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define FIRST_SIZE 4096

bool fcgi_body_is_next(const struct fcgi_connection *connection)
{
	return connection->head_size == FCGI_HEADER_SIZE && connection->content_left && fcgi_in_body(connection);
}

/* ---------------------------------------------------------------- gathering */

/* How much is to be here.  A negative length means an unknown one. */
static size_t wanted(const struct fcgi_connection *connection, const struct fcgi_io *io)
{
	const char *file = PARAM_GET(&connection->params, "REQUEST_BODY_FILE");
	const char *text = PARAM_GET(&connection->params, "CONTENT_LENGTH");
	long long length = text ? atoll(text) : 0;
	if (file && *file) {
		return 0;
	}
	return length >= 0 && (size_t)length < io->body_buffer ? (size_t)length : io->body_buffer;
}

static bool is_there(const struct fcgi_connection *connection, size_t size)
{
	return connection->stdin_done || connection->eof || connection->body.size >= size;
}

/* Returns false without memory. */
static bool make_room(struct fcgi_connection *connection, size_t size)
{
	size_t capacity = connection->body.capacity ? connection->body.capacity : FIRST_SIZE;
	while (capacity < size) {
		capacity *= 2;
	}
	if (capacity == connection->body.capacity) {
		return true;
	}
	uint8_t *moved = realloc(connection->body.bytes, capacity);
	if (moved) {
		connection->body.bytes = moved;
		connection->body.capacity = capacity;
	}
	return moved != NULL;
}

/* Take body bytes that are next in the input.  Returns false without memory. */
static bool gather_piece(struct fcgi_connection *connection, struct fcgi_io *io, size_t size)
{
	size_t left = fcgi_smaller(connection->content_left, io->input_end - io->input_start);
	size_t piece = fcgi_smaller(left, size - connection->body.size);
	if (!make_room(connection, connection->body.size + piece)) {
		return false;
	}
	memcpy(connection->body.bytes + connection->body.size, io->input + io->input_start, piece);
	connection->body.size += piece;
	io->input_start += piece;
	connection->content_left -= (uint32_t)piece;
	if (!connection->content_left) {
		fcgi_decode_step(connection, io, true);
	}
	return true;
}

/* Whether something stands in the input.  If the last read has filled it, there may be more. */
static bool has_input(const struct fcgi_connection *connection, struct fcgi_io *io)
{
	if (io->input_start < io->input_end) {
		return true;
	}
	return io->input_end >= FCGI_INPUT_SIZE && fcgi_receive(connection, io, MSG_DONTWAIT) > 0;
}

bool fcgi_gather(struct fcgi_connection *connection, struct fcgi_io *io)
{
	size_t size = wanted(connection, io);
	if (is_there(connection, size)) {
		return true;
	}
	connection->state = FCGI_WAIT_BODY;
	while (connection->state == FCGI_WAIT_BODY && has_input(connection, io)) {
		if (!fcgi_body_is_next(connection)) {
			fcgi_decode_step(connection, io, true);
		} else if (!gather_piece(connection, io, size)) {
			size = connection->body.size;
		}
		if (connection->state == FCGI_WAIT_BODY && is_there(connection, size)) {
			connection->state = FCGI_READY;
			return true;
		}
	}
	if (connection->state == FCGI_WAIT_BEGIN) {
		/* It was given up; behind it stands the next one. */
		fcgi_decode(connection, io);
	}
	return false;
}

/* ---------------------------------------------------------------- reading */

/* Fill the input with what comes, within the time that there is for it. */
static void await_input(struct fcgi_connection *connection, struct fcgi_io *io)
{
	if (!connection->timed) {
		struct timeval patience = {.tv_sec = io->body_timeout};
		connection->timed = true;
		setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	}
	ssize_t got = fcgi_receive(connection, io, 0);
	if (got <= 0) {
		connection->overdue = fcgi_nothing_yet(got);
		connection->eof = true;
		connection->aborted = got < 0;
	}
}

/* Go on until body bytes are next in the input.  Returns false at the end of the body. */
static bool find_body(struct fcgi_connection *connection, struct fcgi_io *io)
{
	while (!connection->stdin_done && !connection->eof && !connection->aborted && connection->state != FCGI_DEAD) {
		if (io->input_start == io->input_end) {
			await_input(connection, io);
		} else if (fcgi_body_is_next(connection)) {
			return true;
		} else {
			fcgi_decode_step(connection, io, true);
		}
	}
	return false;
}

static size_t read_gathered(struct fcgi_connection *connection, char *to, size_t size)
{
	size_t piece = fcgi_smaller(size, connection->body.size - connection->body.at);
	if (piece) {
		memcpy(to, connection->body.bytes + connection->body.at, piece);
		connection->body.at += piece;
	}
	return piece;
}

size_t fcgi_read_body(struct fcgi_connection *connection, struct fcgi_io *io, char *to, size_t size)
{
	size_t total = read_gathered(connection, to, size);
	while (total < size && find_body(connection, io)) {
		size_t piece = fcgi_smaller(fcgi_smaller(size - total, connection->content_left), io->input_end - io->input_start);
		memcpy(to + total, io->input + io->input_start, piece);
		io->input_start += piece;
		connection->content_left -= (uint32_t)piece;
		total += piece;
		if (!connection->content_left) {
			fcgi_decode_step(connection, io, true);
		}
	}
	return total;
}
