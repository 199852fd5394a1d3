#include "builtins.h"

#include <php.h>

static int (*register_all)(void);

static void forget_module(const char *name, size_t size)
{
	const zend_module_entry *module = zend_hash_str_find_ptr(&module_registry, name, size);
	if (module) {
		if (module->functions) {
			zend_unregister_functions(module->functions, -1, NULL);
		}
		zend_hash_str_del(&module_registry, name, size);
	}
}

/* Registered, but not started yet: the moment at which something can go without a trace.
 *
 * PHP remembers how many places of the function table are its own and throws away the ones behind them
 * after each request.  A hole would close one day and let a script's function slip below that mark. */
static int register_some(void)
{
	int result = register_all();
	forget_module(ZEND_STRL("pcntl"));
	zend_hash_str_del(CG(function_table), ZEND_STRL("chroot"));
	zend_hash_rehash(CG(function_table));
	return result;
}

void builtins_prepare(void)
{
	register_all = php_register_internal_extensions_func;
	php_register_internal_extensions_func = register_some;
}
