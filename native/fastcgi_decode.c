#include "fastcgi_parts.h"

#include <string.h>
#include <sys/socket.h>

#define RESPONDER 1
#define KEEP_CONNECTION 1

void fcgi_die(struct fcgi_connection *connection, const char *fault)
{
	connection->state = FCGI_DEAD;
	connection->fault = fault;
}

/* Answer outside a request.  A peer that does not read such a small answer is not worth waiting for. */
static void reply(struct fcgi_connection *connection, const uint8_t *from, size_t size)
{
	ssize_t sent = send(connection->fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent != (ssize_t)size) {
		fcgi_die(connection, NULL);
	}
}

static void refuse(struct fcgi_connection *connection, uint16_t id, enum fcgi_protocol_status status)
{
	uint8_t answer[2 * FCGI_HEADER_SIZE];
	fcgi_encode_end(answer, id, 0, status);
	reply(connection, answer, sizeof(answer));
}

static void begin(struct fcgi_connection *connection)
{
	/* The rest of a body that was not read does not hold up the next request. */
	if (connection->state != FCGI_WAIT_BEGIN && connection->state != FCGI_WAIT_STDIN) {
		refuse(connection, connection->id, FCGI_CANT_MPX_CONN);
		return;
	}
	unsigned role = ((unsigned)connection->small[0] << 8) | connection->small[1];
	bool keep = connection->small[2] & KEEP_CONNECTION;
	if (role != RESPONDER) {
		refuse(connection, connection->id, FCGI_UNKNOWN_ROLE);
		if (!keep) {
			fcgi_die(connection, NULL);
		}
		return;
	}
	connection->request_id = connection->id;
	connection->keep = keep;
	connection->stdin_done = false;
	connection->ended = false;
	fcgi_forget_request(connection);
	connection->state = FCGI_WAIT_PARAMS;
}

/* Append one pair with short name and value. */
static size_t encode_pair(uint8_t *to, const char *name, const char *value)
{
	size_t name_size = strlen(name), value_size = strlen(value);
	to[0] = (uint8_t)name_size;
	to[1] = (uint8_t)value_size;
	memcpy(to + 2, name, name_size);
	memcpy(to + 2 + name_size, value, value_size);
	return 2 + name_size + value_size;
}

static void get_values(struct fcgi_connection *connection)
{
	static const struct {
		const char *name, *value;
	} known[] = {{"FCGI_MAX_CONNS", "1"}, {"FCGI_MAX_REQS", "1"}, {"FCGI_MPXS_CONNS", "0"}};
	uint8_t answer[128];
	size_t size = FCGI_HEADER_SIZE;
	struct params asked;

	params_init(&asked);
	if (params_append(&asked, connection->small, connection->small_size, sizeof(connection->small)) < 0 ||
	    params_decode(&asked) < 0) {
		fcgi_die(connection, "malformed GET_VALUES");
	} else {
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			if (params_find(&asked, known[i].name, strlen(known[i].name))) {
				size += encode_pair(answer + size, known[i].name, known[i].value);
			}
		}
		fcgi_encode_header(answer, FCGI_GET_VALUES_RESULT, 0, size - FCGI_HEADER_SIZE);
		reply(connection, answer, size);
	}
	params_release(&asked);
}

static void unknown_type(struct fcgi_connection *connection)
{
	uint8_t answer[2 * FCGI_HEADER_SIZE] = {0};
	fcgi_encode_header(answer, FCGI_UNKNOWN_TYPE, 0, FCGI_HEADER_SIZE);
	answer[FCGI_HEADER_SIZE] = connection->type;
	reply(connection, answer, sizeof(answer));
}

static void abort_request(struct fcgi_connection *connection)
{
	connection->aborted = true;
	if (connection->state == FCGI_WAIT_PARAMS || connection->state == FCGI_WAIT_BODY) {
		refuse(connection, connection->request_id, FCGI_REQUEST_COMPLETE);
		connection->aborted = false;
		if (connection->state != FCGI_DEAD) {
			connection->state = connection->keep ? FCGI_WAIT_BEGIN : FCGI_DEAD;
		}
	}
}

/* Whether the params or the body of the current request may still be under way. */
static bool in_request(const struct fcgi_connection *connection)
{
	return connection->state == FCGI_WAIT_PARAMS || connection->state == FCGI_READY || connection->state == FCGI_WAIT_BODY;
}

/* Records of a request that is not the current one (refused, aborted or answered) are skipped. */
static bool belongs_elsewhere(const struct fcgi_connection *connection)
{
	if (!connection->id || connection->type == FCGI_BEGIN_REQUEST) {
		return false;
	}
	bool rest_of_body = connection->state == FCGI_WAIT_STDIN && connection->type == FCGI_STDIN;
	return !(in_request(connection) || rest_of_body) || connection->id != connection->request_id;
}

/* Why a management record, which belongs to no request, is not allowed; NULL if it is. */
static const char *management_fault(const struct fcgi_connection *connection)
{
	if (connection->type >= FCGI_BEGIN_REQUEST && connection->type <= FCGI_DATA) {
		return "record without a request id";
	}
	bool too_long = connection->content_left > sizeof(connection->small);
	return connection->type == FCGI_GET_VALUES && too_long ? "GET_VALUES too long" : NULL;
}

/* Why a record of the current request is not allowed; NULL if it is. */
static const char *request_fault(const struct fcgi_connection *connection)
{
	switch (connection->type) {
	case FCGI_BEGIN_REQUEST:
		if (connection->content_left != FCGI_HEADER_SIZE) {
			return "begin record of a wrong length";
		}
		return in_request(connection) && connection->id == connection->request_id ? "request begun twice" : NULL;
	case FCGI_PARAMS:
		return connection->state == FCGI_WAIT_PARAMS ? NULL : "params after the end of the params";
	case FCGI_STDIN:
		return connection->state == FCGI_WAIT_PARAMS ? "body before the end of the params" : NULL;
	case FCGI_ABORT_REQUEST:
		return NULL;
	default:
		return "record of a type that no web server sends";
	}
}

/* A header is complete: is this record allowed now? */
static void start_record(struct fcgi_connection *connection)
{
	const uint8_t *head = connection->head;
	connection->type = head[1];
	connection->id = (uint16_t)((head[2] << 8) | head[3]);
	connection->content_left = ((uint32_t)head[4] << 8) | head[5];
	connection->padding_left = head[6];
	connection->small_size = 0;
	if (head[0] != 1) {
		fcgi_die(connection, "not FastCGI version 1");
		return;
	}
	connection->foreign = belongs_elsewhere(connection);
	if (connection->foreign) {
		return;
	}
	const char *fault = connection->id ? request_fault(connection) : management_fault(connection);
	if (fault) {
		fcgi_die(connection, fault);
	}
}

/* A record is complete. */
static void end_record(struct fcgi_connection *connection)
{
	if (connection->foreign) {
		return;
	}
	switch (connection->type) {
	case FCGI_BEGIN_REQUEST:
		begin(connection);
		break;
	case FCGI_ABORT_REQUEST:
		abort_request(connection);
		break;
	case FCGI_GET_VALUES:
		get_values(connection);
		break;
	case FCGI_PARAMS:
	case FCGI_STDIN:
		break;
	default:
		unknown_type(connection);
		break;
	}
}

/* An empty record ends its stream. */
static void end_stream(struct fcgi_connection *connection)
{
	if (connection->type == FCGI_PARAMS) {
		if (params_decode(&connection->params) < 0) {
			fcgi_die(connection, "malformed params, or too many");
		} else {
			connection->state = FCGI_READY;
		}
	} else if (connection->type == FCGI_STDIN) {
		connection->stdin_done = true;
	}
}

bool fcgi_in_body(const struct fcgi_connection *connection)
{
	return connection->type == FCGI_STDIN && !connection->foreign;
}

/* Take `size` bytes of the current record's content. */
static void take_content(struct fcgi_connection *connection, const uint8_t *from, size_t size)
{
	if (connection->foreign) {
		return;
	}
	switch (connection->type) {
	case FCGI_PARAMS:
		if (params_append(&connection->params, from, size, FCGI_PARAMS_MAX) < 0) {
			fcgi_die(connection, "params too long");
		}
		break;
	case FCGI_BEGIN_REQUEST:
	case FCGI_GET_VALUES:
		/* start_record() saw to it that the whole content fits */
		memcpy(connection->small + connection->small_size, from, size);
		connection->small_size += (uint32_t)size;
		break;
	default:
		break;
	}
}

/* Complete the header from the input.  Returns false if bytes are missing. */
static bool decode_head(struct fcgi_connection *connection, struct fcgi_io *io)
{
	size_t size = fcgi_smaller(FCGI_HEADER_SIZE - connection->head_size, io->input_end - io->input_start);
	memcpy(connection->head + connection->head_size, io->input + io->input_start, size);
	connection->head_size = (uint8_t)(connection->head_size + size);
	io->input_start += size;
	return connection->head_size == FCGI_HEADER_SIZE;
}

/* One step over the input.  Returns false when it needs more bytes or body bytes stand next. */
bool fcgi_decode_step(struct fcgi_connection *connection, struct fcgi_io *io, bool keep_body)
{
	if (connection->head_size < FCGI_HEADER_SIZE) {
		if (!decode_head(connection, io)) {
			return false;
		}
		start_record(connection);
		if (connection->state == FCGI_DEAD) {
			return false;
		}
		if (!connection->content_left && !connection->foreign) {
			end_stream(connection);
		}
	}
	size_t left = io->input_end - io->input_start;
	if (connection->content_left) {
		if (keep_body && fcgi_in_body(connection)) {
			return false;
		}
		size_t size = fcgi_smaller(connection->content_left, left);
		take_content(connection, io->input + io->input_start, size);
		connection->content_left -= (uint32_t)size;
		io->input_start += size;
		left -= size;
	}
	if (!connection->content_left && connection->padding_left) {
		size_t size = fcgi_smaller(connection->padding_left, left);
		connection->padding_left -= (uint32_t)size;
		io->input_start += size;
	}
	if (connection->state == FCGI_DEAD || connection->content_left || connection->padding_left) {
		return false;
	}
	connection->head_size = 0;
	end_record(connection);
	return connection->state != FCGI_DEAD;
}

/* The rest of a body was thrown away: what comes next? */
void fcgi_after_body(struct fcgi_connection *connection)
{
	if (connection->state == FCGI_WAIT_STDIN && connection->stdin_done && connection->head_size == 0) {
		connection->state = FCGI_WAIT_BEGIN;
	}
}

void fcgi_decode(struct fcgi_connection *connection, struct fcgi_io *io)
{
	while (io->input_start < io->input_end && connection->state != FCGI_READY && connection->state != FCGI_DEAD) {
		bool more = fcgi_decode_step(connection, io, false);
		fcgi_after_body(connection);
		if (!more && io->input_start == io->input_end) {
			break;
		}
	}
}
