/* Run the FastCGI reader over byte streams, without PHP and without sockets, and print what it makes of them.
 *
 * Standard input holds cases: a byte of mode, then pieces (a length of four bytes, little endian, and that many
 * bytes), ended by a piece of length 0.  For each case lines are printed, ended by a line with a dot.
 * With an argument SECONDS it runs random streams instead and prints only their number.
 *
 * The linker puts the functions below in the place of recv() and its like (-Wl,--wrap=recv,...). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "../../native/fastcgi.h"

#define STREAM_MAX (4u << 20)
#define PIECES_MAX (1u << 20)

/* A connection that is handed over goes on as another one does, with what was read of it. */
enum mode {
	MODE_READS_BODY = 'r',
	MODE_SKIPS_BODY = 's',
	MODE_HANDS_OVER = 'h',
	MODE_MOVES = 'm'  /* gathers bodies, and moves to another connection whenever it waits */
};

#define GATHERED 64

ssize_t __wrap_recv(int fd, void *to, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *from, size_t size, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __wrap_shutdown(int fd, int how);

static uint8_t *stream;
static size_t *ends;             /* where pieces end */
static size_t piece, piece_count, stream_at;
static bool quiet;
static bool gathers;             /* it makes up the length of bodies, see gather() */

static void show(const char *name, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	if (quiet) {
		return;
	}
	printf("%s ", name);
	for (size_t i = 0; i < size; i++) {
		printf("%02x", at[i]);
	}
	printf("\n");
}

/* Never more than one piece; a blocking reader meets the end of the stream behind the last one. */
ssize_t __wrap_recv(int fd, void *to, size_t size, int flags)
{
	(void)fd;
	if (piece == piece_count) {
		errno = EAGAIN;
		return flags & MSG_DONTWAIT ? -1 : 0;
	}
	size_t left = ends[piece] - stream_at;
	size = size < left ? size : left;
	memcpy(to, stream + stream_at, size);
	stream_at += size;
	piece += stream_at == ends[piece];
	return (ssize_t)size;
}

ssize_t __wrap_send(int fd, const void *from, size_t size, int flags)
{
	(void)fd;
	(void)flags;
	show("sent", from, size);
	return (ssize_t)size;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	size_t size = 0;
	for (size_t i = 0; i < message->msg_iovlen; i++) {
		size += message->msg_iov[i].iov_len;
	}
	(void)fd;
	(void)flags;
	return (ssize_t)size;
}

int __wrap_shutdown(int fd, int how)
{
	(void)fd;
	(void)how;
	return 0;
}

static void show_request(struct fcgi_connection *connection)
{
	if (!quiet) {
		printf("request %u %d\n", connection->request_id, connection->keep);
	}
	for (size_t i = 0; i < connection->params.count; i++) {
		const struct param *pair = &connection->params.pairs[i];
		if (gathers && strcmp(pair->name, "CONTENT_LENGTH") == 0) {
			continue;
		}
		show("name", pair->name, pair->name_size);
		show("value", pair->value, pair->value_size);
		if (pair->name[pair->name_size] || pair->value[pair->value_size]) {
			abort();  /* both are to end in a NUL */
		}
	}
}

static void show_body(struct fcgi_connection *connection, struct fcgi_io *io)
{
	static char body[STREAM_MAX];
	size_t total = 0, got, size = 1;
	/* in pieces of growing size, as PHP's readers do */
	while (total < sizeof(body) && (got = fcgi_read_body(connection, io, body + total, size)) > 0) {
		total += got;
		size = size * 2 < sizeof(body) - total ? size * 2 : sizeof(body) - total;
	}
	show("body", body, total);
	if (!quiet) {
		printf("%s\n", connection->aborted ? "aborted" : connection->stdin_done ? "complete" : "cut");
	}
}

static size_t below(size_t limit)
{
	return (size_t)rand() % limit;
}

/* What becomes of a connection that a worker gives to another one. */
static void hand_over(struct fcgi_connection *connection)
{
	fcgi_release(connection);
	fcgi_open(connection, -1);
	connection->served = true;
}

/* Have a part of the body there, whatever the request says of its length. */
static bool gather(struct fcgi_connection *connection, struct fcgi_io *io)
{
	PARAM_SET(&connection->params, "CONTENT_LENGTH", "-1");
	return fcgi_gather(connection, io);
}

/* The rest comes to another worker, if anything has come to this one. */
static void move(struct fcgi_connection *connection, struct fcgi_io *io)
{
	static uint8_t bytes[FCGI_HANDED_SIZE];
	static size_t moved_at;
	size_t size;
	if (moved_at == stream_at || io->input_start < io->input_end || !fcgi_can_be_handed(connection) ||
	    !fcgi_encode_begun(connection, bytes, sizeof(bytes), &size)) {
		return;
	}
	moved_at = stream_at;
	hand_over(connection);
	memcpy(io->input, bytes, size);
	io->input_start = 0;
	io->input_end = size;
	fcgi_decode(connection, io);
}

static void run(enum mode mode)
{
	static struct fcgi_io io;
	struct fcgi_connection connection;
	fcgi_open(&connection, -1);
	io.input_start = io.input_end = 0;
	io.body_buffer = GATHERED;
	gathers = mode == MODE_MOVES;
	/* like the worker: what was decoded is served, then more is read */
	while (connection.state != FCGI_DEAD && connection.state != FCGI_LINGER) {
		if (mode == MODE_MOVES && connection.state == FCGI_READY && !gather(&connection, &io)) {
			move(&connection, &io);
		} else if (connection.state == FCGI_READY) {
			show_request(&connection);
			fcgi_start_answer(&connection, &io);
			if (mode != MODE_SKIPS_BODY) {
				show_body(&connection, &io);
			}
			if (quiet && !below(8)) {
				fcgi_look(&connection, &io);
			}
			fcgi_end(&connection, &io, 0);
			if (mode == MODE_HANDS_OVER && fcgi_at_rest(&connection, &io)) {
				hand_over(&connection);
				fcgi_decode(&connection, &io);
			} else {
				fcgi_finish(&connection, &io);
			}
		} else if (piece == piece_count && io.input_start == io.input_end) {
			break;
		} else {
			fcgi_advance(&connection, &io);
			if (mode == MODE_MOVES) {
				move(&connection, &io);
			}
		}
	}
	if (!quiet) {
		printf("end %s\n", connection.fault ? connection.fault : "");
	}
	fcgi_release(&connection);
}

static bool read_case(void)
{
	size_t size = 0;
	piece = piece_count = stream_at = 0;
	for (;;) {
		uint8_t length[4];
		if (fread(length, sizeof(length), 1, stdin) != 1) {
			return false;
		}
		size_t next = length[0] | ((size_t)length[1] << 8) | ((size_t)length[2] << 16) | ((size_t)length[3] << 24);
		if (!next) {
			return true;
		}
		if (next > STREAM_MAX - size || piece_count == PIECES_MAX || fread(stream + size, next, 1, stdin) != 1) {
			return false;
		}
		size += next;
		ends[piece_count++] = size;
	}
}

/* A record that is mostly right: header, content, padding.  Returns its size. */
static size_t random_record(uint8_t *to)
{
	static const uint8_t types[] = {1, 1, 4, 4, 4, 5, 5, 2, 9, 8, 3, 6, 11, 0, 200};
	size_t content = below(4) ? below(40) : below(4) ? 0 : below(70000) % 65536;
	size_t padding = below(2) ? 0 : below(256);
	to[0] = below(50) ? 1 : (uint8_t)below(256);
	to[1] = types[below(sizeof(types))];
	content = to[1] == 1 && below(10) ? 8 : content;
	to[2] = 0;
	to[3] = (uint8_t)(below(10) ? 1 : below(3));
	to[4] = (uint8_t)(content >> 8);
	to[5] = (uint8_t)content;
	to[6] = (uint8_t)padding;
	to[7] = 0;
	for (size_t i = 8; i < 8 + content + padding; i++) {
		to[i] = (uint8_t)(below(3) ? below(10) : below(256));
	}
	if (to[1] == 1 && below(10)) {
		memcpy(to + 8, (uint8_t[]){0, 1, (uint8_t)below(2), 0, 0, 0, 0, 0}, 8);
	}
	return 8 + content + padding;
}

static void random_case(void)
{
	size_t size = 0, at = 0, records = 1 + below(12);
	piece = piece_count = stream_at = 0;
	while (records--) {
		size += random_record(stream + size);
	}
	for (size_t i = below(6); i > 0; i--) {
		stream[below(size)] ^= (uint8_t)(1u << below(8));
	}
	size_t longest = 1 + below(below(2) ? 20 : 70000);
	while (at < size) {
		at += 1 + below(longest);
		at = at < size ? at : size;
		ends[piece_count++] = at;
	}
}

static void fuzz(double seconds)
{
	struct timespec first, now;
	unsigned long cases = 0;
	quiet = true;
	srand((unsigned)time(NULL));
	clock_gettime(CLOCK_MONOTONIC, &first);
	do {
		random_case();
		run((enum mode[]){MODE_READS_BODY, MODE_SKIPS_BODY, MODE_HANDS_OVER, MODE_MOVES}[below(4)]);
		cases++;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)(now.tv_sec - first.tv_sec) + (double)(now.tv_nsec - first.tv_nsec) / 1e9 < seconds);
	printf("%lu\n", cases);
}

int main(int count, char **arguments)
{
	stream = malloc(STREAM_MAX);
	ends = malloc(PIECES_MAX * sizeof(*ends));
	if (!stream || !ends) {
		return 1;
	}
	if (count > 1) {
		fuzz(atof(arguments[1]));
	} else {
		int mode;
		while ((mode = getchar()) != EOF && read_case()) {
			run((enum mode)mode);
			printf(".\n");
			fflush(stdout);
		}
	}
	free(stream);
	free(ends);
	return 0;
}
