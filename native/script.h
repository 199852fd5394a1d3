/* Which file does a request name?  The CGI variables of nginx, Apache and others, put right. */
#ifndef KRAAL_SCRIPT_H
#define KRAAL_SCRIPT_H

#include <stdbool.h>

#include "params.h"

struct script_settings {
	bool fix_pathinfo;        /* cgi.fix_pathinfo */
	bool discard_path;        /* cgi.discard_path */
	const char *doc_root;     /* doc_root, may be NULL */
};

struct script {
	const char *path;         /* to run; NULL: there is no such script */
	const char *uri;          /* what SCRIPT_NAME and PHP_SELF start with; may be NULL */
	bool missing;             /* the file was looked for and not found: 404 */
};

/* Find the script and correct SCRIPT_FILENAME, SCRIPT_NAME, PATH_INFO and PATH_TRANSLATED in params,
 * keeping what they were as ORIG_*.  All texts live as long as params. */
struct script script_resolve(struct params *params, const struct script_settings *settings);

#endif
