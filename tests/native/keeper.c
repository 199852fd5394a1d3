/* A worker's main thread and its keeper at the same table of connections, without PHP: nothing is lost.
 *
 * Prints how many connections were given away; ends with 1 if one is not there at the end. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../native/connections.h"
#include "../../native/handoff.h"
#include "../../native/keeper.h"

#define CLIENTS 16
#define ROUNDS 150

static struct fcgi_io io;
static int clients[CLIENTS];
static int answered_given;

static void check(bool right, const char *what)
{
	if (!right) {
		fprintf(stderr, "%s\n", what);
		exit(1);
	}
}

static int listen_somewhere(struct sockaddr_un *address, socklen_t *size)
{
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	sa_family_t family = AF_UNIX;
	*size = sizeof(*address);
	check(bind(listener, (struct sockaddr *)address, sizeof(family)) == 0, "bind");
	check(listen(listener, CLIENTS) == 0, "listen");
	check(getsockname(listener, (struct sockaddr *)address, size) == 0, "getsockname");
	return listener;
}

static void connect_all(const struct sockaddr_un *address, socklen_t size)
{
	for (int i = 0; i < CLIENTS; i++) {
		struct fcgi_connection *connection = NULL;
		clients[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		check(connect(clients[i], (const struct sockaddr *)address, size) == 0, "connect");
		check(connections_accept(&connection) == ACCEPT_ONE && connection, "accept");
		connections_settle(connection);
	}
}

static void take_all(void)
{
	struct fcgi_connection *connection;
	while ((connection = connections_take(&io))) {
		fcgi_decode(connection, &io);
		connections_settle(connection);
	}
}

/* Every second client sends a request up to the middle of its params. */
static void begin_some(void)
{
	static const char half[] = "\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0\1\4\0\1\0\20\0\0half";
	for (size_t i = 0; i < connections_count(); i += 2) {
		check(send(clients[i], half, sizeof(half) - 1, 0) == sizeof(half) - 1, "send");
		io.input_start = io.input_end = 0;
		fcgi_advance(connections_at(i), &io);
		connections_settle(connections_at(i));
	}
}

static int begun(void)
{
	int number = 0;
	for (size_t i = 0; i < connections_count(); i++) {
		const struct fcgi_connection *connection = connections_at(i);
		number += connection->state == FCGI_WAIT_PARAMS && connection->params.text_size == 4 && connection->content_left == 12;
	}
	return number;
}

/* Scripts that start programs do this. */
static void fork_meanwhile(void)
{
	int status = 0;
	pid_t child = fork();
	if (!child) {
		keeper_return();
		_exit(0);
	}
	check(waitpid(child, &status, 0) == child && status == 0, "a child of the script");
}

static void serve_one(int round)
{
	static const unsigned int durations[] = {0, 500, 12000};
	struct fcgi_connection *serving = connections_at((size_t)round % connections_count());
	enum fcgi_state before = serving->state;
	serving->state = FCGI_READY;
	keeper_leave(serving);
	usleep(durations[round % 3]);
	if (round % 8 == 0) {
		fork_meanwhile();
	}
	keeper_return();
	keeper_return();
	check(connections_at(serving->index) == serving, "the one that is served was given away");
	serving->state = before;
}

/* Its answer ends, and the script works on. */
static void answer_one(int round)
{
	static const unsigned int durations[] = {0, 12000};
	struct fcgi_connection *serving = connections_at((size_t)round % connections_count());
	if (!fcgi_is_silent(serving)) {
		return;
	}
	serving->state = FCGI_READY;
	io.input_start = io.input_end = 0;
	keeper_leave(serving);
	serving->ended = true;
	keeper_entrust(serving, &io);
	usleep(durations[round / 4 % 2]);
	keeper_return();
	if (serving->state == FCGI_DEAD) {
		answered_given++;
	} else {
		serving->ended = false;
		serving->state = FCGI_WAIT_BEGIN;
	}
	connections_settle(serving);
}

int main(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t size;
	int pair[2];
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair) == 0, "socketpair");
	struct kraal_worker worker = {
	    .listener = listen_somewhere(&address, &size), .handoff_give = pair[0], .handoff_take = pair[1]};

	connections_open(&worker, epoll_create1(0));
	handoff_open(&worker);
	keeper_open();
	connect_all(&address, size);
	begin_some();
	for (int round = 0; round < ROUNDS; round++) {
		serve_one(round);
		if (round % 4 == 0) {
			take_all();
			answer_one(round);
			take_all();
		}
	}
	take_all();
	check(connections_count() == CLIENTS, "a connection is gone");
	check(answered_given > 0, "none was given away after its answer");
	check(begun() == CLIENTS / 2, "half a request is not what it was");
	printf("%llu\n", (unsigned long long)connections_given());
	connections_close_all();
	return 0;
}
