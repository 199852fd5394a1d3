/* The process environment as variables of PHP.  It hardly ever changes, and every request that asks for $_SERVER is given
 * it: so what it was once made into is copied while it is the same. */
#ifndef KRAAL_ENVIRONMENT_H
#define KRAAL_ENVIRONMENT_H

#include <php.h>

/* Once, before php_import_environment_variables is replaced. */
void environment_prepare(void);

/* Outside any request: it is likely to be as it is now for many requests. */
void environment_learn(void);

/* Put all variables into an array that has none, as php_import_environment_variables does. */
void environment_import(zval *array);

#endif
