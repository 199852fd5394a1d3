/* The module of the SAPI: its ini entries, its functions, and its part in the life of a request. */
#ifndef KRAAL_MODULE_H
#define KRAAL_MODULE_H

#include <php.h>

extern zend_module_entry kraal_module;

#endif
