/* The scoreboard as the PHP array of fpm_get_status(). */
#ifndef KRAAL_POOLSTATUS_H
#define KRAAL_POOLSTATUS_H

#include <php.h>

#include "bridge.h"

/* Whose status poolstatus_export gives; set once per worker. */
void poolstatus_open(const struct kraal_worker *worker);

/* Fill an empty array. */
void poolstatus_export(zval *status);

#endif
