/* PHP functions that exist under php-fpm only. */
#ifndef KRAAL_FUNCTIONS_H
#define KRAAL_FUNCTIONS_H

#include <php.h>

extern const zend_function_entry kraal_functions[];

#endif
