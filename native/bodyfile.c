#define _GNU_SOURCE
#include "bodyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <php.h>

#define PARAM "REQUEST_BODY_FILE: "

static const char *directories;

void bodyfile_limit(const char *list)
{
	directories = list;
}

/* Whether a directory of the list is above the path. */
static bool is_below(const char *path, const char *list)
{
	while (*list) {
		size_t size = strcspn(list, "\n");
		if (size && strncmp(path, list, size) == 0) {
			return true;
		}
		list += size + (list[size] == '\n');
	}
	return false;
}

/* The kernel's own name of what was opened: no link and no exchange of files in the meantime leads astray. */
static bool is_allowed(int file)
{
	char link[sizeof("/proc/self/fd/") + 3 * sizeof(int)], path[PATH_MAX];
	if (!directories) {
		return true;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	ssize_t size = *directories ? readlink(link, path, sizeof(path)) : 0;
	if (size <= 0 || (size_t)size == sizeof(path)) {
		return false;
	}
	path[size] = '\0';
	return is_below(path, directories);
}

/* Nothing else ends by itself: a pipe, a terminal or a device may keep the worker for ever. */
static bool is_regular(int file)
{
	struct stat status;
	return fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

int bodyfile_open(const char *name)
{
	int file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file < 0) {
		php_error(E_WARNING, PARAM "open('%s') failed: %s (%d)", name, strerror(errno), errno);
		return -1;
	}
	bool regular = is_regular(file);
	if (regular && is_allowed(file)) {
		return file;
	}
	close(file);
	php_error(E_WARNING, regular ? PARAM "'%s' is not allowed (see security.limit_body_files)"
	                             : PARAM "'%s' is not a regular file", name);
	return -1;
}

size_t bodyfile_read(int file, char *to, size_t size)
{
	size_t total = 0;
	while (total < size) {
		ssize_t got = read(file, to + total, size - total);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			break;
		}
		total += (size_t)got;
	}
	return total;
}
