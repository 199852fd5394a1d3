/* PHP_VALUE and PHP_ADMIN_VALUE: ini settings that the web server sends with a request.
 *
 * They hold for that request: PHP itself undoes them at its end.  What the pool set for good
 * (php_admin_value) they cannot change, nor what security.limit_php_value leaves out.  In php-fpm they
 * stick to the worker (php bugs 63965, 53611). */
#ifndef KRAAL_INIVALUES_H
#define KRAAL_INIVALUES_H

#include "params.h"

/* From now on neither scripts nor web servers change this entry.  Returns -1 if PHP has none of that name. */
int inivalues_lock(const char *name);

/* From now on web servers change only these: names separated by spaces, or NULL for all. */
void inivalues_limit(const char *names);

/* Apply what a request brings, before PHP starts it: reading the body depends on settings already. */
void inivalues_apply(const struct params *params);

#endif
