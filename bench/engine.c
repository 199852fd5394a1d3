/* PHP's engine without a server: start a request, run the script, end the request, again and again.
 *
 *   engine PHP_INI SCRIPT COUNT
 *
 * What the script prints is thrown away.  Prints processor time per request in microseconds.  Compiled by engine.py. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <php.h>
#include <SAPI.h>
#include <php_main.h>
#include <zend_signal.h>

static int start(sapi_module_struct *module)
{
	return php_module_startup(module, NULL);
}

static size_t swallow(const char *text, size_t size)
{
	(void)text;
	return size;
}

static int no_headers(sapi_headers_struct *headers)
{
	(void)headers;
	return SAPI_HEADER_SENT_SUCCESSFULLY;
}

static char *no_cookies(void)
{
	return NULL;
}

static void complain(const char *message, int type)
{
	(void)type;
	fprintf(stderr, "%s\n", message);
}

/* The name is one for which OPcache works. */
static sapi_module_struct module = {
	.name = "fpm-fcgi",
	.pretty_name = "bare engine",
	.startup = start,
	.shutdown = php_module_shutdown_wrapper,
	.ub_write = swallow,
	.sapi_error = php_error,
	.send_headers = no_headers,
	.read_cookies = no_cookies,
	.log_message = complain,
};

static void run(const char *script)
{
	zend_file_handle file;
	SG(server_context) = &module;
	SG(sapi_headers).http_response_code = 200;
	SG(request_info).request_method = "GET";
	SG(request_info).content_type = "";
	SG(request_info).path_translated = estrdup(script);
	if (php_request_startup() == SUCCESS && php_fopen_primary_script(&file) == SUCCESS) {
		php_execute_script(&file);
		if (!file.in_list) {
			zend_destroy_file_handle(&file);
		}
	}
	efree(SG(request_info).path_translated);
	SG(request_info).path_translated = NULL;
	php_request_shutdown(NULL);
}

static double processor_us(void)
{
	struct timespec at;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
	return (double)at.tv_sec * 1e6 + (double)at.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		return 2;
	}
	long count = atol(argv[3]);
	zend_signal_startup();
	sapi_startup(&module);
	module.php_ini_path_override = argv[1];
	if (module.startup(&module) == FAILURE) {
		return 1;
	}
	for (long i = 0; i < 200; i++) {
		run(argv[2]);
	}
	double before = processor_us();
	for (long i = 0; i < count; i++) {
		run(argv[2]);
	}
	printf("%.3f\n", (processor_us() - before) / (double)count);
	return 0;
}
