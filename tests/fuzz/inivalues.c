/* PHP_VALUE and PHP_ADMIN_VALUE: a byte that says which, and the lines. */
#include "with_php.h"

#include <php_ini.h>

#include "../../native/inivalues.h"
#include "../../native/log.h"
#include "../../native/sapi.h"

static const char LOCKED[] = "open_basedir", LIMITED[] = "date.timezone precision open_basedir";

void sapi_tell(const char *text)
{
	check(strlen(text) > 0);
}

void log_line_from(const char *function, int line, enum kraal_level level, const char *format, ...)
{
	(void)function;
	(void)line;
	(void)level;
	(void)format;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
	(void)count;
	(void)arguments;
	start_php();
	check(inivalues_lock(LOCKED) == 0);
	return 0;
}

static bool is_unchanged(const char *name, const char *before)
{
	const char *now = zend_ini_string((char *)(uintptr_t)name, strlen(name), 0);
	return strcmp(now ? now : "", before) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct params params;
	if (!size || size > 4096) {
		return 0;
	}
	char *lines = malloc(size);
	check(lines != NULL);
	memcpy(lines, bytes + 1, size - 1);
	lines[size - 1] = '\0';
	params_reset(&params);
	const char *name = bytes[0] & 1 ? "PHP_ADMIN_VALUE" : "PHP_VALUE";
	check(params_set(&params, name, strlen(name), lines) != NULL);
	inivalues_limit(bytes[0] & 2 ? LIMITED : NULL);
	zend_first_try {
		inivalues_apply(&params);
	} zend_end_try();
	check(is_unchanged(LOCKED, ""));
	if (bytes[0] & 2) {
		check(is_unchanged("memory_limit", "128M"));
	}
	zend_try {
		zend_ini_deactivate();
	} zend_end_try();
	/* Everything is undone. */
	check(is_unchanged("precision", "14") && is_unchanged("memory_limit", "128M"));
	free(lines);
	return 0;
}
