#define _GNU_SOURCE
#include "requests.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "accesslog.h"
#include "clock.h"
#include "connections.h"
#include "keeper.h"
#include "ledger.h"
#include "log.h"
#include "login.h"
#include "passing.h"
#include "resident.h"
#include "response.h"
#include "sapi.h"
#include "scoreboard.h"

/* After so long without a rest, requests may have waited until their clients left.  Then it looks, but not
 * again and again while they are there. */
#define BUSY_NS INT64_C(50000000)
#define LOOK_AGAIN_NS INT64_C(1000000)

static const struct kraal_worker *worker;
static struct fcgi_io *io;
static struct fcgi_connection *page_connection;  /* waits for kraal_answer */
static struct fcgi_connection *pending;          /* answered by kraal_answer, not settled yet */
static uint64_t requests;
static int64_t look_after_ns;  /* CLOCK_MONOTONIC: what is served later than this may have waited long */

void requests_open(const struct kraal_worker *settings, struct fcgi_io *buffers)
{
	worker = settings;
	io = buffers;
	io->body_buffer = settings->body_buffer;
	io->body_timeout = settings->body_timeout;
	keeper_open();
}

uint64_t requests_served(void)
{
	return requests;
}

void requests_rested(int64_t now_ns)
{
	look_after_ns = now_ns + BUSY_NS;
}

/* Whether the client went away while its request waited for this worker. */
static bool is_deserted(const struct fcgi_connection *connection)
{
	int64_t now = clock_ns(CLOCK_MONOTONIC);
	if (now < look_after_ns) {
		return false;
	}
	if (fcgi_peer_left(connection)) {
		return true;
	}
	look_after_ns = now + LOOK_AGAIN_NS;
	return false;
}

static bool is_page(const char *path, const char *uri)
{
	return path && uri && strcmp(path, uri) == 0;
}

/* Nobody can take the request: better an answer at once than none. */
static void turn_away(struct fcgi_connection *connection)
{
	static const char answer[] = "Status: 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\n"
	                             "Too many requests wait already.\n";
	log_line(KRAAL_LOG_WARNING, "a request is turned away: the workers of its kind take no more");
	fcgi_start_answer(connection, io);
	fcgi_write(connection, io, FCGI_STDOUT, answer, sizeof(answer) - 1);
	fcgi_end(connection, io, 0);
	ledger_status(503);
	ledger_answer();
	fcgi_finish(connection, io);
}

/* Have a worker of the other kind serve the request. */
static void pass_on(struct fcgi_connection *connection)
{
	if (!connections_pass(connection, io)) {
		turn_away(connection);
	}
}

static enum step run(struct fcgi_connection *connection)
{
	const char *uri = PARAM_GET(&connection->params, "SCRIPT_NAME");
	bool page = is_page(worker->status_path, uri) || is_page(worker->ping_path, uri);
	if (!page && !passing_is_ours(worker, &connection->params)) {
		pass_on(connection);
		return STEP_DONE;
	}
	if (!page && !fcgi_gather(connection, io)) {
		return STEP_DONE;
	}
	requests++;
	if (page) {
		struct script script = sapi_resolve(&connection->params);
		const char *user = login_name(&connection->params);
		scoreboard_request(&connection->params, user);
		accesslog_begin(connection, &script, user);
		scoreboard_stage(KRAAL_STAGE_RUNNING);
		fcgi_start_answer(connection, io);
		page_connection = connection;
		return STEP_PAGE;
	}
	keeper_leave(connection);
	int result = worker->script ? resident_run(connection, io) : sapi_run(connection, io);
	keeper_return();
	if (result < 0) {
		return STEP_FAILED;
	}
	fcgi_finish(connection, io);
	return STEP_DONE;
}

enum step requests_serve_decoded(struct fcgi_connection *connection)
{
	while (connection->state == FCGI_READY) {
		if (is_deserted(connection)) {
			log_line(KRAAL_LOG_DEBUG, "a request is not run: its client has left");
			connection->state = FCGI_DEAD;
			break;
		}
		enum step step = run(connection);
		if (step != STEP_DONE) {
			return step;
		}
	}
	connections_settle(connection);
	return STEP_DONE;
}

enum step requests_serve(struct fcgi_connection *connection)
{
	fcgi_advance(connection, io);
	return requests_serve_decoded(connection);
}

enum step requests_serve_pending(void)
{
	struct fcgi_connection *connection = pending;
	pending = NULL;
	return connection ? requests_serve_decoded(connection) : STEP_DONE;
}

void kraal_page_get(struct kraal_page_request *page)
{
	const struct params *params = &page_connection->params;
	page->path = PARAM_GET(params, "SCRIPT_NAME");
	page->method = PARAM_GET(params, "REQUEST_METHOD");
	page->query = PARAM_GET(params, "QUERY_STRING");
}

static int status_of(const char *response)
{
	static const char name[] = "Status: ";
	return strncmp(response, name, sizeof(name) - 1) == 0 ? atoi(response + sizeof(name) - 1) : 200;
}

void kraal_answer(const char *response, size_t size)
{
	struct fcgi_connection *connection = page_connection;
	page_connection = NULL;
	response_put_powered_by(connection, io);
	fcgi_write(connection, io, FCGI_STDOUT, response, size);
	ledger_status(status_of(response));
	accesslog_end(status_of(response), sapi_memory(), accesslog_find_header, response);
	login_forget();
	fcgi_end(connection, io, 0);
	ledger_answer();
	scoreboard_done(0);
	fcgi_finish(connection, io);
	/* Another request may stand in io already: the next kraal_serve begins with it. */
	pending = connection;
}
