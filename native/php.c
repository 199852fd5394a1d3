/* Starting and stopping PHP itself, and what it says about itself. */
#define _GNU_SOURCE
#include "bridge.h"

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <php.h>
#include <SAPI.h>
#include <ext/standard/info.h>
#include <php_ini.h>
#include <php_main.h>
#include <php_output.h>
#include <zend_extensions.h>
#include <zend_signal.h>

#include "bootstate.h"
#include "builtins.h"
#include "cachelock.h"
#include "inivalues.h"
#include "sapi.h"
#include "timelimit.h"

extern sapi_module_struct kraal_sapi;

/* Another PHP has other structures.  The sizes of its variables tell before anything is called. */
static int check_layout(char *error, size_t error_size)
{
	const struct {
		const char *name;
		void *at;
		size_t size;
	} variables[] = {
	    {"executor_globals", &executor_globals, sizeof(executor_globals)},
	    {"compiler_globals", &compiler_globals, sizeof(compiler_globals)},
	    {"core_globals", &core_globals, sizeof(core_globals)},
	    {"sapi_globals", &sapi_globals, sizeof(sapi_globals)},
	};
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		Dl_info where;
		const ElfW(Sym) *symbol = NULL;
		if (!dladdr1(variables[i].at, &where, (void **)&symbol, RTLD_DL_SYMENT) || !symbol) {
			continue;
		}
		if (symbol->st_size != variables[i].size) {
			snprintf(error, error_size,
			         "%s is not the PHP that kraal was built for (API %u; %s has %lu bytes, not %zu): reinstall kraal",
			         where.dli_fname, (unsigned)ZEND_MODULE_API_NO, variables[i].name,
			         (unsigned long)symbol->st_size, variables[i].size);
			return -1;
		}
	}
	return 0;
}

/* Two builds of one PHP version may differ: every module says which API it was compiled with. */
static int check_api(char *error, size_t error_size)
{
	const zend_module_entry *standard = zend_hash_str_find_ptr(&module_registry, ZEND_STRL("standard"));
	if (standard && standard->zend_api != ZEND_MODULE_API_NO) {
		snprintf(error, error_size, "libphp has PHP API %u, but kraal was built for %u: reinstall kraal",
		         standard->zend_api, (unsigned)ZEND_MODULE_API_NO);
		return -1;
	}
	return 0;
}

static void explain_failure(char *error, size_t error_size)
{
	const char *preload = zend_ini_string("opcache.preload", sizeof("opcache.preload") - 1, 0);
	const char *complaint = sapi_last_complaint();
	bool preloading = preload && *preload;
	snprintf(error, error_size, "PHP's module start-up failed%s%s%s%s", preloading ? " with opcache.preload = " : "",
	         preloading ? preload : "", *complaint ? ": " : "", complaint);
}

int kraal_php_start(const struct kraal_php_settings *settings, char *error, size_t error_size)
{
	if (check_layout(error, error_size) < 0) {
		return -1;
	}
	/* Writing to a connection that is gone must be an error, not the end. */
	signal(SIGPIPE, SIG_IGN);
	zend_signal_startup();
	sapi_startup(&kraal_sapi);
	kraal_sapi.php_ini_path_override = settings->ini_path ? strdup(settings->ini_path) : NULL;
	kraal_sapi.php_ini_ignore = settings->ini_ignore;
	kraal_sapi.php_ini_ignore_cwd = 1;
	kraal_sapi.ini_entries = settings->ini_entries ? strdup(settings->ini_entries) : NULL;
	kraal_sapi.executable_location = settings->executable ? strdup(settings->executable) : NULL;
	builtins_prepare();
	if (kraal_sapi.startup(&kraal_sapi) == FAILURE) {
		explain_failure(error, error_size);
		return -1;
	}
	if (settings->extended_info) {
		CG(compiler_options) |= ZEND_COMPILE_EXTENDED_INFO;
	}
	cachelock_prepare();
	timelimit_prepare();
	bootstate_prepare();
	return check_api(error, error_size);
}

int kraal_php_lock_ini(const char *name)
{
	return inivalues_lock(name);
}

int kraal_php_has_zend_extension(const char *name)
{
	return zend_get_extension(name) != NULL;
}

static int compare_names(Bucket *a, Bucket *b)
{
	const zend_module_entry *first = Z_PTR(a->val), *second = Z_PTR(b->val);
	return strcasecmp(first->name, second->name);
}

static void print_extension(zend_extension *extension)
{
	php_printf("%s\n", extension->name);
}

static void print_modules(void)
{
	HashTable sorted;
	zend_module_entry *module;
	zend_hash_init(&sorted, 64, NULL, NULL, 1);
	zend_hash_copy(&sorted, &module_registry, NULL);
	zend_hash_sort(&sorted, compare_names, 0);
	php_printf("[PHP Modules]\n");
	ZEND_HASH_FOREACH_PTR(&sorted, module) {
		php_printf("%s\n", module->name);
	} ZEND_HASH_FOREACH_END();
	php_printf("\n[Zend Modules]\n");
	zend_llist_apply(&zend_extensions, (llist_apply_func_t)print_extension);
	php_printf("\n");
	zend_hash_destroy(&sorted);
}

/* What reads php-fpm's version takes the beginning of the first line. */
static void print_version(const char *kraal)
{
	php_printf("PHP %s (%s) (built: %s %s) kraal %s\nCopyright (c) The PHP Group\n%s", PHP_VERSION, sapi_module.name,
	           __DATE__, __TIME__, kraal, get_zend_version());
}

static void print_settings(void)
{
	zend_string *name;
	ZEND_HASH_FOREACH_STR_KEY(EG(ini_directives), name) {
		php_printf("%s\n", ZSTR_VAL(name));
	} ZEND_HASH_FOREACH_END();
}

int kraal_php_print(enum kraal_php_page page, const char *kraal)
{
	/* Start-up has made a copy of our structure. */
	sapi_module.phpinfo_as_text = 1;
	if (php_request_startup() == FAILURE) {
		return -1;
	}
	SG(headers_sent) = 1;
	SG(request_info).no_headers = 1;
	switch (page) {
	case KRAAL_PHP_VERSION:
		print_version(kraal);
		break;
	case KRAAL_PHP_MODULES:
		print_modules();
		break;
	case KRAAL_PHP_INFO:
		php_print_info((int)PHP_INFO_ALL);
		break;
	case KRAAL_PHP_SETTINGS:
		print_settings();
		break;
	}
	php_request_shutdown(NULL);
	fflush(stdout);
	return 0;
}

void kraal_php_stop(void)
{
	php_module_shutdown();
}
