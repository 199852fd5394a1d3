#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static int channel = -1;
static bool caught;
static enum kraal_level least = KRAAL_LOG_NOTICE;
static size_t limit;  /* bytes of a line with its newline; 0: none */
static const volatile uint8_t *unfinished;

void log_open(const struct kraal_worker *worker)
{
	channel = worker->log;
	caught = worker->catch_output;
	least = (enum kraal_level)worker->log_level;
	limit = worker->log_limit;
	unfinished = worker->unfinished;
}

static const char *level_name(enum kraal_level level)
{
	switch (level) {
	case KRAAL_LOG_DEBUG:
		return "DEBUG";
	case KRAAL_LOG_NOTICE:
		return "NOTICE";
	case KRAAL_LOG_WARNING:
		return "WARNING";
	case KRAAL_LOG_ERROR:
		return "ERROR";
	case KRAAL_LOG_ALERT:
		return "ALERT";
	}
	return "ALERT";
}

/* What a line on standard error begins with; php-fpm names the place at level debug.  Returns its size. */
static size_t put_heading(char *to, size_t size, enum kraal_level level, const char *function, int line)
{
	int length = least == KRAAL_LOG_DEBUG
	    ? snprintf(to, size, "%s: %s(), line %d: ", level_name(level), function, line)
	    : snprintf(to, size, "%s: ", level_name(level));
	return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

/* One call, so that lines of several writers do not mix; the rest only if the pipe took a part. */
static void write_line(struct iovec *parts, int count)
{
	while (count) {
		ssize_t done = writev(STDERR_FILENO, parts, count);
		if (done < 0 && errno != EINTR) {
			return;
		}
		for (; count && done >= (ssize_t)parts->iov_len; count--, parts++) {
			done -= (ssize_t)parts->iov_len;
		}
		if (count && done > 0) {
			parts->iov_base = (char *)parts->iov_base + done;
			parts->iov_len -= (size_t)done;
		}
	}
}

void log_line_from(const char *function, int line, enum kraal_level level, const char *format, ...)
{
	char text[LOG_LINE_MAX], heading[LOG_LINE_MAX];
	va_list values;

	if (level < least || (!caught && channel < 0)) {
		return;
	}
	text[0] = (char)level;
	va_start(values, format);
	int size = vsnprintf(text + 1, sizeof(text) - 1, format, values);
	va_end(values);
	if (size < 0) {
		return;
	}
	size_t length = (size_t)size < sizeof(text) - 2 ? (size_t)size : sizeof(text) - 2;
	if (!caught) {
		(void)!send(channel, text, length + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		return;
	}
	struct iovec parts[] = {
	    {.iov_base = heading, .iov_len = put_heading(heading, sizeof(heading), level, function, line)},
	    {.iov_base = text + 1, .iov_len = length},
	    {.iov_base = "\n", .iov_len = 1},
	};
	write_line(parts, 3);
}

size_t log_php_message(const char *message, size_t size, const char **dots)
{
	char heading[LOG_LINE_MAX];
	static char mark[] = LOG_PHP_MARK;
	/* Above this level php-fpm leaves the level's name away and says the rest all the same. */
	size_t before = least > KRAAL_LOG_NOTICE
	    ? 0
	    : put_heading(heading, sizeof(heading), KRAAL_LOG_NOTICE, __func__, __LINE__);
	size_t room = limit > before + sizeof(mark) ? limit - before - sizeof(mark) : 0;
	*dots = "";
	if (limit && size > room) {
		size = room > 3 ? room - 3 : 0;
		*dots = "...";
	}
	if (caught) {
		struct iovec parts[] = {
		    {.iov_base = heading, .iov_len = before},
		    {.iov_base = mark, .iov_len = sizeof(mark) - 1},
		    {.iov_base = (char *)(uintptr_t)message, .iov_len = size},
		    {.iov_base = (char *)(uintptr_t)*dots, .iov_len = strlen(*dots)},
		    {.iov_base = "\n", .iov_len = 1},
		};
		write_line(parts, 5);
	}
	return size;
}

static bool is_read(int fd)
{
	int unread = 1;
	return ioctl(fd, FIONREAD, &unread) == 0 && unread == 0;
}

/* The order is what makes this right: the manager sets `unfinished` before it reads, and takes it back when
 * all that it read are whole lines.  The kernel's lock of the pipe is the barrier between the two. */
static bool nothing_is_open(void)
{
	return unfinished && is_read(STDOUT_FILENO) && is_read(STDERR_FILENO) && !*unfinished;
}

void log_request_end(void)
{
	/* The zero at the end belongs to it. */
	static const char mark[] = "\0fscf";
	/* Writing it always, as php-fpm does, would wake the manager for every request. */
	if (caught && !nothing_is_open()) {
		(void)!write(STDERR_FILENO, mark, sizeof(mark));
	}
}
