#include "patience.h"

#include "ledger.h"
#include "log.h"

#define LINGER_MS 5000
/* Whoever takes longer over a request is lazy. */
#define LAZY_MS 1000
#define TELL_EACH_MS 60000

enum fcgi_phase patience_phase(const struct fcgi_connection *connection)
{
	switch (connection->state) {
	case FCGI_WAIT_BEGIN:
		return connection->served && !connection->head_size ? FCGI_PHASE_IDLE : FCGI_PHASE_HEAD;
	case FCGI_WAIT_PARAMS:
		return FCGI_PHASE_HEAD;
	case FCGI_WAIT_BODY:
		return FCGI_PHASE_BODY;
	case FCGI_WAIT_STDIN:
		return FCGI_PHASE_REST;
	case FCGI_LINGER:
		return FCGI_PHASE_LINGER;
	default:
		return FCGI_PHASE_NONE;
	}
}

bool patience_is_unfinished(enum fcgi_phase phase)
{
	return phase == FCGI_PHASE_HEAD || phase == FCGI_PHASE_BODY;
}

static int64_t after(int64_t start_ms, uint32_t seconds)
{
	return seconds ? start_ms + INT64_C(1000) * seconds : PATIENCE_ENDLESS;
}

int64_t patience_deadline(const struct kraal_worker *worker, const struct fcgi_connection *connection)
{
	switch (connection->phase) {
	case FCGI_PHASE_IDLE:
		return after(connection->since, worker->idle_timeout);
	case FCGI_PHASE_HEAD:
		return after(connection->since, worker->header_timeout);
	case FCGI_PHASE_BODY:
	case FCGI_PHASE_REST:
		return after(connection->heard, worker->body_timeout);
	case FCGI_PHASE_LINGER:
		return connection->since + LINGER_MS;
	default:
		return PATIENCE_ENDLESS;
	}
}

/* The lower, the rather it is given up. */
static int worth(const struct fcgi_connection *connection, int64_t now_ms)
{
	if (patience_is_unfinished(connection->phase)) {
		return connection->since + LAZY_MS <= now_ms ? 0 : 3;
	}
	return connection->phase == FCGI_PHASE_IDLE ? 2 : 1;
}

bool patience_prefers(const struct fcgi_connection *one, const struct fcgi_connection *other, int64_t now_ms)
{
	int difference = worth(one, now_ms) - worth(other, now_ms);
	return difference < 0 || (difference == 0 && one->since < other->since);
}

void patience_end(enum patience_end why, int64_t now_ms)
{
	static const char *const reasons[] = {
	    [PATIENCE_OVERDUE] = "no whole request came in time (connection.header_timeout, connection.body_timeout)",
	    [PATIENCE_CROWD] = "there are too many of them, or they take too much memory",
	};
	static struct {
		unsigned long untold;
		int64_t tell_at;
	} tallies[sizeof(reasons) / sizeof(reasons[0])];

	ledger_lazy(why);
	tallies[why].untold++;
	if (now_ms >= tallies[why].tell_at) {
		unsigned long number = tallies[why].untold;
		log_line(KRAAL_LOG_WARNING, "%lu connection%s closed: %s", number, number == 1 ? "" : "s", reasons[why]);
		tallies[why].untold = 0;
		tallies[why].tell_at = now_ms + TELL_EACH_MS;
	}
}
