#define _GNU_SOURCE
#include "resident.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <php.h>
#include <SAPI.h>
#include <ext/spl/spl_exceptions.h>
#include <php_main.h>
#include <zend_exceptions.h>

#include "accesslog.h"
#include "bootstate.h"
#include "callstack.h"
#include "functions.h"
#include "hooks.h"
#include "ledger.h"
#include "renewal.h"
#include "sapi.h"
#include "scoreboard.h"
#include "sharing.h"

/* Where the script is. */
enum place {
	PLACE_NONE,     /* it does not run */
	PLACE_BOOT,     /* before its first wait */
	PLACE_WAIT,
	PLACE_HOOKS,    /* away from its wait, in hooks of a fork */
	PLACE_REQUEST,  /* in the function that it has given for a request */
	PLACE_AFTER,    /* between the end of an answer and the next wait */
	PLACE_END       /* there will be no more requests */
};

static const struct kraal_worker *worker;
static enum place place;
static bool broken;
static bool forked;         /* off a zygote, and its hooks have not run */
static struct fcgi_connection *handed;
static struct fcgi_io *io;
static size_t memory;       /* of the last request */
static char reason[1024];   /* why the script has ended */

bool resident_is_up(void)
{
	return place != PLACE_NONE;
}

bool resident_is_waiting(void)
{
	return place == PLACE_WAIT;
}

/* ---------------------------------------------------------------- on the script's stack */

static bool has_request(void)
{
	return place == PLACE_REQUEST || place == PLACE_AFTER;
}

/* Garbage would be looked for, and found, in each process that is forked, and what is looked at is no longer shared. */
static bool tidy_up(void)
{
	gc_collect_cycles();
	zend_mm_gc(zend_mm_get_heap());
	return !EG(exception);
}

/* What hooks set is as if the boot had set it.  Returns false if the script is to go on with an exception. */
static bool run_hooks(void)
{
	bootstate_close();
	if (hooks_run(forked) && (forked || tidy_up())) {
		bootstate_open();
		return true;
	}
	if (zend_is_unwind_exit(EG(exception)) && EG(exit_status) != 255) {
		snprintf(reason, sizeof(reason), "a hook of its fork has ended it");
	}
	/* Should it go on to another wait, that is its first once more. */
	place = PLACE_BOOT;
	return false;
}

/* ---------------------------------------------------------------- from one stack to the other */

/* Since 8.3 PHP ends scripts that come near the end of the stack, and has to know which one that is. */
static void tell_stack(void)
{
#ifdef ZEND_CHECK_STACK_LIMIT
	zend_long allowed = EG(max_allowed_stack_size);
	size_t size = callstack_size();
	if (allowed == ZEND_MAX_ALLOWED_STACK_SIZE_UNCHECKED) {
		return;
	}
	if (allowed != ZEND_MAX_ALLOWED_STACK_SIZE_DETECT && (size_t)allowed < size) {
		size = (size_t)allowed;
	}
	EG(stack_base) = callstack_base();
	EG(stack_limit) = zend_call_stack_limit(callstack_base(), size, EG(reserved_stack_size));
#endif
}

static void visit(void)
{
#ifdef ZEND_CHECK_STACK_LIMIT
	void *base = EG(stack_base), *limit = EG(stack_limit);
	callstack_enter();
	EG(stack_base) = base;
	EG(stack_limit) = limit;
#else
	callstack_enter();
#endif
}

/* Stand here until there is something to do.  Returns whether that is a request. */
static bool wait_for_request(void)
{
	/* Meanwhile PHP may not jump to where it would on this stack. */
	JMP_BUF *bailout = EG(bailout);
	if (place == PLACE_AFTER) {
		sapi_forget(memory);
	}
	do {
		place = PLACE_WAIT;
		EG(bailout) = NULL;
		callstack_leave();
		tell_stack();
		EG(bailout) = bailout;
	} while (place == PLACE_HOOKS && run_hooks());
	return place == PLACE_REQUEST;
}

static void handle(zend_fcall_info *call, zend_fcall_info_cache *cache)
{
	zval result;
	ZVAL_UNDEF(&result);
	call->retval = &result;
	zend_call_function(call, cache);
	zval_ptr_dtor(&result);
}

/* kraal_handle_request(callable $callback): bool */
PHP_FUNCTION(kraal_handle_request)
{
	zend_fcall_info call;
	zend_fcall_info_cache cache;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_FUNC(call, cache)
	ZEND_PARSE_PARAMETERS_END();

	if (place == PLACE_NONE) {
		zend_throw_exception(spl_ce_RuntimeException, "this function belongs into a worker script (see worker.script)", 0);
		RETURN_THROWS();
	}
	if (place == PLACE_REQUEST || place == PLACE_HOOKS) {
		zend_throw_exception(spl_ce_RuntimeException, "the script is away from its wait already", 0);
		RETURN_THROWS();
	}
	if (place == PLACE_END) {
		RETURN_FALSE;
	}
	if (place == PLACE_BOOT) {
		renewal_end_boot();
	}
	renewal_rest();
	if (!wait_for_request()) {
		if (EG(exception)) {
			RETURN_THROWS();
		}
		RETURN_FALSE;
	}
	renewal_begin(handed, io, worker->script);
	handle(&call, &cache);
	if (EG(exception)) {
		if (zend_is_unwind_exit(EG(exception)) || zend_is_graceful_exit(EG(exception))) {
			/* exit: the script ends, and its request with it. */
			return;
		}
		zend_exception_error(EG(exception), E_ERROR);
	}
	memory = sapi_memory();
	renewal_end();
	if (!handed->keep && handed->fd >= 0) {
		/* Who waits for the end of the stream need not wait for what the script does now. */
		shutdown(handed->fd, SHUT_WR);
	}
	place = PLACE_AFTER;
	RETURN_TRUE;
}

static void execute(void)
{
	zend_file_handle file;
	if (php_fopen_primary_script(&file) == FAILURE) {
		snprintf(reason, sizeof(reason), "it cannot be opened (%s)", strerror(errno));
	} else {
		EG(exit_status) = 0;
		php_execute_script(&file);
	}
	if (!file.in_list) {
		zend_destroy_file_handle(&file);
	}
}

/* While PHP still knows. */
static void note_reason(void)
{
	if (*reason) {
		return;
	}
	if (EG(exit_status) == 255 && PG(last_error_message)) {
		const char *text = ZSTR_VAL(PG(last_error_message));
		snprintf(reason, sizeof(reason), "%.*s", (int)strcspn(text, "\n"), text);
	} else if (EG(exit_status)) {
		snprintf(reason, sizeof(reason), "status %d", (int)EG(exit_status));
	} else if (place == PLACE_BOOT) {
		snprintf(reason, sizeof(reason), "it ended before it called frankenphp_handle_request()");
	} else {
		snprintf(reason, sizeof(reason), "by itself");
	}
}

/* From PHP's start of a request to its end, as sapi_run does it for others. */
static void run_script(void)
{
	reason[0] = '\0';
	broken = false;
	zend_first_try {
		place = PLACE_BOOT;
		memset(&SG(request_info), 0, sizeof(SG(request_info)));
		SG(sapi_headers).http_response_code = 200;
		SG(request_info).path_translated = estrdup(worker->script);
		if (php_request_startup() == FAILURE) {
			broken = true;
		} else {
			tell_stack();
			zend_try {
				execute();
			} zend_end_try();
		}
		note_reason();
		if (place == PLACE_REQUEST) {
			memory = sapi_memory();
			sapi_mark_failure();
			scoreboard_stage(KRAAL_STAGE_ENDING);
		}
		bootstate_close();
		hooks_forget();
		if (SG(request_info).path_translated) {
			efree(SG(request_info).path_translated);
			SG(request_info).path_translated = NULL;
		}
		php_request_shutdown(NULL);
		if (has_request()) {
			sapi_end_answer();
			sapi_forget(memory);
		}
	} zend_catch {
		broken = true;
	} zend_end_try();
	SG(server_context) = NULL;
}

static void live(void)
{
	for (;;) {
		run_script();
		place = PLACE_NONE;
		callstack_leave();
	}
}

/* ---------------------------------------------------------------- on the serve loop's */

int resident_open(const struct kraal_worker *settings)
{
	worker = settings;
	forked = place == PLACE_WAIT;
	return forked ? 0 : callstack_open(live);
}

int kraal_zygote_start(const struct kraal_worker *settings)
{
	sapi_worker_start(settings);
	return resident_open(settings);
}

static void visit_hooks(void)
{
	place = PLACE_HOOKS;
	visit();
}

static void boot_zygote(void)
{
	hooks_take(true);
	visit();
	hooks_take(false);
	if (place == PLACE_WAIT) {
		visit_hooks();
	}
}

int kraal_boot(void)
{
	bool is_zygote = !worker->scoreboard;
	if (forked) {
		renewal_forked();
		visit_hooks();
		forked = false;
	} else if (is_zygote) {
		boot_zygote();
	} else if (place == PLACE_NONE) {
		visit();
	}
	if (!is_zygote) {
		sharing_take_residence(place == PLACE_WAIT);
	}
	return place == PLACE_WAIT ? 0 : -1;
}

const char *kraal_script_end(void)
{
	return reason;
}

static void refuse(struct fcgi_connection *connection)
{
	struct script script = sapi_resolve(&connection->params);
	static const char answer[] = "Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\nThe application cannot start.\n";
	fcgi_start_answer(connection, io);
	scoreboard_request(&connection->params, NULL);
	accesslog_begin(connection, &script, NULL);
	fcgi_write(connection, io, FCGI_STDOUT, answer, sizeof(answer) - 1);
	fcgi_end(connection, io, 0);
	ledger_status(500);
	ledger_answer();
	accesslog_end(500, 0, NULL, NULL);
	scoreboard_done(0);
}

int resident_run(struct fcgi_connection *connection, struct fcgi_io *buffers)
{
	io = buffers;
	if (place == PLACE_NONE && kraal_boot() < 0) {
		refuse(connection);
		return broken ? -1 : 0;
	}
	handed = connection;
	place = PLACE_REQUEST;
	visit();
	handed = NULL;
	if (place == PLACE_NONE) {
		sharing_take_residence(false);
	}
	return broken ? -1 : 0;
}

void resident_leave(void)
{
	sharing_take_residence(false);
	if (place == PLACE_WAIT) {
		place = PLACE_END;
		visit();
	}
}
