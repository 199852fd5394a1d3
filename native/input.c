#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include <SAPI.h>
#include <php_variables.h>

#include "sapi.h"
#include "settings.h"

static bool open_body_file(struct sapi_request *request)
{
	const char *name = PARAM_GET(&request->connection->params, "REQUEST_BODY_FILE");
	if (request->body_file >= 0 || !name || !*name) {
		return true;
	}
	request->body_file = open(name, O_RDONLY | O_CLOEXEC);
	if (request->body_file < 0) {
		php_error(E_WARNING, "REQUEST_BODY_FILE: open('%s') failed: %s (%d)", name, strerror(errno), errno);
		return false;
	}
	return true;
}

static size_t read_body_file(int file, char *to, size_t size)
{
	size_t total = 0;
	while (total < size) {
		ssize_t got = read(file, to + total, size - total);
		if (got <= 0) {
			break;
		}
		total += (size_t)got;
	}
	return total;
}

size_t input_read_post(char *to, size_t size)
{
	struct sapi_request *request = sapi_running();
	/* A negative length means none, as Caddy says of a body in chunks: it goes on to the end of its stream. */
	bool endless = SG(request_info).content_length < 0;
	zend_long left = SG(request_info).content_length - SG(read_post_bytes);
	if (!request || (left <= 0 && !endless) || !open_body_file(request)) {
		return 0;
	}
	size = endless ? size : MIN(size, (size_t)left);
	if (request->body_file >= 0) {
		return read_body_file(request->body_file, to, size);
	}
	return fcgi_read_body(request->connection, request->io, to, size);
}

char *input_read_cookies(void)
{
	return sapi_running() ? PARAM_GET(&sapi_running()->connection->params, "HTTP_COOKIE") : NULL;
}

char *input_getenv(const char *name, size_t size)
{
	return sapi_running() ? params_get(&sapi_running()->connection->params, name, size) : getenv(name);
}

static bool is_filled(const zval *array, const zval *other)
{
	return Z_TYPE_P(other) == IS_ARRAY && Z_ARR_P(array) != Z_ARR_P(other) && zend_hash_num_elements(Z_ARRVAL_P(other));
}

static void register_params(zval *array, bool filtered)
{
	const struct params *params = &sapi_running()->connection->params;
	int kind = Z_ARR_P(array) == Z_ARR(PG(http_globals)[TRACK_VARS_ENV]) ? PARSE_ENV : PARSE_SERVER;
	/* Programs may see the order: as in php-fpm, the last one comes first. */
	for (size_t i = params->count; i-- > 0;) {
		const struct param *pair = &params->pairs[i];
		char *value = pair->value;
		size_t size = value ? strlen(value) : 0;
		if (value && (!filtered || sapi_module.input_filter(kind, pair->name, &value, size, &size))) {
			php_register_variable_safe(pair->name, value, size, array);
		}
	}
}

static void (*import_environment)(zval *array);

/* php-fpm fills $_SERVER and $_ENV alike: the process environment, then the params. */
static void import_variables(zval *array)
{
	zval *globals = PG(http_globals);
	int twins[] = {TRACK_VARS_ENV, TRACK_VARS_SERVER};
	for (size_t i = 0; i < 2; i++) {
		if (is_filled(array, &globals[twins[i]])) {
			zend_array_destroy(Z_ARR_P(array));
			Z_ARR_P(array) = zend_array_dup(Z_ARR(globals[twins[i]]));
			return;
		}
	}
	import_environment(array);
	if (sapi_running()) {
		register_params(array, true);
	}
}

/* getenv() without a name. */
static void load_variables(zval *array)
{
	import_environment(array);
	if (sapi_running()) {
		register_params(array, false);
	}
}

void input_register_variables(zval *array)
{
	php_import_environment_variables(array);
	const char *uri = SG(request_info).request_uri ? SG(request_info).request_uri : "";
	const char *info = kraal_globals.fix_pathinfo ? input_getenv("PATH_INFO", sizeof("PATH_INFO") - 1) : NULL;
	char *self;
	size_t size = (size_t)spprintf(&self, 0, "%s%s", uri, info ? info : "");
	if (sapi_module.input_filter(PARSE_SERVER, "PHP_SELF", &self, size, &size)) {
		php_register_variable_safe("PHP_SELF", self, size, array);
	}
	efree(self);
}

void input_hook_environment(void)
{
	import_environment = php_import_environment_variables;
	php_import_environment_variables = import_variables;
	php_load_environment_variables = load_variables;
}
