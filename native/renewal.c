#define _GNU_SOURCE
#include "renewal.h"

#include <stdbool.h>
#include <string.h>

#include <php.h>
#include <SAPI.h>
#include <ext/session/php_session.h>
#include <php_main.h>
#include <php_output.h>
#include <php_variables.h>

#include "accesslog.h"
#include "bootstate.h"
#include "inivalues.h"
#include "response.h"
#include "sapi.h"
#include "scoreboard.h"
#include "timelimit.h"

/* PHP may have been built without sessions. */
#pragma weak ps_globals

/* ---------------------------------------------------------------- modules with a state for each request */

static void shut_down_module(const char *name, size_t size)
{
	const zend_module_entry *module = zend_hash_str_find_ptr(&module_registry, name, size);
	if (module && module->request_shutdown_func) {
		module->request_shutdown_func(module->type, module->module_number);
	}
}

static void start_module(const char *name, size_t size)
{
	const zend_module_entry *module = zend_hash_str_find_ptr(&module_registry, name, size);
	if (module && module->request_startup_func) {
		module->request_startup_func(module->type, module->module_number);
	}
}

/* Write and close the session, and forget it.  A save handler of the script's own stays, as frameworks set it
 * once. */
static void end_session(void)
{
	if (!&ps_globals) {
		return;
	}
	if (PS(session_status) == php_session_active) {
		zend_try {
			php_session_flush(1);
		} zend_end_try();
	}
	/* Zvals, in one order or another: versions of PHP name them in different ways. */
	__typeof__(PS(mod_user_names)) handlers = PS(mod_user_names);
	memset(&PS(mod_user_names), IS_UNDEF, sizeof(handlers));
	shut_down_module(ZEND_STRL("session"));
	PS(mod_user_names) = handlers;
}

/* ---------------------------------------------------------------- superglobals */

static bool is_known(const char *name, size_t size)
{
	return zend_hash_str_exists(&EG(symbol_table), name, size);
}

/* Compiled code asks for these variables no more: those that were asked for once are filled at once. */
static void fill_variables(void)
{
	bool request_is_wanted = is_known(ZEND_STRL("_REQUEST"));
	zend_hash_str_del(&EG(symbol_table), ZEND_STRL("_SESSION"));
	for (size_t i = 0; i < NUM_TRACK_VARS; i++) {
		zval_ptr_dtor(&PG(http_globals)[i]);
		ZVAL_UNDEF(&PG(http_globals)[i]);
	}
	php_hash_environment();
	zend_is_auto_global_str(ZEND_STRL("_SERVER"));
	if (request_is_wanted) {
		zend_is_auto_global_str(ZEND_STRL("_REQUEST"));
	}
	bootstate_restore_variables();
}

/* ---------------------------------------------------------------- output */

static void start_output(void)
{
	if (PG(output_handler) && *PG(output_handler)) {
		zval handler;
		ZVAL_STRING(&handler, PG(output_handler));
		php_output_start_user(&handler, 0, PHP_OUTPUT_HANDLER_STDFLAGS);
		zval_ptr_dtor(&handler);
	} else if (PG(output_buffering)) {
		php_output_start_user(NULL, PG(output_buffering) > 1 ? (size_t)PG(output_buffering) : 0, PHP_OUTPUT_HANDLER_STDFLAGS);
	} else if (PG(implicit_flush)) {
		php_output_set_implicit_flush(1);
	}
}

/* What is said from now on has no reader. */
static void mute(void)
{
	php_output_activate();
	SG(request_info).no_headers = 1;
	SG(headers_sent) = 1;
}

static void forget_last_error(void)
{
	if (PG(last_error_message)) {
		zend_string_release(PG(last_error_message));
		PG(last_error_message) = NULL;
	}
	if (PG(last_error_file)) {
		zend_string_release(PG(last_error_file));
		PG(last_error_file) = NULL;
	}
}

/* ---------------------------------------------------------------- life of a request */

void renewal_begin(struct fcgi_connection *connection, struct fcgi_io *io, const char *worker_script)
{
	struct script script = sapi_take(connection, io);
	forget_last_error();
	zend_memory_reset_peak_usage();
	EG(exit_status) = 0;
	PG(header_is_being_sent) = 0;
	PG(connection_status) = PHP_CONNECTION_NORMAL;
	php_output_activate();
	if (script.missing) {
		/* What the web server calls the application need not be a file. */
		script.path = PARAM_SET(&connection->params, "SCRIPT_FILENAME", worker_script);
		script.missing = false;
	}
	sapi_fill_request_info(&connection->params, &script);
	scoreboard_request(&connection->params, SG(request_info).auth_user);
	accesslog_begin(connection, &script, SG(request_info).auth_user);
	inivalues_apply(&connection->params);
	/* It counts processor time, of which reading the body takes next to nothing. */
	timelimit_request(false);
	zend_set_timeout(EG(timeout_seconds), false);
	PG(during_request_startup) = true;
	sapi_activate();
	if (PG(expose_php)) {
		sapi_add_header(SAPI_PHP_VERSION_HEADER, sizeof(SAPI_PHP_VERSION_HEADER) - 1, true);
	}
	start_output();
	fill_variables();
	if (&ps_globals) {
		start_module(ZEND_STRL("session"));
	}
	PG(during_request_startup) = false;
	PG(ignore_user_abort) = true;
	scoreboard_stage(KRAAL_STAGE_RUNNING);
}

static void end_client(void)
{
	end_session();
	shut_down_module(ZEND_STRL("filter"));
	accesslog_end(SG(sapi_headers).http_response_code, sapi_memory(), response_find_header, NULL);
	php_output_deactivate();
	if (SG(request_info).path_translated) {
		efree(SG(request_info).path_translated);
		SG(request_info).path_translated = NULL;
	}
	sapi_deactivate();
	mute();
}

void renewal_end(void)
{
	sapi_mark_failure();
	scoreboard_stage(KRAAL_STAGE_ENDING);
	php_output_end_all();
	scoreboard_stage(KRAAL_STAGE_FINISHING);
	end_client();
	sapi_end_answer();
}

void renewal_end_boot(void)
{
	php_output_discard_all();
	end_client();
	bootstate_open();
}

void renewal_rest(void)
{
	zend_unset_timeout();
	bootstate_restore();
}

void renewal_forked(void)
{
	start_module(ZEND_STRL("random"));
}
