/* FastCGI responder connections: reading requests, writing answers.  No PHP in here.
 *
 * A connection is read without blocking until a whole set of params is there (fcgi_advance), so that
 * half a request never holds a worker; from then on the worker belongs to the request and reads its
 * body and writes its answer with blocking calls. */
#ifndef KRAAL_FASTCGI_H
#define KRAAL_FASTCGI_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "params.h"

#define FCGI_HEADER_SIZE 8
#define FCGI_RECORD_MAX 65535
#define FCGI_INPUT_SIZE 65536
#define FCGI_HANDED_SIZE (2 * FCGI_INPUT_SIZE)  /* what another worker has read, with a head that was put together again */
#define FCGI_OUTPUT_SIZE 32768
#define FCGI_PARAMS_MAX (1024 * 1024)

enum fcgi_type {
	FCGI_BEGIN_REQUEST = 1,
	FCGI_ABORT_REQUEST = 2,
	FCGI_END_REQUEST = 3,
	FCGI_PARAMS = 4,
	FCGI_STDIN = 5,
	FCGI_STDOUT = 6,
	FCGI_STDERR = 7,
	FCGI_DATA = 8,
	FCGI_GET_VALUES = 9,
	FCGI_GET_VALUES_RESULT = 10,
	FCGI_UNKNOWN_TYPE = 11
};

enum fcgi_protocol_status { FCGI_REQUEST_COMPLETE = 0, FCGI_CANT_MPX_CONN = 1, FCGI_OVERLOADED = 2, FCGI_UNKNOWN_ROLE = 3 };

/* What a connection is waiting for. */
enum fcgi_state {
	FCGI_WAIT_BEGIN,   /* between requests */
	FCGI_WAIT_PARAMS,  /* begun, params not complete */
	FCGI_READY,        /* params complete: PHP may run */
	FCGI_WAIT_STDIN,   /* answered; what is left of the body is thrown away */
	FCGI_LINGER,       /* answered, our side is shut: read until the peer closes */
	FCGI_DEAD          /* close it */
};

struct fcgi_connection {
	int fd;
	enum fcgi_state state;
	const char *fault;        /* why it is dead, NULL for an orderly end */

	/* the record being read */
	uint8_t head[FCGI_HEADER_SIZE];
	uint8_t head_size;
	uint8_t type;
	bool foreign;             /* the record belongs to another request id: skip it */
	uint16_t id;
	uint32_t content_left;
	uint32_t padding_left;
	uint8_t small[256];       /* content of a begin or management record */
	uint32_t small_size;

	/* the request */
	uint16_t request_id;
	bool keep;
	bool stdin_done;
	bool eof;                 /* the peer shut its side; it may still read our answer */
	bool aborted;             /* FCGI_ABORT_REQUEST, or the peer is gone */
	bool ended;               /* END_REQUEST was written */
	bool served;              /* at least one request was answered on it */
	struct params params;

	struct sockaddr_in6 peer; /* or sockaddr_in; AF_UNSPEC: not known yet */
	int64_t since;            /* CLOCK_MONOTONIC seconds of the last change: for lingering */
	size_t index;             /* place in the worker's table */
	bool watched;             /* the worker's epoll knows it */
	bool taken;               /* another worker has given it away, and may not have closed its own descriptor yet */
	bool lingers;             /* the worker counts it as lingering */
};

/* Buffers of the worker, lent to the one connection that is being read or served. */
struct fcgi_io {
	uint8_t input[FCGI_HANDED_SIZE];
	size_t input_start, input_end;
	uint8_t output[FCGI_OUTPUT_SIZE];
	size_t output_size;       /* bytes in output, open record included */
	size_t record_start;      /* offset of the open record's header, or NO_RECORD */
	uint8_t record_type;
};

void fcgi_open(struct fcgi_connection *connection, int fd);
void fcgi_release(struct fcgi_connection *connection);

/* Read what is there, without blocking, and decode it.  Afterwards `state` says what to do:
 * FCGI_READY has a request, FCGI_DEAD is to be closed, anything else waits for more bytes. */
void fcgi_advance(struct fcgi_connection *connection, struct fcgi_io *io);

/* Decode bytes that were read already.  Used by fcgi_advance and by the fuzzer. */
void fcgi_decode(struct fcgi_connection *connection, struct fcgi_io *io);

/* Take up the answer to the request of a FCGI_READY connection. */
void fcgi_start_answer(struct fcgi_connection *connection, struct fcgi_io *io);

/* Read body bytes, blocking.  Returns their number, 0 at the end of the body or when the peer left. */
size_t fcgi_read_body(struct fcgi_connection *connection, struct fcgi_io *io, char *to, size_t size);

/* Append to the response stream `type` (FCGI_STDOUT or FCGI_STDERR).  Returns 0, or -1 if the peer left. */
int fcgi_write(struct fcgi_connection *connection, struct fcgi_io *io, enum fcgi_type type, const char *from, size_t size);

/* Send what is buffered.  Returns 0, or -1 if the peer left. */
int fcgi_flush(struct fcgi_connection *connection, struct fcgi_io *io);

/* Write END_REQUEST and send everything.  Harmless when called twice. */
int fcgi_end(struct fcgi_connection *connection, struct fcgi_io *io, uint32_t app_status);

/* After fcgi_end, while the script goes on: whether the connection is between two requests.  What was read of
 * the next one stands in the input buffer.  A body that the script may still read is left as it is. */
bool fcgi_at_rest(struct fcgi_connection *connection, struct fcgi_io *io);

/* While the script runs: look, without waiting, whether the peer has given the request up.  Sets `aborted`. */
void fcgi_look(struct fcgi_connection *connection, struct fcgi_io *io);

/* Whether the peer of a connection has gone, so that nobody would read an answer.  On TCP a peer that has only
 * shut its own side cannot be told from one that is gone. */
bool fcgi_peer_left(const struct fcgi_connection *connection);

/* After fcgi_end: decide whether the connection waits for another request, lingers or is dead. */
void fcgi_finish(struct fcgi_connection *connection, struct fcgi_io *io);

/* Write what was read of a FCGI_READY request, and what of it stands in io, as records: whoever decodes them has
 * what this connection has.  Returns the number of bytes, or 0 if there is no room for them. */
size_t fcgi_encode_request(const struct fcgi_connection *connection, const struct fcgi_io *io, uint8_t *to, size_t size);

/* Whether nothing has come since it was opened or last answered. */
bool fcgi_is_silent(const struct fcgi_connection *connection);

/* Whether the peer still waits for an answer: it sent a part of a request, or it is new. */
bool fcgi_owes_answer(const struct fcgi_connection *connection);

#endif
