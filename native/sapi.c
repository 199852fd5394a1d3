#define _GNU_SOURCE
#include "sapi.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

#include <php.h>
#include <SAPI.h>
#include <php_main.h>
#include <php_output.h>
#include <zend_signal.h>

#include "accesslog.h"
#include "bodyfile.h"
#include "cachelock.h"
#include "folder.h"
#include "input.h"
#include "inivalues.h"
#include "lasterror.h"
#include "ledger.h"
#include "log.h"
#include "module.h"
#include "poolstatus.h"
#include "response.h"
#include "script.h"
#include "scoreboard.h"
#include "settings.h"
#include "timelimit.h"
#include "userini.h"

static struct sapi_request current;
static const struct kraal_worker *worker;
static char complaint[512];

struct sapi_request *sapi_running(void)
{
	return SG(server_context);
}

/* ---------------------------------------------------------------- logging */

/* One of several messages of a request to the web server: a mark parts them. */
static void begin_message(struct sapi_request *request)
{
	fcgi_write(request->connection, request->io, FCGI_STDERR, "; ", request->logged ? 2 : 0);
	request->logged = true;
}

static void log_message(const char *message, int syslog_type)
{
	struct sapi_request *request = sapi_running();
	const char *dots;
	(void)syslog_type;
	if (!worker) {
		fprintf(stderr, "%s\n", message);
		snprintf(complaint, sizeof(complaint), "%.*s", (int)strcspn(message, "\n"), message);
		return;
	}
	size_t size = log_php_message(message, strlen(message), &dots);
	if (request && kraal_globals.logging) {
		begin_message(request);
		fcgi_write(request->connection, request->io, FCGI_STDERR, LOG_PHP_MARK, sizeof(LOG_PHP_MARK) - 1);
		fcgi_write(request->connection, request->io, FCGI_STDERR, message, size);
		fcgi_write(request->connection, request->io, FCGI_STDERR, dots, strlen(dots));
	}
}

const char *sapi_last_complaint(void)
{
	return complaint;
}

void sapi_tell(const char *text)
{
	if (kraal_globals.logging) {
		begin_message(&current);
		fcgi_write(current.connection, current.io, FCGI_STDERR, text, strlen(text));
	}
}

/* What kraal itself has to say about a request: to the web server, and to the error log. */
static void explain(enum kraal_level level, const char *what, const char *path)
{
	static const char dots[] = "...";
	char text[LOG_LINE_MAX + 1];
	int size = snprintf(text, sizeof(text), path ? "%s: %s" : "%s", what, path);
	if (size >= LOG_LINE_MAX) {
		memcpy(text + LOG_LINE_MAX - strlen(dots), dots, sizeof(dots));
	}
	sapi_tell(text);
	log_line(level, "%s", text);
}

/* ---------------------------------------------------------------- life of a request */

static int activate(void)
{
	if (!sapi_running()) {
		return SUCCESS;
	}
	const struct params *params = &sapi_running()->connection->params;
	if (SG(request_info).path_translated) {
		userini_activate(SG(request_info).path_translated, PARAM_GET(params, "DOCUMENT_ROOT"), PARAM_GET(params, "SERVER_NAME"));
	}
	return SUCCESS;
}

static int deactivate(void)
{
	struct sapi_request *request = sapi_running();
	if (request && SG(sapi_started)) {
		int sent = fcgi_end(request->connection, request->io, 0);
		ledger_answer();
		if (sent < 0) {
			php_handle_aborted_connection();
		}
	}
	return SUCCESS;
}

struct script sapi_resolve(struct params *params)
{
	struct script_settings settings = {
	    .fix_pathinfo = kraal_globals.fix_pathinfo,
	    .discard_path = kraal_globals.discard_path,
	    .doc_root = PG(doc_root),
	};
	return script_resolve(params, &settings);
}

size_t sapi_memory(void)
{
	return zend_memory_peak_usage(true);
}

void sapi_fill_request_info(const struct params *params, const struct script *script)
{
	const char *length = PARAM_GET(params, "CONTENT_LENGTH");
	const char *type = PARAM_GET(params, "CONTENT_TYPE");
	bool named = script->path || script->missing || script->uri;

	memset(&SG(request_info), 0, sizeof(SG(request_info)));
	SG(sapi_headers).http_response_code = script->missing ? 404 : 200;
	SG(request_info).proto_num = 1000;
	SG(request_info).request_method = PARAM_GET(params, "REQUEST_METHOD");
	if (!named) {
		return;
	}
	SG(request_info).query_string = PARAM_GET(params, "QUERY_STRING");
	SG(request_info).request_uri = (char *)(uintptr_t)script->uri;
	SG(request_info).content_type = type ? type : "";
	SG(request_info).content_length = length ? atol(length) : 0;
	SG(request_info).path_translated = script->path ? estrdup(script->path) : NULL;
	php_handle_auth_data(PARAM_GET(params, "HTTP_AUTHORIZATION"));
}

/* security.limit_extensions: the path ends in one of them and is longer than it. */
static bool extension_allowed(const char *path)
{
	const char *list = worker->extensions;
	if (!list || !*list) {
		return true;
	}
	size_t path_size = strlen(path);
	while (*list) {
		size_t size = strcspn(list, " ");
		if (size && path_size > size && memcmp(path + path_size - size, list, size) == 0) {
			return true;
		}
		list += size + (list[size] == ' ');
	}
	return false;
}

static void refuse(int code, const char *body)
{
	SG(sapi_headers).http_response_code = code;
	php_output_write(body, strlen(body));
}

/* Run the script in its own folder. */
static void run_script(zend_file_handle *file)
{
	bool entered = folder_enter(ZSTR_VAL(file->filename));
	SG(options) = entered ? SG(options) | SAPI_OPTION_NO_CHDIR : SG(options) & ~SAPI_OPTION_NO_CHDIR;
	EG(exit_status) = 0;
	timelimit_script();
	php_execute_script(file);
	if (entered) {
		folder_leave();
	}
}

static void execute(void)
{
	zend_file_handle file;
	char *script = estrdup(SG(request_info).path_translated);
	/* A failure frees path_translated, and with it the name to complain about.  It may set no error: that of
	 * a folder does not. */
	errno = 0;
	if (php_fopen_primary_script(&file) == FAILURE) {
		int error = errno;
		char *what;
		spprintf(&what, 0, "%s (%s)", script, strerror(error));
		explain(KRAAL_LOG_ERROR, "Unable to open primary script", what);
		efree(what);
		refuse(error == EACCES ? 403 : 404, error == EACCES ? "Access denied.\n" : "No input file specified.\n");
	} else {
		scoreboard_stage(KRAAL_STAGE_RUNNING);
		run_script(&file);
	}
	if (!file.in_list) {
		zend_destroy_file_handle(&file);
	}
	efree(script);
}

static void respond(void)
{
	if (!SG(request_info).request_method) {
		return;  /* not an HTTP request at all */
	}
	const char *path = SG(request_info).path_translated;
	if (!path) {
		explain(KRAAL_LOG_DEBUG, "Primary script unknown", NULL);
		refuse(404, "File not found.\n");
	} else if (!extension_allowed(path)) {
		char *what;
		spprintf(&what, 0, "Access to the script '%s' has been denied (see security.limit_extensions)", path);
		explain(KRAAL_LOG_NOTICE, what, NULL);
		efree(what);
		refuse(403, "Access denied.\n");
	} else {
		execute();
	}
}

/* After a fatal error: fastcgi.error_header lets the web server tell it from an ordinary answer. */
void sapi_mark_failure(void)
{
	char *line = kraal_globals.error_header;
	if (EG(exit_status) == 255 && line && *line && !SG(headers_sent)) {
		sapi_header_line header = {.line = line, .line_len = strlen(line)};
		sapi_header_op(SAPI_HEADER_REPLACE, &header);
	}
}

static void close_body_file(void)
{
	if (current.body_file >= 0) {
		close(current.body_file);
	}
}

struct script sapi_take(struct fcgi_connection *connection, struct fcgi_io *io)
{
	current = (struct sapi_request){.connection = connection, .io = io, .body_file = BODY_FILE_UNKNOWN};
	fcgi_start_answer(connection, io);
	SG(server_context) = &current;
	params_set_front(&connection->params, "FCGI_ROLE", "RESPONDER");
	return sapi_resolve(&connection->params);
}

int sapi_run(struct fcgi_connection *connection, struct fcgi_io *io)
{
	volatile int result = 0;
	struct script script = sapi_take(connection, io);

	zend_first_try {
		sapi_fill_request_info(&connection->params, &script);
		scoreboard_request(&connection->params, SG(request_info).auth_user);
		accesslog_begin(connection, &script, SG(request_info).auth_user);
		inivalues_apply(&connection->params);
		timelimit_request(SG(request_info).content_length != 0);
		if (php_request_startup() == FAILURE) {
			result = -1;
		} else {
			zend_try {
				respond();
			} zend_end_try();
			sapi_mark_failure();
		}
		scoreboard_stage(KRAAL_STAGE_ENDING);
		if (SG(request_info).path_translated) {
			efree(SG(request_info).path_translated);
			SG(request_info).path_translated = NULL;
		}
		size_t memory = sapi_memory();
		php_request_shutdown(NULL);
		/* If an extension failed before it was this one's turn to shut down. */
		accesslog_end(SG(sapi_headers).http_response_code, memory, NULL, NULL);
		/* Not before: shutdown functions, and PHP itself, read what is left of the body. */
		sapi_end_answer();
		log_request_end();
		scoreboard_done(memory);
	} zend_catch {
		result = -1;
	} zend_end_try();
	SG(server_context) = NULL;
	return result;
}

void sapi_end_answer(void)
{
	close_body_file();
	fcgi_end(current.connection, current.io, 0);
	ledger_answer();
}

void sapi_forget(size_t memory)
{
	log_request_end();
	scoreboard_done(memory);
	SG(server_context) = NULL;
}

/* What is to be done once, although a process that was forked off a zygote comes here again. */
static void set_up(void)
{
	lasterror_open();
	input_hook_environment();
	folder_open();
	/* Not installed anew at each request: nobody changes them.  SIGTERM ends a worker at once, but not while
	 * it changes what OPcache shares with others; SIGQUIT sets a flag and lets go of the listener. */
	SIGG(reset) = 0;
	zend_sigaction(SIGTERM, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
}

void sapi_worker_start(const struct kraal_worker *settings)
{
	if (!worker) {
		set_up();
	}
	worker = settings;
	log_open(settings);
	scoreboard_open(settings->scoreboard, settings->slot, settings->alarm);
	ledger_open(settings->ledger);
	accesslog_open(settings);
	poolstatus_open(settings);
	inivalues_limit(settings->php_values);
	bodyfile_limit(settings->body_files);
	cachelock_open(settings);
}

/* ---------------------------------------------------------------- what PHP is given */

static int startup(sapi_module_struct *module)
{
	return php_module_startup(module, &kraal_module);
}

sapi_module_struct kraal_sapi = {
	.name = "fpm-fcgi",
	.pretty_name = "FPM/FastCGI",
	.startup = startup,
	.shutdown = php_module_shutdown_wrapper,
	.activate = activate,
	.deactivate = deactivate,
	.ub_write = response_write,
	.flush = response_flush,
	.getenv = input_getenv,
	.sapi_error = php_error,
	.send_headers = response_send_headers,
	.read_post = input_read_post,
	.read_cookies = input_read_cookies,
	.register_server_variables = input_register_variables,
	.log_message = log_message,
};
