/* PHP_VALUE and PHP_ADMIN_VALUE: ini settings that the web server sends with a request.
 *
 * They hold for that request: PHP itself undoes them at its end.  What the pool set for good
 * (php_admin_value) they cannot change.  In php-fpm they stick to the worker (php bugs 63965, 53611). */
#ifndef KRAAL_INIVALUES_H
#define KRAAL_INIVALUES_H

/* From now on neither scripts nor web servers change this entry.  Returns -1 if PHP has none of that name. */
int inivalues_lock(const char *name);

/* Apply lines `name = value`; NULL does nothing.  `mode` is ZEND_INI_USER or ZEND_INI_SYSTEM. */
void inivalues_apply(const char *lines, int mode);

#endif
