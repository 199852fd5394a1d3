#define _GNU_SOURCE
#include "accesslog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "peer.h"
#include "scoreboard.h"
#include "waiting.h"

/* The error log is told of lost lines at most so often. */
#define TELL_SECONDS 10

static const struct kraal_access *access_settings;
static struct kraal_scoreboard *board;
static struct access_record record;
static struct rusage used_before[2];
static int64_t begun_ns;
static bool pending;
static bool wants[KRAAL_ITEM_WAITED + 1];
static uint64_t chance[2];
static char id[33];
static char line[1 + ACCESSLINE_MAX];

void accesslog_open(const struct kraal_worker *worker)
{
	access_settings = worker->access;
	board = worker->scoreboard;
	if (!access_settings) {
		return;
	}
	for (uint32_t i = 0; i < access_settings->step_count; i++) {
		wants[access_settings->steps[i].item] = true;
	}
	record.pid = getpid();
	record.parent = worker->manager;
	record.pool = worker->pool;
	/* Worse numbers are no harm: only that ids differ counts. */
	(void)!getrandom(chance, sizeof(chance), GRND_NONBLOCK);
	chance[1] ^= (uint64_t)clock_ns(CLOCK_REALTIME) ^ ((uint64_t)record.pid << 40);
}

/* ---------------------------------------------------------------- the facts */

/* A number that nobody else has; what made it cannot be told from it by eye, no more is asked. */
static uint64_t stirred(uint64_t number)
{
	number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
	return number ^ (number >> 31);
}

/* The id that the web server or its client gave to the request, or a new one, which the script sees as well. */
static const char *find_id(struct params *params)
{
	const char *given = PARAM_GET(params, "REQUEST_ID");
	if (!given || !*given) {
		given = PARAM_GET(params, "HTTP_X_REQUEST_ID");
	}
	if (given && *given) {
		return given;
	}
	static const char digits[] = "0123456789abcdef";
	uint64_t halves[] = {stirred(chance[0]), stirred(chance[1] += UINT64_C(0x9e3779b97f4a7c15))};
	halves[0] ^= halves[1];
	for (size_t i = 0; i < 32; i++) {
		id[i] = digits[halves[i / 16] >> (i % 16 * 4) & 15];
	}
	PARAM_SET(params, "REQUEST_ID", id);
	return id;
}

static void note_usage(struct rusage usage[2])
{
	getrusage(RUSAGE_SELF, &usage[0]);
	getrusage(RUSAGE_CHILDREN, &usage[1]);
}

static int64_t ns_of(const struct timeval *time)
{
	return time->tv_sec * INT64_C(1000000000) + time->tv_usec * 1000;
}

void accesslog_begin(struct fcgi_connection *connection, const struct script *script, const char *user)
{
	struct params *params = &connection->params;
	if (!access_settings) {
		return;
	}
	bool named = script->path || script->missing || script->uri;
	const char *length = named ? PARAM_GET(params, "CONTENT_LENGTH") : NULL;
	record.params = params;
	record.method = PARAM_GET(params, "REQUEST_METHOD");
	record.uri = script->uri;
	record.query = named ? PARAM_GET(params, "QUERY_STRING") : NULL;
	record.script = script->path;
	record.user = user;
	record.length = length ? strtoull(length, NULL, 10) : 0;
	record.remote = wants[KRAAL_ITEM_REMOTE] ? peer_text(connection) : NULL;
	record.id = wants[KRAAL_ITEM_ID] ? find_id(params) : NULL;
	record.waited_ns = scoreboard_waited();
	record.started_ns = clock_ns(CLOCK_REALTIME);
	begun_ns = clock_ns(CLOCK_MONOTONIC);
	if (wants[KRAAL_ITEM_CPU]) {
		note_usage(used_before);
	}
	pending = true;
}

static void count_usage(void)
{
	struct rusage now[2];
	record.user_ns = record.system_ns = 0;
	if (!wants[KRAAL_ITEM_CPU]) {
		return;
	}
	note_usage(now);
	for (int i = 0; i < 2; i++) {
		record.user_ns += ns_of(&now[i].ru_utime) - ns_of(&used_before[i].ru_utime);
		record.system_ns += ns_of(&now[i].ru_stime) - ns_of(&used_before[i].ru_stime);
	}
}

struct excerpt accesslog_find_header(const struct access_record *of, const char *name, size_t size)
{
	const char *at = of->response;
	while (at && *at && *at != '\r') {
		const char *end = strchr(at, '\r');
		if (!end) {
			break;
		}
		if ((size_t)(end - at) > size + 2 && strncasecmp(at, name, size) == 0 && memcmp(at + size, ": ", 2) == 0) {
			return (struct excerpt){at + size + 2, (size_t)(end - at) - size - 2};
		}
		at = end[1] == '\n' ? end + 2 : NULL;
	}
	return (struct excerpt){0};
}

/* ---------------------------------------------------------------- what is not logged */

static bool is_listed(const char *paths, const char *path)
{
	size_t size = path ? strlen(path) : 0;
	for (const char *at = paths; at && *at;) {
		size_t length = strcspn(at, "\n");
		if (size && length == size && memcmp(at, path, size) == 0) {
			return true;
		}
		at += length + (at[length] == '\n');
	}
	return false;
}

/* access.suppress_path: only requests that ask for no more than a sign of life, and get it. */
static bool is_suppressed(void)
{
	const char *method = record.method;
	return *access_settings->suppressed && method && (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) &&
	       !record.length && !(record.query && *record.query) && record.status >= 200 && record.status < 300 &&
	       is_listed(access_settings->suppressed, record.uri);
}

/* ---------------------------------------------------------------- writing */

/* Tell of lost lines: the first at once, more of them later all together. */
static void tell_lost(void)
{
	int64_t now = clock_seconds();
	int64_t before = __atomic_load_n(&board->log_told_at, __ATOMIC_RELAXED);
	if (before && now - before < TELL_SECONDS) {
		return;
	}
	if (!__atomic_compare_exchange_n(&board->log_told_at, &before, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		return;
	}
	uint32_t lost = __atomic_exchange_n(&board->log_untold, 0, __ATOMIC_RELAXED);
	if (lost) {
		int error = board->log_error;
		log_line(KRAAL_LOG_WARNING, "%u line%s of the access log lost: %s", lost, lost == 1 ? "" : "s",
		         error == EAGAIN ? "its reader or its disk does not keep up" : strerror(error));
	}
}

/* Write the line of the request that is over.  Returns whether there was one. */
static bool finish(int status, uint64_t memory, accesslog_header header, const void *response)
{
	if (!pending) {
		return false;
	}
	pending = false;
	record.status = status;
	record.memory = memory;
	record.header = header;
	record.response = response;
	if (!is_suppressed()) {
		count_usage();
		record.duration_ns = clock_ns(CLOCK_MONOTONIC) - begun_ns;
		record.logged_ns = clock_ns(CLOCK_REALTIME);
		/* The zero in front tells the scribe where a line begins, should the one before be torn. */
		line[0] = '\0';
		size_t size = accessline_put(access_settings, &record, line + 1);
		ssize_t done = size ? write(access_settings->pipe, line, size + 1) : 0;
		if (size && done != (ssize_t)size + 1) {
			scoreboard_lost(board, 1, done < 0 ? errno : EAGAIN);
		}
	}
	return true;
}

void accesslog_end(int status, uint64_t memory, accesslog_header header, const void *response)
{
	if (finish(status, memory, header, response) && __atomic_load_n(&board->log_untold, __ATOMIC_RELAXED)) {
		tell_lost();
	}
}

void kraal_log_answered(const struct kraal_worker *who, int fd, const uint8_t *pairs, size_t size, int status)
{
	struct fcgi_connection connection;
	struct script script = {0};
	accesslog_open(who);
	fcgi_open(&connection, fd);
	if (params_append(&connection.params, pairs, size, FCGI_PARAMS_MAX) == 0 && params_decode(&connection.params) == 0) {
		script.uri = PARAM_GET(&connection.params, "SCRIPT_NAME");
		accesslog_begin(&connection, &script, NULL);
		record.waited_ns = waiting_time(&connection.params, record.started_ns);
		/* If it is lost a worker tells: a manager has another way to the error log. */
		finish(status, 0, NULL, NULL);
	}
	params_release(&connection.params);
}
