/* The ini entries of the SAPI: cgi.*, fastcgi.* and fpm.*, as php-fpm has them. */
#ifndef KRAAL_SETTINGS_H
#define KRAAL_SETTINGS_H

#include <php.h>

ZEND_BEGIN_MODULE_GLOBALS(kraal)
	bool rfc2616_headers;
	bool nph;
	bool fix_pathinfo;
	bool force_redirect;
	bool discard_path;
	bool logging;
	char *redirect_status_env;
	char *error_header;
	char *config;
ZEND_END_MODULE_GLOBALS(kraal)


extern zend_kraal_globals kraal_globals;

#endif
