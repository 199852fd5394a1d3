/* PHP functions that the server itself has to bring. */
#ifndef KRAAL_FUNCTIONS_H
#define KRAAL_FUNCTIONS_H

#include <php.h>

extern const zend_function_entry kraal_functions[];

#endif
