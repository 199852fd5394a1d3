/* The least that a process for each request can do: workers that read a FastCGI request to its end, and answer `hello`
 * without any PHP.
 *
 *   canned SOCKET WORKERS
 *
 * Compiled by peers.py. */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADER 8
#define BACKLOG 511
enum { BEGIN_REQUEST = 1, END_REQUEST = 3, STDIN = 5, STDOUT = 6, KEEP_CONN = 1 };

static const char text[] = "Content-type: text/html; charset=UTF-8\r\n\r\nhello";
static uint8_t answer[256];
static size_t answer_size;

static void add_record(uint8_t type, const void *content, size_t size)
{
	uint8_t *at = answer + answer_size;
	memcpy(at, (uint8_t[HEADER]){1, type, 0, 1, 0, (uint8_t)size}, HEADER);
	memcpy(at + HEADER, content, size);
	answer_size += HEADER + size;
}

/* Read one request, which is small.  Returns whether there was one; `keep`: whether there may be another. */
static bool read_request(int client, bool *keep)
{
	uint8_t buffer[65536];
	size_t filled = 0, at = 0;
	for (;;) {
		ssize_t size = read(client, buffer + filled, sizeof(buffer) - filled);
		if (size <= 0) {
			return false;
		}
		filled += (size_t)size;
		while (filled - at >= HEADER) {
			const uint8_t *record = buffer + at;
			size_t content = (size_t)(record[4] << 8 | record[5]);
			if (filled - at < HEADER + content + record[6]) {
				break;
			}
			if (record[1] == BEGIN_REQUEST) {
				*keep = record[HEADER + 2] & KEEP_CONN;
			} else if (record[1] == STDIN && content == 0) {
				return true;
			}
			at += HEADER + content + record[6];
		}
	}
}

static void serve(int client)
{
	bool keep = true;
	while (keep && read_request(client, &keep) && write(client, answer, answer_size) > 0) {
	}
	close(client);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0) {
		return -1;
	}
	return chmod(path, 0666) < 0 || listen(listener, BACKLOG) < 0 ? -1 : listener;
}

int main(int argc, char **argv)
{
	int listener = argc == 3 ? listen_at(argv[1]) : -1;
	if (listener < 0) {
		perror("canned");
		return 1;
	}
	add_record(STDOUT, text, sizeof(text) - 1);
	add_record(STDOUT, "", 0);
	add_record(END_REQUEST, "\0\0\0\0\0\0\0", 8);
	signal(SIGPIPE, SIG_IGN);
	for (int i = atoi(argv[2]); i > 0; i--) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;) {
				int client = accept(listener, NULL, NULL);
				if (client >= 0) {
					serve(client);
				}
			}
		}
	}
	while (wait(NULL) > 0) {
	}
	return 0;
}
