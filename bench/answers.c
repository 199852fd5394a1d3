/* A load client: one thread, many connections, every answer followed to its end.
 *
 *   answers fcgi|http ADDRESS REQUEST ANSWER CLIENTS KEEP COUNT RATE
 *
 * ADDRESS is a path or a number (a TCP port of this machine), REQUEST a file with the bytes to send, ANSWER a file
 * with the bytes that every answer must equal, or "-": then an answer must be complete and say no status but 200.
 * KEEP is 1 for connections that stay.  RATE 0 is a closed loop, in which each client sends again when it has its
 * answer; else so many requests start a second, whether or not earlier ones are answered, and latency counts from
 * when they were due.  Prints one JSON object.  Compiled by answers.py. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE (1 << 18)
#define HEAD_MAX 8192
#define SECOND_NS INT64_C(1000000000)
#define TIMEOUT_NS (30 * SECOND_NS)
#define FCGI_END_REQUEST 3
#define FCGI_STDOUT 6

struct text {
	char *bytes;
	size_t size;
};

struct client {
	int fd;               /* -1: not connected */
	bool busy;
	bool watched;
	uint32_t events;
	size_t sent, got;
	int64_t due;          /* when its request was to start */
	/* of the answer */
	char head[HEAD_MAX];  /* a record's header; the head of an HTTP answer */
	size_t head_size;
	size_t left;          /* bytes of the record or body; of a chunk */
	size_t padding;
	bool chunked, in_body, last, until_close;
	bool first;           /* the beginning of FCGI_STDOUT is yet to come */
};

static bool http, keep;
static struct text request, answer;
static struct sockaddr_storage address;
static socklen_t address_size;
static int epoll;
static struct client *clients;
static long client_count, count, started, done, failures;
static double rate;
static uint32_t *latencies;  /* microseconds */
static char buffer[READ_SIZE];

static int64_t now_ns(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static struct text read_file(const char *name)
{
	struct stat status;
	struct text text;
	FILE *file = fopen(name, "rb");
	if (!file || fstat(fileno(file), &status) < 0) {
		die(name);
	}
	text.size = (size_t)status.st_size;
	text.bytes = malloc(text.size + 1);
	if (!text.bytes || fread(text.bytes, 1, text.size, file) != text.size) {
		die(name);
	}
	fclose(file);
	return text;
}

static void parse_address(const char *text)
{
	if (isdigit((unsigned char)*text)) {
		struct sockaddr_in *in = (struct sockaddr_in *)&address;
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)atoi(text));
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		address_size = sizeof(*in);
	} else {
		struct sockaddr_un *un = (struct sockaddr_un *)&address;
		un->sun_family = AF_UNIX;
		strncpy(un->sun_path, text, sizeof(un->sun_path) - 1);
		address_size = sizeof(*un);
	}
}

/* ---------------------------------------------------------------- answers */

/* What the bytes mean: 0: more to come, 1: the answer is complete, -1: it is wrong. */

static int follow_records(struct client *client, const char *at, size_t size)
{
	while (size) {
		if (client->head_size < 8) {
			client->head[client->head_size++] = *at++;
			size--;
			if (client->head_size == 8) {
				const uint8_t *head = (uint8_t *)client->head;
				client->left = (size_t)head[4] << 8 | head[5];
				client->padding = head[6];
			}
		} else {
			size_t left = client->left + client->padding;
			size_t piece = size < left ? size : left;
			if (client->head[1] == FCGI_STDOUT && client->left && client->first) {
				client->first = false;
				if (piece >= 8 && memcmp(at, "Status: ", 8) == 0 && memcmp(at + 8, "200", 3) != 0) {
					return -1;
				}
			}
			size_t content = piece < client->left ? piece : client->left;
			client->left -= content;
			client->padding -= piece - content;
			at += piece;
			size -= piece;
		}
		if (client->head_size == 8 && !client->left && !client->padding) {
			client->head_size = 0;
			if (client->head[1] == FCGI_END_REQUEST) {
				return size ? -1 : 1;
			}
		}
	}
	return 0;
}

static int read_http_head(struct client *client)
{
	client->head[client->head_size] = '\0';
	if (strncmp(client->head, "HTTP/1.1 200", 12) != 0) {
		return -1;
	}
	const char *length = strcasestr(client->head, "\r\nContent-Length:");
	client->chunked = strcasestr(client->head, "\r\nTransfer-Encoding: chunked") != NULL;
	client->until_close = !length && !client->chunked;
	client->left = length ? strtoul(length + 17, NULL, 10) : 0;
	client->in_body = true;
	client->head_size = 0;
	return !client->chunked && !client->until_close && !client->left;
}

/* A chunk is its size in a line, its bytes, and an empty line; the last one has the size 0. */
static int follow_chunks(struct client *client, const char *at, size_t size)
{
	while (size) {
		if (client->left) {
			size_t piece = size < client->left ? size : client->left;
			client->left -= piece;
			at += piece;
			size -= piece;
			continue;
		}
		char byte = *at++;
		size--;
		if (byte != '\n') {
			client->head[client->head_size] = byte;
			client->head_size += client->head_size < HEAD_MAX - 1;
			continue;
		}
		client->head[client->head_size] = '\0';
		if (client->last) {
			return size ? -1 : 1;
		}
		if (client->head_size > 1) {
			client->left = strtoul(client->head, NULL, 16);
			client->last = !client->left;
		}
		client->head_size = 0;
	}
	return 0;
}

static int follow_http(struct client *client, const char *at, size_t size)
{
	while (!client->in_body && size) {
		if (client->head_size == HEAD_MAX - 1) {
			return -1;
		}
		client->head[client->head_size++] = *at++;
		size--;
		if (client->head_size >= 4 && memcmp(client->head + client->head_size - 4, "\r\n\r\n", 4) == 0) {
			int found = read_http_head(client);
			if (found) {
				return found;
			}
		}
	}
	if (client->chunked) {
		return follow_chunks(client, at, size);
	}
	if (client->in_body && !client->until_close) {
		client->left -= size < client->left ? size : client->left;
		return !client->left;
	}
	return 0;
}

static int follow(struct client *client, const char *at, size_t size)
{
	if (answer.bytes && (client->got + size > answer.size || memcmp(answer.bytes + client->got, at, size) != 0)) {
		return -1;
	}
	client->got += size;
	if (answer.bytes) {
		return client->got == answer.size;
	}
	return http ? follow_http(client, at, size) : follow_records(client, at, size);
}

/* ---------------------------------------------------------------- clients */

static void watch(struct client *client, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = client};
	if (client->watched && client->events == events) {
		return;
	}
	epoll_ctl(epoll, client->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, client->fd, &event);
	client->watched = true;
	client->events = events;
}

static void disconnect(struct client *client)
{
	if (client->fd >= 0) {
		close(client->fd);
	}
	client->fd = -1;
	client->watched = false;
}

static void finish(struct client *client, bool good)
{
	int64_t took = (now_ns() - client->due) / 1000;
	latencies[done++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
	failures += !good;
	client->busy = false;
	if (!good || !keep) {
		disconnect(client);
	}
}

static bool open_socket(struct client *client)
{
	int one = 1;
	client->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0) {
		die("socket");
	}
	if (address.ss_family == AF_INET) {
		setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	return connect(client->fd, (struct sockaddr *)&address, address_size) == 0 || errno == EINPROGRESS;
}

/* Send what is left of the request. */
static void go_on(struct client *client)
{
	while (client->sent < request.size) {
		ssize_t sent = send(client->fd, request.bytes + client->sent, request.size - client->sent, MSG_NOSIGNAL);
		if (sent < 0) {
			/* A server that answers without reading everything still has its answer read. */
			if (errno != EAGAIN && errno != EPIPE && errno != ECONNRESET && errno != ENOTCONN) {
				finish(client, false);
				return;
			}
			break;
		}
		client->sent += (size_t)sent;
	}
	watch(client, client->sent < request.size ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void start(struct client *client, int64_t due)
{
	started++;
	client->busy = true;
	client->due = due;
	client->sent = client->got = client->head_size = client->left = client->padding = 0;
	client->chunked = client->in_body = client->last = client->until_close = false;
	client->first = true;
	if (client->fd < 0 && !open_socket(client)) {
		finish(client, false);
		return;
	}
	go_on(client);
}

static void receive(struct client *client)
{
	ssize_t got = recv(client->fd, buffer, sizeof(buffer), 0);
	if (got < 0 && errno == EAGAIN) {
		return;
	}
	if (!client->busy) {
		disconnect(client);  /* the server has closed a kept connection */
		return;
	}
	if (got <= 0) {
		finish(client, got == 0 && client->until_close && client->in_body);
		disconnect(client);
		return;
	}
	int found = follow(client, buffer, (size_t)got);
	if (found) {
		finish(client, found > 0);
	}
}

static void visit(struct client *client, uint32_t events)
{
	if (client->busy && events & EPOLLOUT) {
		go_on(client);
	}
	if (client->fd >= 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		receive(client);
	}
}

/* Start what may start now.  Returns for how many nanoseconds nothing else will. */
static int64_t start_due(int64_t begin)
{
	for (long i = 0; i < client_count && started < count; i++) {
		int64_t now = now_ns();
		int64_t due = rate > 0 ? begin + (int64_t)((double)started * 1e9 / rate) : now;
		if (due > now) {
			return due - now < SECOND_NS ? due - now : SECOND_NS;
		}
		if (!clients[i].busy) {
			start(&clients[i], due);
		}
	}
	return SECOND_NS;
}

static void expire(void)
{
	int64_t oldest = now_ns() - TIMEOUT_NS;
	for (long i = 0; i < client_count; i++) {
		if (clients[i].busy && clients[i].due < oldest) {
			finish(&clients[i], false);
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
	return (first > second) - (first < second);
}

static uint32_t percentile(double part)
{
	return latencies[(long)((double)(done - 1) * part)];
}

int main(int argc, char **argv)
{
	struct epoll_event events[512];
	if (argc != 9) {
		fprintf(stderr, "answers fcgi|http ADDRESS REQUEST ANSWER CLIENTS KEEP COUNT RATE\n");
		return 2;
	}
	http = strcmp(argv[1], "http") == 0;
	parse_address(argv[2]);
	request = read_file(argv[3]);
	if (strcmp(argv[4], "-") != 0) {
		answer = read_file(argv[4]);
	}
	client_count = atol(argv[5]);
	keep = atoi(argv[6]) != 0;
	count = atol(argv[7]);
	rate = atof(argv[8]);
	clients = calloc((size_t)client_count, sizeof(*clients));
	latencies = malloc((size_t)count * sizeof(*latencies));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!clients || !latencies || epoll < 0) {
		die("answers");
	}
	for (long i = 0; i < client_count; i++) {
		clients[i].fd = -1;
	}
	prctl(PR_SET_TIMERSLACK, 1); /* else what is due begins 50 us late */
	int64_t begin = now_ns();
	while (done < count) {
		int64_t pause = start_due(begin);
		struct timespec most = {pause / SECOND_NS, pause % SECOND_NS};
		int found = epoll_pwait2(epoll, events, 512, &most, NULL);
		for (int i = 0; i < found; i++) {
			visit(events[i].data.ptr, events[i].events);
		}
		if (!found && pause == SECOND_NS) {
			expire();
		}
	}
	double seconds = (double)(now_ns() - begin) / 1e9;
	qsort(latencies, (size_t)done, sizeof(*latencies), compare);
	printf("{\"requests\": %ld, \"failures\": %ld, \"seconds\": %.6f, \"p50\": %u, \"p99\": %u, \"p999\": %u, \"max\": %u}\n",
	       done, failures, seconds, percentile(0.5), percentile(0.99), percentile(0.999), latencies[done - 1]);
	return 0;
}
