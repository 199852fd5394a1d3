#include "passing.h"

#include <string.h>

/* Whether the pattern fits the whole of the path, or a part of it that ends before a slash. */
static bool fits(const char *pattern, size_t pattern_size, const char *path, size_t size)
{
	const char *end = pattern + pattern_size, *path_end = path + size;
	const char *star = NULL, *from = NULL;
	for (;;) {
		if (pattern < end && *pattern == '*') {
			star = ++pattern;
			from = path;
		} else if (pattern == end && (path == path_end || *path == '/' || star == end)) {
			return true;
		} else if (pattern < end && path < path_end && *pattern == *path) {
			pattern++;
			path++;
		} else if (star && from < path_end) {
			/* Let the last star stand for one more. */
			pattern = star;
			path = ++from;
		} else {
			return false;
		}
	}
}

bool passing_matches(const char *patterns, const char *path, size_t size)
{
	while (*patterns) {
		size_t length = strcspn(patterns, "\n");
		if (fits(patterns, length, path, size)) {
			return true;
		}
		patterns += length + (patterns[length] == '\n');
	}
	return false;
}

/* Apache's proxy modules send "proxy:fcgi://host:port/path?query"; see script.c. */
static const char *skip_proxy(const char *path)
{
	const char *host = strncmp(path, "proxy:", 6) == 0 ? strstr(path, "://") : NULL;
	const char *slash = host ? strchr(host + 3, '/') : NULL;
	return slash ? slash : path;
}

bool passing_is_ours(const struct kraal_worker *worker, const struct params *params)
{
	const char *path = worker->match ? PARAM_GET(params, "SCRIPT_FILENAME") : NULL;
	if (!worker->match) {
		return true;
	}
	if (!path) {
		path = PARAM_GET(params, "PATH_TRANSLATED");
	}
	bool wanted = path && passing_matches(worker->match, skip_proxy(path), strcspn(skip_proxy(path), "?"));
	return wanted == (worker->script != NULL);
}
