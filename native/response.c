#include "response.h"

#include <stdbool.h>
#include <strings.h>

#include <php.h>
#include <http_status_codes.h>
#include <php_main.h>

#include "ledger.h"
#include "resident.h"
#include "sapi.h"
#include "settings.h"

size_t response_write(const char *from, size_t size)
{
	struct sapi_request *request = sapi_running();
	if (!request) {
		/* -i, -m, or a start-up error: nobody but the terminal is there.  A worker script outside of its requests
		 * is heard by nobody. */
		return resident_is_up() ? size : fwrite(from, 1, size, stdout);
	}
	if (fcgi_write(request->connection, request->io, FCGI_STDOUT, from, size) < 0) {
		php_handle_aborted_connection();
		return 0;
	}
	return size;
}

/* Send what there is.  Returns whether the peer still wants more: one that keeps its connection tells by a
 * record that it does not, where another just closes. */
static bool is_wanted(struct sapi_request *request)
{
	struct fcgi_connection *connection = request->connection;
	if (fcgi_flush(connection, request->io) < 0) {
		return false;
	}
	if (connection->keep) {
		fcgi_look(connection, request->io);
	}
	return !connection->aborted;
}

void response_flush(void *context)
{
	struct sapi_request *request = context;
	if (!request) {
		fflush(stdout);
	} else if (!request->connection->ended && !is_wanted(request)) {
		php_handle_aborted_connection();
	}
}

static void put(const char *text, size_t size)
{
	struct sapi_request *request = sapi_running();
	fcgi_write(request->connection, request->io, FCGI_STDOUT, text, size);
}

static bool is_named(const sapi_header_struct *header, const char *name, size_t size)
{
	return header->header_len > size && strncasecmp(header->header, name, size) == 0;
}
#define IS_NAMED(header, literal) is_named((header), literal, sizeof(literal) - 1)

static bool has_status_header(sapi_headers_struct *headers)
{
	zend_llist_position at;
	for (sapi_header_struct *header = zend_llist_get_first_ex(&headers->headers, &at); header;
	     header = zend_llist_get_next_ex(&headers->headers, &at)) {
		if (IS_NAMED(header, "Status:")) {
			return true;
		}
	}
	return false;
}

static const char *reason_of(int code)
{
	const http_response_status_code_pair *pair = http_status_map;
	while (pair->code && pair->code != code) {
		pair++;
	}
	return pair->str;
}

/* Write the status line if the response needs one.  Returns whether it did; `code` becomes its number. */
static bool put_status(sapi_headers_struct *headers, int *code)
{
	const char *line = headers->http_status_line;
	const char *rest = line ? strchr(line, ' ') : NULL;
	char text[1024];
	int size;

	if (*code == 200 && !kraal_globals.nph) {
		return false;
	}
	if (line && kraal_globals.rfc2616_headers) {
		size = snprintf(text, sizeof(text), "%s", line);
		*code = rest ? atoi(rest + 1) : *code;
	} else if (rest && rest - line >= 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		size = snprintf(text, sizeof(text), "Status:%s", rest);
		*code = atoi(rest + 1);
	} else if (has_status_header(headers)) {
		return false;
	} else {
		const char *reason = reason_of(*code);
		size = snprintf(text, sizeof(text), reason ? "Status: %d %s" : "Status: %d", *code, reason);
	}
	put(text, MIN((size_t)size, sizeof(text) - 1));
	put("\r\n", 2);
	return true;
}

int response_send_headers(sapi_headers_struct *headers)
{
	if (SG(request_info).no_headers || !sapi_running()) {
		return SAPI_HEADER_SENT_SUCCESSFULLY;
	}
	int code = headers->http_response_code;
	bool status_sent = put_status(headers, &code);
	int shown = code;
	zend_llist_position at;
	for (sapi_header_struct *header = zend_llist_get_first_ex(&headers->headers, &at); header;
	     header = zend_llist_get_next_ex(&headers->headers, &at)) {
		bool status = IS_NAMED(header, "Status:");
		bool unwanted = (status && status_sent) || (code == 304 && IS_NAMED(header, "Content-Type:"));
		if (!header->header_len || unwanted) {
			continue;
		}
		if (status && !status_sent) {
			shown = atoi(header->header + strlen("Status:"));
		}
		put(header->header, header->header_len);
		put("\r\n", 2);
		status_sent = status_sent || status;
	}
	put("\r\n", 2);
	ledger_status(shown);
	return SAPI_HEADER_SENT_SUCCESSFULLY;
}

struct excerpt response_find_header(const struct access_record *record, const char *name, size_t size)
{
	zend_llist_position at;
	zend_llist *headers = &SG(sapi_headers).headers;
	(void)record;
	for (sapi_header_struct *header = zend_llist_get_first_ex(headers, &at); header;
	     header = zend_llist_get_next_ex(headers, &at)) {
		if (header->header_len > size + 2 && is_named(header, name, size) && memcmp(header->header + size, ": ", 2) == 0) {
			return (struct excerpt){header->header + size + 2, header->header_len - size - 2};
		}
	}
	return (struct excerpt){0};
}

const char *kraal_php_powered_by(void)
{
	return PG(expose_php) ? SAPI_PHP_VERSION_HEADER "\r\n" : NULL;
}

void response_put_powered_by(struct fcgi_connection *connection, struct fcgi_io *io)
{
	const char *line = kraal_php_powered_by();
	if (line) {
		fcgi_write(connection, io, FCGI_STDOUT, line, strlen(line));
	}
}
