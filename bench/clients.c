/* Many clients in one thread: sends requests, checks every answer, and counts what became of each.
 *
 *   clients ADDRESS fcgi|http new|kept CLIENTS RATE SECONDS SLICE_MS REQUEST_FILE
 *
 * ADDRESS is the path of a Unix socket or HOST:PORT.  RATE 0: each client sends its next request when it has
 * its answer (closed loop); else so many requests a second begin whether or not others have ended (open loop),
 * at most CLIENTS at a time.  The request has MARK_SIZE signs '#' in a row, in whose place comes its number, which
 * must come back in the answer's body.
 *
 * SIGTERM ends it early: what was sent is waited for.  Prints a line of JSON: sent == answered + the sum of `failed`; waits in microseconds from the first system call
 * for a request to the last byte of its answer; `slices` have the longest wait of those that began in each.
 * Compiled by clients.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MARK_SIZE 12
#define ANSWER_SIZE 16384
#define HUNG_US 15000000
#define BUCKETS 4096 /* of 16 steps per power of two */
#define SLICES_MAX 65536

enum end { ANSWERED, REFUSED, LOST_BEFORE, LOST_WITHIN, WRONG, HUNG, ENDS };
static const char *const names[ENDS] = {"answered", "refused", "lost before the answer", "lost within the answer",
                                        "wrong", "hung"};

struct client {
	int fd;
	bool busy;
	bool used; /* an answer came on this connection */
	uint64_t number;
	int64_t began;
	size_t sent, got;
	char answer[ANSWER_SIZE];
};

static struct sockaddr_storage address;
static socklen_t address_size;
static bool http, kept;
static int64_t rate, slice_us, start, end;
static char *request;
static size_t request_size, mark_at;
static struct client *clients;
static size_t client_count, *idle, idle_count, busy_count;
static int epoll;

static volatile sig_atomic_t told;
static uint64_t sent, ends[ENDS], overdue, last_number;
static uint64_t buckets[BUCKETS];
static int64_t slices[SLICES_MAX], longest;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void on_term(int number)
{
	(void)number;
	told = 1;
}

static int64_t now_us(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * INT64_C(1000000) + at.tv_nsec / 1000;
}

static size_t bucket_of(int64_t us)
{
	uint64_t value = us < 0 ? 0 : (uint64_t)us;
	if (value < 16) {
		return value;
	}
	unsigned int power = 63 - (unsigned int)__builtin_clzll(value);
	return (power - 3) * 16 + ((value >> (power - 4)) & 15);
}

static int64_t bucket_top(size_t bucket)
{
	return bucket < 16 ? (int64_t)bucket : (int64_t)((16 + bucket % 16 + 1) << (bucket / 16 - 1));
}

static void parse_address(const char *text)
{
	struct sockaddr_un *local = (void *)&address;
	struct sockaddr_in *net = (void *)&address;
	const char *port = strrchr(text, ':');
	if (*text == '/') {
		local->sun_family = AF_UNIX;
		strncpy(local->sun_path, text, sizeof(local->sun_path) - 1);
		address_size = sizeof(*local);
		return;
	}
	char host[64] = "";
	if (!port || (size_t)(port - text) >= sizeof(host)) {
		fail(text);
	}
	memcpy(host, text, (size_t)(port - text));
	net->sin_family = AF_INET;
	net->sin_port = htons((uint16_t)atoi(port + 1));
	inet_pton(AF_INET, host, &net->sin_addr);
	address_size = sizeof(*net);
}

static void read_request(const char *path)
{
	FILE *file = fopen(path, "rb");
	request = malloc(65536);
	if (!file || !request) {
		fail(path);
	}
	request_size = fread(request, 1, 65536, file);
	fclose(file);
	char *mark = memmem(request, request_size, "############", MARK_SIZE);
	if (!mark) {
		errno = EINVAL;
		fail("no mark in the request");
	}
	mark_at = (size_t)(mark - request);
}

/* ---------------------------------------------------------------- answers */

/* Whether the answer is whole; *body and *size then say what it carries. */
static bool fcgi_is_whole(struct client *client, const char **body, size_t *size)
{
	static char text[ANSWER_SIZE];
	size_t at = 0, out = 0;
	while (at + 8 <= client->got) {
		const uint8_t *head = (const uint8_t *)client->answer + at;
		size_t content = (size_t)head[4] << 8 | head[5];
		if (at + 8 + content + head[6] > client->got) {
			return false;
		}
		if (head[1] == 6) {
			memcpy(text + out, head + 8, content);
			out += content;
		}
		at += 8 + content + head[6];
		if (head[1] == 3) {
			char *split = memmem(text, out, "\r\n\r\n", 4);
			*body = split ? split + 4 : text;
			*size = split ? out - (size_t)(split + 4 - text) : 0;
			return true;
		}
	}
	return false;
}

static bool http_is_whole(struct client *client, const char **body, size_t *size)
{
	char *split = memmem(client->answer, client->got, "\r\n\r\n", 4);
	if (!split) {
		return false;
	}
	*split = '\0';
	const char *length = strcasestr(client->answer, "\r\nContent-Length:");
	*split = '\r';
	*body = split + 4;
	*size = length ? strtoul(length + 17, NULL, 10) : 0;
	return client->got - (size_t)(*body - client->answer) >= *size;
}

static bool is_right(const struct client *client, const char *body, size_t size)
{
	char mark[MARK_SIZE + 1];
	snprintf(mark, sizeof(mark), "%012llu", (unsigned long long)client->number);
	if (http && strncmp(client->answer, "HTTP/1.1 200", 12) != 0) {
		return false;
	}
	return size == MARK_SIZE && memcmp(body, mark, MARK_SIZE) == 0;
}

/* ---------------------------------------------------------------- requests */

static void let_go(struct client *client)
{
	if (client->fd >= 0) {
		close(client->fd);
	}
	client->fd = -1;
	client->used = false;
}

static void finish(struct client *client, enum end how)
{
	int64_t wait = now_us() - client->began;
	ends[how]++;
	if (how == ANSWERED) {
		size_t slice = (size_t)((client->began - start) / slice_us);
		buckets[bucket_of(wait)]++;
		longest = wait > longest ? wait : longest;
		if (slice < SLICES_MAX && wait > slices[slice]) {
			slices[slice] = wait;
		}
	}
	client->used = true;
	if (how != ANSWERED || !kept) {
		let_go(client);
	}
	client->busy = false;
	busy_count--;
	idle[idle_count++] = (size_t)(client - clients);
}

static void go_on_sending(struct client *client)
{
	while (client->sent < request_size) {
		ssize_t wrote = send(client->fd, request + client->sent, request_size - client->sent, MSG_NOSIGNAL);
		if (wrote < 0) {
			finish(client, errno == ECONNREFUSED ? REFUSED : LOST_BEFORE);
			return;
		}
		client->sent += (size_t)wrote;
	}
}

/* A kept connection that was closed while nothing was asked on it is nobody's loss. */
static bool was_closed(struct client *client)
{
	char byte;
	return client->fd >= 0 && recv(client->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

static void begin(struct client *client)
{
	client->began = now_us();
	client->number = ++last_number;
	client->sent = client->got = 0;
	client->busy = true;
	busy_count++;
	sent++;
	if (was_closed(client)) {
		let_go(client);
	}
	if (client->fd < 0) {
		client->fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (client->fd < 0) {
			fail("socket");
		}
		struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = client};
		int one = 1;
		if (address.ss_family == AF_INET) {
			setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		}
		int result = connect(client->fd, (void *)&address, address_size);
		epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event);
		if (result < 0) {
			if (errno != EINPROGRESS) {
				finish(client, REFUSED);
			}
			return; /* the event comes when it is connected */
		}
	}
	char mark[MARK_SIZE + 1];
	snprintf(mark, sizeof(mark), "%012llu", (unsigned long long)client->number);
	memcpy(request + mark_at, mark, MARK_SIZE);
	go_on_sending(client);
}

static void on_event(struct client *client, uint32_t events)
{
	const char *body = NULL;
	size_t size = 0;
	if (!client->busy) {
		return;
	}
	if (client->sent < request_size && events & EPOLLOUT && !(events & EPOLLERR)) {
		char mark[MARK_SIZE + 1];
		snprintf(mark, sizeof(mark), "%012llu", (unsigned long long)client->number);
		memcpy(request + mark_at, mark, MARK_SIZE);
		go_on_sending(client);
	}
	while (client->busy && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		ssize_t got = recv(client->fd, client->answer + client->got, ANSWER_SIZE - client->got, 0);
		if (got < 0 && errno == EAGAIN) {
			return;
		}
		if (got <= 0) {
			bool refused = got < 0 && errno == ECONNREFUSED;
			finish(client, refused ? REFUSED : client->got ? LOST_WITHIN : LOST_BEFORE);
			return;
		}
		client->got += (size_t)got;
		if (http ? http_is_whole(client, &body, &size) : fcgi_is_whole(client, &body, &size)) {
			finish(client, is_right(client, body, size) ? ANSWERED : WRONG);
		} else if (client->got == ANSWER_SIZE) {
			finish(client, WRONG);
		}
	}
}

/* ---------------------------------------------------------------- the run */

static struct client *take_idle(void)
{
	return &clients[idle[--idle_count]];
}

static void begin_what_is_due(int64_t now)
{
	if (!rate) {
		/* Whoever is refused at once would be asked for ever. */
		for (size_t most = client_count; idle_count && most--;) {
			begin(take_idle());
		}
		return;
	}
	uint64_t due = (uint64_t)((now - start) * rate / 1000000);
	while (sent + overdue < due) {
		if (idle_count) {
			begin(take_idle());
		} else {
			overdue++;
		}
	}
}

/* How long there is nothing to begin, in nanoseconds. */
static int64_t pause_ns(int64_t now)
{
	if (!rate || now >= end) {
		return idle_count ? 1000000 : 100000000;
	}
	int64_t next = start + (int64_t)((sent + overdue + 1) * 1000000 / (uint64_t)rate);
	return next > now ? (next - now) * 1000 : 0;
}

static void give_up_hung(int64_t now)
{
	for (size_t i = 0; i < client_count; i++) {
		if (clients[i].busy && now - clients[i].began > HUNG_US) {
			finish(&clients[i], HUNG);
		}
	}
}

static void run(void)
{
	struct epoll_event events[256];
	int64_t looked = start;
	for (;;) {
		int64_t now = now_us();
		if (told) {
			end = now < end ? now : end;
		}
		if (now < end) {
			begin_what_is_due(now);
		} else if (!busy_count) {
			return;
		}
		if (now - looked > 1000000) {
			looked = now;
			give_up_hung(now);
		}
		int64_t pause = pause_ns(now_us());
		struct timespec most = {pause / 1000000000, pause % 1000000000};
		int count = epoll_pwait2(epoll, events, 256, &most, NULL);
		for (int i = 0; i < count; i++) {
			on_event(events[i].data.ptr, events[i].events);
		}
	}
}

static int64_t quantile(double part)
{
	uint64_t seen = 0;
	for (size_t i = 0; i < BUCKETS; i++) {
		seen += buckets[i];
		if (seen && (double)seen >= part * (double)ends[ANSWERED]) {
			return bucket_top(i);
		}
	}
	return 0;
}

static void report(void)
{
	printf("{\"started_us\": %lld, \"sent\": %llu, \"answered\": %llu, \"overdue\": %llu, \"failed\": {",
	       (long long)start, (unsigned long long)sent, (unsigned long long)ends[ANSWERED], (unsigned long long)overdue);
	const char *comma = "";
	for (int i = ANSWERED + 1; i < ENDS; i++) {
		if (ends[i]) {
			printf("%s\"%s\": %llu", comma, names[i], (unsigned long long)ends[i]);
			comma = ", ";
		}
	}
	printf("}, \"p50\": %lld, \"p99\": %lld, \"p999\": %lld, \"longest\": %lld, \"slices\": [", (long long)quantile(0.5),
	       (long long)quantile(0.99), (long long)quantile(0.999), (long long)longest);
	int64_t count = (end - start) / slice_us + 1;
	for (int64_t i = 0; i < count && i < SLICES_MAX; i++) {
		printf("%s%lld", i ? ", " : "", (long long)slices[i]);
	}
	printf("]}\n");
}

int main(int argc, char **argv)
{
	if (argc != 9) {
		fprintf(stderr, "see the head of clients.c\n");
		return 2;
	}
	prctl(PR_SET_TIMERSLACK, 1); /* else what is due begins 50 us late */
	parse_address(argv[1]);
	http = strcmp(argv[2], "http") == 0;
	kept = strcmp(argv[3], "kept") == 0;
	client_count = strtoul(argv[4], NULL, 10);
	rate = atoll(argv[5]);
	slice_us = atoll(argv[7]) * 1000;
	read_request(argv[8]);
	clients = calloc(client_count, sizeof(*clients));
	idle = calloc(client_count, sizeof(*idle));
	epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!clients || !idle || epoll < 0 || !client_count || slice_us <= 0) {
		fail("clients");
	}
	for (size_t i = client_count; i-- > 0;) {
		clients[i].fd = -1;
		idle[idle_count++] = i;
	}
	signal(SIGTERM, on_term);
	start = now_us();
	end = start + (int64_t)(atof(argv[6]) * 1e6);
	run();
	report();
	return 0;
}
