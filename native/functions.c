#include "functions.h"

#include <sys/socket.h>

#include <SAPI.h>
#include <ext/standard/head.h>
#include <php_output.h>

#include "keeper.h"
#include "ledger.h"
#include "sapi.h"
#include "poolstatus.h"
#include "resident.h"
#include "scoreboard.h"

/* The script goes on for as long as it likes: nobody is to wait for it on this worker's connections.  A resident
 * comes back soon, and keeps what it has. */
static void leave_connections(struct sapi_request *request)
{
	if (!request->connection->keep) {
		/* A web server that waits for the end of the stream need not wait for the script. */
		shutdown(request->connection->fd, SHUT_WR);
	} else if (!resident_is_up() && fcgi_at_rest(request->connection, request->io)) {
		keeper_entrust(request->connection, request->io);
	}
}

/* fastcgi_finish_request(): bool.  The answer ends here; the script goes on unseen. */
static PHP_FUNCTION(fastcgi_finish_request)
{
	ZEND_PARSE_PARAMETERS_NONE();
	struct sapi_request *request = SG(server_context);
	if (!request || request->connection->ended) {
		RETURN_FALSE;
	}
	php_output_end_all();
	php_header();
	/* First, so that nobody has the answer and sees a script that still works on it. */
	scoreboard_stage(KRAAL_STAGE_FINISHING);
	fcgi_end(request->connection, request->io, 0);
	ledger_answer();
	leave_connections(request);
	RETURN_TRUE;
}

/* apache_request_headers(): array, and getallheaders(). */
static PHP_FUNCTION(apache_request_headers)
{
	ZEND_PARSE_PARAMETERS_NONE();
	array_init(return_value);
	const struct sapi_request *request = SG(server_context);
	for (size_t i = request ? request->connection->params.count : 0; i-- > 0;) {
		const struct param *pair = &request->connection->params.pairs[i];
		if (pair->value) {
			sapi_add_request_header(pair->name, pair->name_size, pair->value, pair->value_size, return_value);
		}
	}
}

/* Add `Name: value` to an array; the last header of a name is the one that stays. */
static void add_response_header(const sapi_header_struct *header, zval *array)
{
	const char *end = header->header + header->header_len;
	const char *colon = memchr(header->header, ':', header->header_len);
	const char *name_end = colon;
	while (name_end && name_end > header->header && (name_end[-1] == ' ' || name_end[-1] == '\t')) {
		name_end--;
	}
	if (!name_end || name_end == header->header) {
		return;
	}
	const char *value = colon + 1;
	while (value < end && (*value == ' ' || *value == '\t')) {
		value++;
	}
	add_assoc_stringl_ex(array, header->header, (size_t)(name_end - header->header), value, (size_t)(end - value));
}

/* apache_response_headers(): array.  PHP's other servers have it, php-fpm has not. */
static PHP_FUNCTION(apache_response_headers)
{
	ZEND_PARSE_PARAMETERS_NONE();
	array_init(return_value);
	zend_llist_position at;
	zend_llist *headers = &SG(sapi_headers).headers;
	for (sapi_header_struct *header = zend_llist_get_first_ex(headers, &at); header;
	     header = zend_llist_get_next_ex(headers, &at)) {
		add_response_header(header, return_value);
	}
}

/* fpm_get_status(): array|false */
static PHP_FUNCTION(fpm_get_status)
{
	ZEND_PARSE_PARAMETERS_NONE();
	if (!sapi_running()) {
		RETURN_FALSE;  /* preloading: there are no workers yet */
	}
	array_init(return_value);
	poolstatus_export(return_value);
}

PHP_FUNCTION(kraal_handle_request);
PHP_FUNCTION(kraal_before_fork);
PHP_FUNCTION(kraal_after_fork);

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_returns_bool, 0, 0, _IS_BOOL, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_callback, 0, 1, _IS_BOOL, 0)
	ZEND_ARG_TYPE_INFO(0, callback, IS_CALLABLE, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_INFO_EX(arginfo_returns_array, 0, 0, IS_ARRAY, 0)
ZEND_END_ARG_INFO()

ZEND_BEGIN_ARG_WITH_RETURN_TYPE_MASK_EX(arginfo_returns_array_or_false, 0, 0, MAY_BE_ARRAY | MAY_BE_FALSE)
ZEND_END_ARG_INFO()

const zend_function_entry kraal_functions[] = {
	ZEND_FE(kraal_handle_request, arginfo_callback)
	ZEND_FALIAS(frankenphp_handle_request, kraal_handle_request, arginfo_callback)
	ZEND_FE(kraal_before_fork, arginfo_callback)
	ZEND_FE(kraal_after_fork, arginfo_callback)
	ZEND_FE(fastcgi_finish_request, arginfo_returns_bool)
	ZEND_FALIAS(frankenphp_finish_request, fastcgi_finish_request, arginfo_returns_bool)
	ZEND_FE(apache_request_headers, arginfo_returns_array)
	ZEND_FALIAS(getallheaders, apache_request_headers, arginfo_returns_array)
	ZEND_FE(apache_response_headers, arginfo_returns_array)
	ZEND_FE(fpm_get_status, arginfo_returns_array_or_false)
	ZEND_FE_END
};
