#include "module.h"

#include <SAPI.h>
#include <ext/standard/info.h>
#include <php_ini.h>

#include "accesslog.h"
#include "functions.h"
#include "response.h"
#include "sapi.h"
#include "settings.h"
#include "userini.h"

zend_kraal_globals kraal_globals;

#define SWITCH(name, default, who, field) \
	STD_PHP_INI_BOOLEAN(name, default, who, OnUpdateBool, field, zend_kraal_globals, kraal_globals)
#define TEXT(name, field) \
	STD_PHP_INI_ENTRY(name, NULL, PHP_INI_SYSTEM, OnUpdateString, field, zend_kraal_globals, kraal_globals)
PHP_INI_BEGIN()
	SWITCH("cgi.rfc2616_headers", "0", PHP_INI_ALL, rfc2616_headers)
	SWITCH("cgi.nph", "0", PHP_INI_ALL, nph)
	SWITCH("cgi.force_redirect", "1", PHP_INI_SYSTEM, force_redirect)
	TEXT("cgi.redirect_status_env", redirect_status_env)
	SWITCH("cgi.fix_pathinfo", "1", PHP_INI_SYSTEM, fix_pathinfo)
	SWITCH("cgi.discard_path", "0", PHP_INI_SYSTEM, discard_path)
	SWITCH("fastcgi.logging", "1", PHP_INI_SYSTEM, logging)
	TEXT("fastcgi.error_header", error_header)
	TEXT("fpm.config", config)
PHP_INI_END()

static PHP_MINIT_FUNCTION(kraal)
{
	(void)type;
	REGISTER_INI_ENTRIES();
	userini_start();
	return SUCCESS;
}

static PHP_MSHUTDOWN_FUNCTION(kraal)
{
	(void)type;
	userini_stop();
	UNREGISTER_INI_ENTRIES();
	return SUCCESS;
}

/* Shutdown functions have run, and the headers of the answer are still there. */
static PHP_RSHUTDOWN_FUNCTION(kraal)
{
	(void)type;
	(void)module_number;
	accesslog_end(SG(sapi_headers).http_response_code, sapi_memory(), response_find_header, NULL);
	return SUCCESS;
}

static PHP_MINFO_FUNCTION(kraal)
{
	(void)zend_module;
	php_info_print_table_start();
	php_info_print_table_row(2, "kraal", "active");
	php_info_print_table_end();
	DISPLAY_INI_ENTRIES();
}

/* php-fpm's module has this name, and extension_loaded("cgi-fcgi") is asked by programs. */
zend_module_entry kraal_module = {
	STANDARD_MODULE_HEADER,
	"cgi-fcgi",
	kraal_functions,
	PHP_MINIT(kraal),
	PHP_MSHUTDOWN(kraal),
	NULL,
	PHP_RSHUTDOWN(kraal),
	PHP_MINFO(kraal),
	PHP_VERSION,
	STANDARD_MODULE_PROPERTIES
};
