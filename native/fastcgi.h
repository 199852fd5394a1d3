/* FastCGI responder connections: reading requests, writing answers.  No PHP in here.
 *
 * A connection is read without blocking until a whole set of params is there (fcgi_advance), and its body or
 * the beginning of it (fcgi_gather), so that half a request never holds a worker; from then on the worker belongs
 * to the request and reads the rest of its body and writes its answer with blocking calls. */
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
	FCGI_WAIT_BODY,    /* params complete, but more of the body is to be here before PHP runs */
	FCGI_WAIT_STDIN,   /* answered; what is left of the body is thrown away */
	FCGI_LINGER,       /* answered, our side is shut: read until the peer closes */
	FCGI_DEAD          /* close it */
};

/* What its peer is waited for; see patience.h. */
enum fcgi_phase {
	FCGI_PHASE_NONE,   /* it is new, or being served */
	FCGI_PHASE_IDLE,   /* kept, and between two requests */
	FCGI_PHASE_HEAD,   /* a request up to the end of its params */
	FCGI_PHASE_BODY,
	FCGI_PHASE_REST,   /* of a body whose request was answered */
	FCGI_PHASE_LINGER
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
	struct {
		uint8_t *bytes;
		size_t size, capacity;
		size_t at;            /* so much of it was read */
	} body;                   /* the beginning, gathered before PHP runs */

	struct sockaddr_in6 peer; /* or sockaddr_in; AF_UNSPEC: not known yet */
	size_t index;             /* place in the worker's table */
	size_t charged;           /* bytes of memory that the worker counts for it */
	bool watched;             /* the worker's epoll knows it */
	bool taken;               /* another worker has given it away, and may not have closed its own descriptor yet */
	bool timed;               /* SO_RCVTIMEO is set */
	bool overdue;             /* its peer was not waited for any longer */
	enum fcgi_phase phase;
	int64_t since;            /* CLOCK_MONOTONIC milliseconds: of its phase, head and body being one */
	int64_t heard;            /* of the last bytes */
};

/* Buffers of the worker, lent to the one connection that is being read or served. */
struct fcgi_io {
	uint8_t input[FCGI_HANDED_SIZE];
	size_t input_start, input_end;
	uint8_t output[FCGI_OUTPUT_SIZE];
	size_t output_size;       /* bytes in output, open record included */
	size_t record_start;      /* offset of the open record's header, or NO_RECORD */
	uint8_t record_type;
	size_t body_buffer;       /* so much of a body is gathered before PHP runs; 0: nothing */
	uint32_t body_timeout;    /* seconds that PHP waits for more of a body; 0: for ever */
};

void fcgi_open(struct fcgi_connection *connection, int fd);
void fcgi_release(struct fcgi_connection *connection);

/* Have no request. */
void fcgi_forget_request(struct fcgi_connection *connection);

/* Read what is there, without blocking, and decode it.  Afterwards `state` says what to do:
 * FCGI_READY has a request, FCGI_DEAD is to be closed, anything else waits for more bytes. */
void fcgi_advance(struct fcgi_connection *connection, struct fcgi_io *io);

/* Decode bytes that were read already.  Used by fcgi_advance and by the fuzzer. */
void fcgi_decode(struct fcgi_connection *connection, struct fcgi_io *io);

/* Have the body of a FCGI_READY connection in memory, or io's `body_buffer` of it, before PHP runs.  Returns whether
 * it is; else the connection waits for more, or its request was given up. */
bool fcgi_gather(struct fcgi_connection *connection, struct fcgi_io *io);

/* Take up the answer to the request of a FCGI_READY connection. */
void fcgi_start_answer(struct fcgi_connection *connection, struct fcgi_io *io);

/* Read body bytes, blocking.  Returns their number, 0 at the end of the body, or when the peer left or was silent for
 * `body_timeout`. */
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

/* The same of a connection that can be handed over while it waits for the rest of a request: without what of it
 * stands in io, as nothing does.  Returns false if there is no room; *size is 0 if nothing has come. */
bool fcgi_encode_begun(const struct fcgi_connection *connection, uint8_t *to, size_t room_size, size_t *size);
bool fcgi_can_be_handed(const struct fcgi_connection *connection);

/* Bytes of memory that it takes, besides itself. */
size_t fcgi_memory(const struct fcgi_connection *connection);

/* Whether nothing has come since it was opened or last answered. */
bool fcgi_is_silent(const struct fcgi_connection *connection);

/* Whether the peer still waits for an answer: it sent a part of a request, or it is new. */
bool fcgi_owes_answer(const struct fcgi_connection *connection);

#endif
