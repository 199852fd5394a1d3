#include "fastcgi_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define RECORDS_AT_ONCE 64

/* Writes of at least this many bytes leave without being copied into the output buffer. */
#define LARGE_WRITE 8192

void fcgi_encode_header(uint8_t *to, enum fcgi_type type, uint16_t id, size_t size)
{
	to[0] = 1;
	to[1] = (uint8_t)type;
	to[2] = (uint8_t)(id >> 8);
	to[3] = (uint8_t)id;
	to[4] = (uint8_t)(size >> 8);
	to[5] = (uint8_t)size;
	to[6] = 0;
	to[7] = 0;
}

static int lost(struct fcgi_connection *connection)
{
	connection->aborted = true;
	return -1;
}

/* Send everything, blocking.  The peer's end is the only error that is expected here. */
static int send_all(struct fcgi_connection *connection, struct iovec *parts, size_t count)
{
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
	while (message.msg_iovlen) {
		ssize_t sent = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
		if (sent < 0) {
			if (errno == EINTR) {
				continue;
			}
			return lost(connection);
		}
		size_t left = (size_t)sent;
		while (message.msg_iovlen && left >= message.msg_iov->iov_len) {
			left -= message.msg_iov->iov_len;
			message.msg_iov++;
			message.msg_iovlen--;
		}
		if (left) {
			message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + left;
			message.msg_iov->iov_len -= left;
		}
	}
	return 0;
}

static int send_bytes(struct fcgi_connection *connection, const void *from, size_t size)
{
	const char *at = from;
	while (size) {
		ssize_t sent = send(connection->fd, at, size, MSG_NOSIGNAL);
		if (sent < 0) {
			if (errno == EINTR) {
				continue;
			}
			return lost(connection);
		}
		at += sent;
		size -= (size_t)sent;
	}
	return 0;
}

/* Write the length of the open record into its header. */
static void close_record(const struct fcgi_connection *connection, struct fcgi_io *io)
{
	if (io->record_start == NO_RECORD) {
		return;
	}
	size_t size = io->output_size - io->record_start - FCGI_HEADER_SIZE;
	fcgi_encode_header(io->output + io->record_start, io->record_type, connection->request_id, size);
	io->record_start = NO_RECORD;
}

int fcgi_flush(struct fcgi_connection *connection, struct fcgi_io *io)
{
	close_record(connection, io);
	size_t size = io->output_size;
	io->output_size = 0;
	if (connection->aborted) {
		return -1;
	}
	return size ? send_bytes(connection, io->output, size) : 0;
}

/* Send the buffer and `from` as records of their own, without copying `from`. */
static int write_large(struct fcgi_connection *connection, struct fcgi_io *io, enum fcgi_type type, const char *from,
                       size_t size)
{
	uint8_t headers[RECORDS_AT_ONCE][FCGI_HEADER_SIZE];
	struct iovec parts[2 * RECORDS_AT_ONCE + 1];

	close_record(connection, io);
	while (size) {
		size_t count = 0;
		if (io->output_size) {
			parts[count++] = (struct iovec){io->output, io->output_size};
			io->output_size = 0;
		}
		for (size_t i = 0; i < RECORDS_AT_ONCE && size; i++) {
			size_t piece = size < FCGI_RECORD_MAX ? size : FCGI_RECORD_MAX;
			fcgi_encode_header(headers[i], type, connection->request_id, piece);
			parts[count++] = (struct iovec){headers[i], FCGI_HEADER_SIZE};
			parts[count++] = (struct iovec){(void *)(uintptr_t)from, piece};
			from += piece;
			size -= piece;
		}
		if (send_all(connection, parts, count) < 0) {
			return -1;
		}
	}
	return 0;
}

int fcgi_write(struct fcgi_connection *connection, struct fcgi_io *io, enum fcgi_type type, const char *from, size_t size)
{
	if (connection->ended || !size) {
		return 0;
	}
	if (connection->aborted) {
		return -1;
	}
	if (size >= LARGE_WRITE) {
		return write_large(connection, io, type, from, size);
	}
	if (io->record_start != NO_RECORD && io->record_type != type) {
		close_record(connection, io);
	}
	size_t header = io->record_start == NO_RECORD ? FCGI_HEADER_SIZE : 0;
	if (io->output_size + header + size > FCGI_OUTPUT_SIZE) {
		if (fcgi_flush(connection, io) < 0) {
			return -1;
		}
		header = FCGI_HEADER_SIZE;
	}
	if (header) {
		io->record_start = io->output_size;
		io->record_type = (uint8_t)type;
		io->output_size += FCGI_HEADER_SIZE;
	}
	memcpy(io->output + io->output_size, from, size);
	io->output_size += size;
	return 0;
}

void fcgi_encode_end(uint8_t *to, uint16_t id, uint32_t app_status, enum fcgi_protocol_status status)
{
	memset(to, 0, 2 * FCGI_HEADER_SIZE);
	fcgi_encode_header(to, FCGI_END_REQUEST, id, FCGI_HEADER_SIZE);
	to[8] = (uint8_t)(app_status >> 24);
	to[9] = (uint8_t)(app_status >> 16);
	to[10] = (uint8_t)(app_status >> 8);
	to[11] = (uint8_t)app_status;
	to[12] = (uint8_t)status;
}

int fcgi_end(struct fcgi_connection *connection, struct fcgi_io *io, uint32_t app_status)
{
	if (connection->ended) {
		return 0;
	}
	connection->ended = true;
	close_record(connection, io);
	if (io->output_size + 2 * FCGI_HEADER_SIZE > FCGI_OUTPUT_SIZE && fcgi_flush(connection, io) < 0) {
		return -1;
	}
	fcgi_encode_end(io->output + io->output_size, connection->request_id, app_status, FCGI_REQUEST_COMPLETE);
	io->output_size += 2 * FCGI_HEADER_SIZE;
	return fcgi_flush(connection, io);
}
