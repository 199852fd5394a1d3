/* A request that was read, or a part of one, put into records once more: for handing it to another worker. */
#include "fastcgi_parts.h"

#include <string.h>

#define RESPONDER 1
#define KEEP_CONNECTION 1
#define LONG_LENGTH 4

/* Where to write, and how much room is left there; without room `at` is NULL. */
struct room {
	uint8_t *at;
	size_t left;
};

static uint8_t *take(struct room *room, size_t size)
{
	uint8_t *at = room->at;
	if (!at || size > room->left) {
		room->at = NULL;
		return NULL;
	}
	room->at += size;
	room->left -= size;
	return at;
}

static void put(struct room *room, const void *from, size_t size)
{
	uint8_t *to = take(room, size);
	if (to && size) {
		memcpy(to, from, size);
	}
}

static void put_length(struct room *room, uint32_t length)
{
	uint8_t *to = take(room, LONG_LENGTH);
	if (to) {
		to[0] = (uint8_t)(length >> 24 | 0x80);
		to[1] = (uint8_t)(length >> 16);
		to[2] = (uint8_t)(length >> 8);
		to[3] = (uint8_t)length;
	}
}

static void put_header(struct room *room, enum fcgi_type type, uint16_t id, size_t size)
{
	uint8_t *to = take(room, FCGI_HEADER_SIZE);
	if (to) {
		fcgi_encode_header(to, type, id, size);
	}
}

static void put_begin(struct room *room, const struct fcgi_connection *connection)
{
	const uint8_t begin[FCGI_HEADER_SIZE] = {0, RESPONDER, connection->keep ? KEEP_CONNECTION : 0};
	put_header(room, FCGI_BEGIN_REQUEST, connection->request_id, sizeof(begin));
	put(room, begin, sizeof(begin));
}

/* All of them in one record, as there is room for one only. */
static void put_params(struct room *room, const struct fcgi_connection *connection)
{
	uint8_t *header = take(room, FCGI_HEADER_SIZE);
	const uint8_t *start = room->at;
	for (size_t i = 0; i < connection->params.count; i++) {
		const struct param *pair = &connection->params.pairs[i];
		if (!pair->value) {
			continue;
		}
		put_length(room, pair->name_size);
		put_length(room, pair->value_size);
		put(room, pair->name, pair->name_size);
		put(room, pair->value, pair->value_size);
	}
	if (room->at && room->at != start && (size_t)(room->at - start) <= FCGI_RECORD_MAX) {
		fcgi_encode_header(header, FCGI_PARAMS, connection->request_id, (size_t)(room->at - start));
	} else {
		room->at = NULL;
	}
}

/* What was read behind the params belongs to the same stream of bytes. */
static void put_rest(struct room *room, const struct fcgi_connection *connection, const struct fcgi_io *io)
{
	uint8_t *header = take(room, FCGI_HEADER_SIZE);
	if (header) {
		fcgi_encode_header(header, FCGI_PARAMS, connection->request_id, 0);
		header[6] = (uint8_t)connection->padding_left;
	}
	put(room, io->input + io->input_start, io->input_end - io->input_start);
}

/* ---------------------------------------------------------------- what has come of one */

/* Put bytes as records of their own.  Returns the header of the last one, NULL if there is none. */
static uint8_t *put_stream(struct room *room, enum fcgi_type type, uint16_t id, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;
	uint8_t *header = NULL;
	while (room->at && size) {
		size_t piece = fcgi_smaller(size, FCGI_RECORD_MAX);
		header = room->at;
		put_header(room, type, id, piece);
		put(room, from, piece);
		from += piece;
		size -= piece;
	}
	return header;
}

/* Put the record under way: its rest comes over the connection.  `last` is the header of the record before it. */
static void put_started(struct room *room, const struct fcgi_connection *connection, uint8_t *last)
{
	if (connection->head_size < FCGI_HEADER_SIZE) {
		put(room, connection->head, connection->head_size);
		return;
	}
	bool streams = connection->type == FCGI_PARAMS || connection->type == FCGI_STDIN;
	if (streams && !connection->foreign && !connection->content_left) {
		/* What was put already is all of it.  An empty record would end the stream. */
		if (room->at && last) {
			last[6] = (uint8_t)connection->padding_left;
		}
		return;
	}
	uint8_t *header = take(room, FCGI_HEADER_SIZE);
	if (header) {
		fcgi_encode_header(header, connection->type, connection->id, connection->small_size + connection->content_left);
		header[6] = (uint8_t)connection->padding_left;
	}
	put(room, connection->small, connection->small_size);
}

bool fcgi_encode_begun(const struct fcgi_connection *connection, uint8_t *to, size_t room_size, size_t *size)
{
	struct room room = {to, room_size};
	uint16_t id = connection->request_id;
	uint8_t *last = NULL;
	if (connection->state == FCGI_WAIT_PARAMS) {
		put_begin(&room, connection);
		last = put_stream(&room, FCGI_PARAMS, id, connection->params.text, connection->params.text_size);
	} else if (connection->state == FCGI_WAIT_BODY) {
		put_begin(&room, connection);
		put_params(&room, connection);
		last = room.at;
		put_header(&room, FCGI_PARAMS, id, 0);
		uint8_t *body = put_stream(&room, FCGI_STDIN, id, connection->body.bytes, connection->body.size);
		last = body ? body : last;
	}
	put_started(&room, connection, last);
	*size = room.at ? (size_t)(room.at - to) : 0;
	return room.at != NULL;
}

/* ---------------------------------------------------------------- a whole head */

size_t fcgi_encode_request(const struct fcgi_connection *connection, const struct fcgi_io *io, uint8_t *to, size_t size)
{
	struct room room = {to, size};
	put_begin(&room, connection);
	put_params(&room, connection);
	put_rest(&room, connection, io);
	return room.at ? (size_t)(room.at - to) : 0;
}
