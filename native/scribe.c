#define _GNU_SOURCE
#include "bridge.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "parcel.h"
#include "scoreboard.h"

#define BUFFER_SIZE (1 << 18)

/* After lines were written it rests a moment: workers that write meanwhile need not wake it. */
#define REST_NS 10000000

/* The scribe is a process of its own, and may wait for a disk or for the reader of a pipe as long as it likes. */
static struct {
	char text[BUFFER_SIZE];
	size_t size;    /* of text without the zeros in front of lines */
	size_t whole;   /* so many bytes of it are whole lines */
} held;
static int target = -1;
static bool regular;
static bool torn;   /* the last line in the file is not ended */
static void *board;

static void use_file(int fd)
{
	struct stat about;
	if (target >= 0) {
		close(target);
	}
	target = fd;
	torn = false;
	regular = fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

/* Returns whether there may be more files later. */
static bool take_file(int files)
{
	uint8_t mark;
	int fd = -1;
	ssize_t size = parcel_receive(files, &(struct iovec){&mark, sizeof(mark)}, 1, &fd);
	if (fd >= 0) {
		use_file(fd);
	}
	return size > 0;
}

/* Take new bytes in.  A line that begins while another one is not ended means that this one was torn: the pipe
 * had no room for the rest, and its worker has counted it. */
static void take_in(size_t fresh)
{
	size_t end = held.size + fresh, to = held.size;
	for (size_t at = held.size; at < end; at++) {
		char c = held.text[at];
		if (c == '\0') {
			to = held.whole;
			continue;
		}
		held.text[to++] = c;
		if (c == '\n') {
			held.whole = to;
		}
	}
	held.size = to;
}

/* Read what workers have written.  Returns false at the end. */
static bool read_lines(int pipe)
{
	if (held.size == sizeof(held.text)) {
		held.size = 0;  /* no worker writes such lines */
	}
	ssize_t size = read(pipe, held.text + held.size, sizeof(held.text) - held.size);
	if (size > 0) {
		take_in((size_t)size);
	}
	return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
}

static void forget(size_t size)
{
	memmove(held.text, held.text + size, held.size - size);
	held.size -= size;
	held.whole -= size;
}

static void lose(size_t size, int error)
{
	uint32_t lines = 0;
	for (size_t at = 0; at < size; at++) {
		lines += held.text[at] == '\n';
	}
	scoreboard_lost(board, lines, error);
	forget(size);
}

/* How much to write at once.  Others may write to a pipe as well: their lines mix with ours unless each write is
 * of whole lines, and not larger than this. */
static size_t portion(void)
{
	if (regular || held.whole <= PIPE_BUF) {
		return held.whole;
	}
	const char *end = memrchr(held.text, '\n', PIPE_BUF);
	if (!end) {
		end = memchr(held.text, '\n', held.whole);
	}
	return (size_t)(end - held.text) + 1;
}

static void write_lines(void)
{
	size_t size = portion();
	if (torn && write(target, "\n", 1) == 1) {
		torn = false;
	}
	ssize_t done = write(target, held.text, size);
	if (done > 0) {
		torn = held.text[done - 1] != '\n';
		forget((size_t)done);
	} else if (errno != EINTR && errno != EAGAIN) {
		/* What is left of a line that was begun is no line. */
		lose(size, errno);
	}
}

void kraal_scribe(int pipe, int files, void *scoreboard)
{
	bool open = true;
	board = scoreboard;
	while (open || held.whole) {
		bool full = held.whole > 0;
		struct pollfd watched[] = {
		    {.fd = files, .events = POLLIN},
		    {.fd = full || target < 0 ? -1 : pipe, .events = POLLIN},
		    {.fd = full ? target : -1, .events = POLLOUT},
		};
		if (poll(watched, 3, -1) < 0) {
			continue;
		}
		if (watched[0].revents && !take_file(files)) {
			files = -1;
			if (target < 0) {
				return;
			}
		} else if (watched[2].revents) {
			write_lines();
			if (!held.whole) {
				nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
			}
		} else if (watched[1].revents) {
			open = read_lines(pipe);
		}
	}
}
