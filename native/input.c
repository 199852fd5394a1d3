#include "input.h"

#include <stdbool.h>

#include <SAPI.h>
#include <php_variables.h>

#include "bodyfile.h"
#include "environment.h"
#include "resident.h"
#include "sapi.h"
#include "settings.h"

/* Whether the body stands in a file.  It is opened once, also when that fails. */
static bool has_body_file(struct sapi_request *request)
{
	if (request->body_file == BODY_FILE_UNKNOWN) {
		const char *name = PARAM_GET(&request->connection->params, "REQUEST_BODY_FILE");
		request->body_file = name && *name ? bodyfile_open(name) : BODY_FILE_NONE;
	}
	return request->body_file != BODY_FILE_NONE;
}

/* A negative length means none, as Caddy says of a body in chunks: it goes on to the end of its stream.  PHP
 * looks at the announced length alone, so it gets no more than it needs to see that there is too much. */
static zend_long expected_size(void)
{
	zend_long announced = SG(request_info).content_length;
	zend_long most = SG(post_max_size) > 0 && SG(post_max_size) < ZEND_LONG_MAX ? SG(post_max_size) + 1 : ZEND_LONG_MAX;
	return announced < 0 ? most : announced;
}

size_t input_read_post(char *to, size_t size)
{
	struct sapi_request *request = sapi_running();
	zend_long left = expected_size() - SG(read_post_bytes);
	if (!request || left <= 0) {
		return 0;
	}
	size = MIN(size, (size_t)left);
	if (!has_body_file(request)) {
		return fcgi_read_body(request->connection, request->io, to, size);
	}
	return request->body_file >= 0 ? bodyfile_read(request->body_file, to, size) : 0;
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

static void register_param(const struct param *pair, zval *array, bool filtered)
{
	int kind = Z_ARR_P(array) == Z_ARR(PG(http_globals)[TRACK_VARS_ENV]) ? PARSE_ENV : PARSE_SERVER;
	char *value = pair->value;
	size_t size = value ? strlen(value) : 0;
	if (value && (!filtered || sapi_module.input_filter(kind, pair->name, &value, size, &size))) {
		php_register_variable_safe(pair->name, value, size, array);
	}
}

static void register_params(zval *array, bool filtered)
{
	const struct params *params = &sapi_running()->connection->params;
	/* Programs may see the order: as in php-fpm, the last one comes first. */
	for (size_t i = params->count; i-- > 0;) {
		register_param(&params->pairs[i], array, filtered);
	}
	register_param(&params->front, array, filtered);
}

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
	environment_import(array);
	if (sapi_running()) {
		register_params(array, true);
	}
}

/* getenv() without a name. */
static void load_variables(zval *array)
{
	environment_import(array);
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
	if (resident_is_up()) {
		/* What frameworks look for. */
		php_register_variable("FRANKENPHP_WORKER", "1", array);
	}
}

void input_hook_environment(void)
{
	environment_prepare();
	php_import_environment_variables = import_variables;
	php_load_environment_variables = load_variables;
}
