#include "hooks.h"

#include <php.h>

#include "functions.h"

static bool taking;
static zval before, after;  /* arrays, or nothing */

void hooks_take(bool wanted)
{
	taking = wanted;
}

static void take(INTERNAL_FUNCTION_PARAMETERS, zval *hooks)
{
	zend_fcall_info call;
	zend_fcall_info_cache cache;
	ZEND_PARSE_PARAMETERS_START(1, 1)
		Z_PARAM_FUNC(call, cache)
	ZEND_PARSE_PARAMETERS_END();

	zend_release_fcall_info_cache(&cache);
	if (!taking) {
		RETURN_FALSE;
	}
	if (Z_ISUNDEF_P(hooks)) {
		array_init(hooks);
	}
	Z_TRY_ADDREF(call.function_name);
	add_next_index_zval(hooks, &call.function_name);
	RETURN_TRUE;
}

/* kraal_before_fork(callable $callback): bool */
PHP_FUNCTION(kraal_before_fork)
{
	take(INTERNAL_FUNCTION_PARAM_PASSTHRU, &before);
}

/* kraal_after_fork(callable $callback): bool */
PHP_FUNCTION(kraal_after_fork)
{
	take(INTERNAL_FUNCTION_PARAM_PASSTHRU, &after);
}

bool hooks_run(bool of_after)
{
	zval *hooks = of_after ? &after : &before, *hook;
	if (Z_ISUNDEF_P(hooks)) {
		return true;
	}
	ZEND_HASH_FOREACH_VAL(Z_ARRVAL_P(hooks), hook) {
		zval result;
		ZVAL_UNDEF(&result);
		call_user_function(NULL, NULL, hook, &result, 0, NULL);
		zval_ptr_dtor(&result);
		if (EG(exception)) {
			return false;
		}
	} ZEND_HASH_FOREACH_END();
	return true;
}

void hooks_forget(void)
{
	zval_ptr_dtor(&before);
	zval_ptr_dtor(&after);
	ZVAL_UNDEF(&before);
	ZVAL_UNDEF(&after);
}
