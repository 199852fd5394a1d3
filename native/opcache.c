#define _GNU_SOURCE
/* What OPcache says of itself, asked where no request runs.
 *
 * Its memory is shared, so that what the manager sees is what workers use.  Its structures are no part of PHP's
 * headers, but it has a function that reads them, takes no lock and changes nothing: opcache_get_status(false).  It is
 * called without the virtual machine, as a manager has no request and no stack for one. */
#include "bridge.h"

#include <stdbool.h>
#include <stddef.h>

#include <php.h>
#include <SAPI.h>

/* In the order of Opcache in memory/opcache.py. */
static const struct {
	const char *part, *name;
} figures[KRAAL_OPCACHE_FIGURES] = {
    {"memory_usage", "used_memory"},
    {"memory_usage", "free_memory"},
    {"memory_usage", "wasted_memory"},
    {"interned_strings_usage", "used_memory"},
    {"interned_strings_usage", "free_memory"},
    {"opcache_statistics", "num_cached_scripts"},
    {"opcache_statistics", "num_cached_keys"},
    {"opcache_statistics", "max_cached_keys"},
    {"opcache_statistics", "hits"},
    {"opcache_statistics", "misses"},
    {"opcache_statistics", "oom_restarts"},
    {"opcache_statistics", "hash_restarts"},
    {"opcache_statistics", "manual_restarts"},
};

struct call {
	zend_execute_data frame;
	zval argument;
};
_Static_assert(offsetof(struct call, argument) == ZEND_CALL_FRAME_SLOT * sizeof(zval), "arguments stand behind the frame");

static uint64_t figure(HashTable *status, const char *part, const char *name)
{
	zval *section = zend_hash_str_find(status, part, strlen(part));
	zval *found = section && Z_TYPE_P(section) == IS_ARRAY ? zend_hash_str_find(Z_ARRVAL_P(section), name, strlen(name)) : NULL;
	if (found && Z_TYPE_P(found) == IS_DOUBLE) {
		return Z_DVAL_P(found) > 0 ? (uint64_t)Z_DVAL_P(found) : 0;
	}
	return found && Z_TYPE_P(found) == IS_LONG && Z_LVAL_P(found) > 0 ? (uint64_t)Z_LVAL_P(found) : 0;
}

static void ask(zend_function *function, zval *status)
{
	struct call call = {.frame = {.func = function}};
	zend_execute_data *running = EG(current_execute_data);
	char *script = SG(request_info).path_translated;
	char *allowed = zend_ini_string("opcache.restrict_api", sizeof("opcache.restrict_api") - 1, 0);
	ZEND_CALL_NUM_ARGS(&call.frame) = 1;
	ZVAL_FALSE(&call.argument);
	/* opcache.restrict_api names the scripts that may ask: this is none of others. */
	SG(request_info).path_translated = allowed;
	EG(current_execute_data) = &call.frame;
	function->internal_function.handler(&call.frame, status);
	EG(current_execute_data) = running;
	SG(request_info).path_translated = script;
}

void kraal_opcache_note(void *scoreboard)
{
	struct kraal_scoreboard *board = scoreboard;
	zend_function *function = zend_hash_str_find_ptr(CG(function_table), ZEND_STRL("opcache_get_status"));
	zval status;
	if (!function || function->type != ZEND_INTERNAL_FUNCTION) {
		return;
	}
	ZVAL_NULL(&status);
	ask(function, &status);
	if (Z_TYPE(status) == IS_ARRAY) {
		for (size_t i = 0; i < KRAAL_OPCACHE_FIGURES; i++) {
			__atomic_store_n(&board->opcache[i], figure(Z_ARRVAL(status), figures[i].part, figures[i].name), __ATOMIC_RELAXED);
		}
	}
	zval_ptr_dtor(&status);
}
