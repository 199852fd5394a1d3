/* .user.ini: the file. */
#include "with_php.h"

#include <php_ini.h>

#include "../../native/userini.h"

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
	(void)count;
	(void)arguments;
	start_php();
	userini_start();
	/* Read again each time. */
	PG(user_ini_cache_ttl) = -2;
	if (!PG(user_ini_filename)) {
		PG(user_ini_filename) = strdup(".user.ini");
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char script[128];
	if (size > 4096) {
		return 0;
	}
	snprintf(script, sizeof(script), "%s/a.php", place);
	write_file(".user.ini", bytes, size);
	zend_first_try {
		userini_activate(script, place, "localhost");
	} zend_end_try();
	/* Nothing that only the system may set. */
	check(!*zend_ini_string(ZEND_STRL("disable_functions"), 0));
	check(!zend_ini_long(ZEND_STRL("allow_url_include"), 0));
	zend_try {
		zend_ini_deactivate();
	} zend_end_try();
	return 0;
}
